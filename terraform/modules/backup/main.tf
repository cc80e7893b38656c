# Encrypted copies of the store, on a server with the role backup.

module "apply" {
  source    = "../apply"
  role      = "backup"
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  triggers  = var.triggers
  scripts   = ["write_backup.sh"]
  config = {
    for name, host in var.hosts : name => merge(var.stores, {
      GATEWAY_IMAGE = "${var.image_prefix}/jangada-gateway:${var.release}"
      BACKUP_PATH   = var.backup.path
      PUBLIC_KEY    = var.backup.public_key
      SCHEDULE      = var.backup.schedule
      KEEP          = tostring(var.backup.keep)
    })
  }
}
