# The platform's store, on one server.

module "apply" {
  source    = "../apply"
  role      = "mongodb"
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  triggers  = var.triggers
  config = {
    for name, host in var.hosts : name => {
      DATA_PATH            = host.data_path
      PRIVATE_ADDRESS      = host.private_address
      PORT                 = "27017"
      MONGO_IMAGE          = var.image
      MONGO_AUTHENTICATION = tostring(var.authentication)
    }
  }
  files = {
    for name, host in var.hosts : name => {
      "command" = join("", [for word in var.command : "${replace(word, "ADDRESS", host.private_address)}\n"])
    }
  }
}
