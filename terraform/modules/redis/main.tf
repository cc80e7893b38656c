# The queue's Redis, on one server.

module "apply" {
  source    = "../apply"
  role      = "redis"
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  triggers  = var.triggers
  config = {
    for name, host in var.hosts : name => {
      DATA_PATH       = host.data_path
      PRIVATE_ADDRESS = host.private_address
      PORT            = "6379"
      REDIS_IMAGE     = var.image
    }
  }
  files = {
    for name, host in var.hosts : name => {
      "redis.conf" = templatefile("${path.module}/../../files/redis.conf.tftpl", { address = host.private_address, port = 6379 })
    }
  }
}
