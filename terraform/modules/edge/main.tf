# TLS in front of the gateway, and the public paths of stack.yml.

module "apply" {
  source    = "../apply"
  role      = "edge"
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  config = {
    for name, host in var.hosts : name => {
      DOMAIN          = var.domain
      TLS             = var.tls
      PRIVATE_ADDRESS = host.private_address
    }
  }
  files = {
    for name, host in var.hosts : name => {
      "Caddyfile" = templatefile("${path.module}/../../files/Caddyfile.tftpl", {
        domain   = var.domain
        tls      = { acme = "", files = "tls /etc/jangada/tls/cert.pem /etc/jangada/tls/key.pem", internal = "tls internal" }[var.tls]
        upstream = var.upstream
        engine   = var.engine
        routes   = var.routes
        admins   = join(" ", sort(var.admin_cidrs))
      })
    }
  }
}
