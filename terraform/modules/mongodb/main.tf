# The platform's store: one server, or a replica set on three, five or seven. An apply on a member of a replica set
# interrupts nothing; one rollout goes through all of them.

locals {
  replica_set = length(var.hosts) > 1
}

module "apply" {
  source    = "../apply"
  role      = "mongodb"
  scripts   = ["mongodb-members.sh"]
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  triggers  = var.triggers
  config = {
    for name, host in var.hosts : name => {
      DATA_PATH            = host.data_path
      PRIVATE_ADDRESS      = host.private_address
      PORT                 = "27017"
      REPLICA_SET          = tostring(local.replica_set)
      MEMBERS              = join(" ", [for member in var.hosts : "${member.name}=${member.private_address}"])
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

resource "terraform_data" "rollout" {
  count = local.replica_set ? 1 : 0

  triggers_replace = { staged = module.apply.ids, script = filesha256("${path.module}/../../files/mongodb-rollout.sh") }

  lifecycle {
    precondition {
      condition     = var.authentication
      error_message = "mongodb.authentication: a replica set knows users; only one server may be a stand-in without."
    }
  }

  provisioner "local-exec" {
    command     = "${path.module}/../../files/mongodb-rollout.sh"
    interpreter = ["bash"]
    environment = {
      HOSTS       = join(" ", [for member in var.hosts : "${member.name}=${member.private_address}"])
      SSH_CONFIG  = var.ssh_config
      KNOWN_HOSTS = var.known_hosts
    }
  }
}
