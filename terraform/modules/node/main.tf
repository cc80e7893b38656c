# What every server has: packages, Docker Engine, kernel limits, firewall, data folder.

module "apply" {
  source    = "../apply"
  role      = "node"
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  config = {
    for name, host in var.hosts : name => {
      DATA_PATH       = host.data_path
      MANAGE_SYSCTL   = tostring(var.manage_sysctl)
      MANAGE_FIREWALL = tostring(var.manage_firewall)
    }
  }
  files = {
    for name, host in var.hosts : name => {
      "firewall.nft" = templatefile("${path.module}/../../files/firewall.nft.tftpl", {
        ssh_port = host.ssh_port
        admins   = var.admin_cidrs
        openings = var.openings[name]
      })
      "daemon.json" = jsonencode(merge(
        { "live-restore" = true, "log-driver" = "json-file", "log-opts" = { "max-size" = "20m", "max-file" = "5" } },
        length(var.insecure_registries) > 0 ? { "insecure-registries" = sort(var.insecure_registries) } : {},
        host.gpus > 0 ? { runtimes = { nvidia = { path = "nvidia-container-runtime", runtimeArgs = [] } } } : {},
      ))
    }
  }
}
