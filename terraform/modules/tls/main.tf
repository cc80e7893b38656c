# A certificate on every server with data, from the platform's own authority. Keys stay where they were made.

module "apply" {
  source    = "../apply"
  role      = "tls"
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  config = {
    for name, host in var.hosts : name => {
      NAME             = name
      PRIVATE_ADDRESS  = host.private_address
      CERTIFICATE_DAYS = "90"
      RENEW_BEFORE     = tostring(30 * 24 * 3600)
    }
  }
}

resource "terraform_data" "certify" {
  for_each = var.hosts

  triggers_replace = {
    prepared = module.apply.ids[each.key]
    script   = filesha256("${path.module}/../../files/certify.sh")
  }

  provisioner "local-exec" {
    command     = "${path.module}/../../files/certify.sh"
    interpreter = ["bash"]
    environment = {
      AUTHORITY   = var.authority
      SERVER      = "${each.key} ${each.value.private_address}"
      SSH_CONFIG  = var.ssh_config
      KNOWN_HOSTS = var.known_hosts
    }
  }
}
