# The queue's Redis: one instance on one server, or a Cluster with two on each of at least three. An apply on a server
# of a cluster interrupts nothing; one rollout goes through all members.

locals {
  cluster = length(var.hosts) > 1
}

module "apply" {
  source    = "../apply"
  role      = "redis"
  scripts   = ["redis-cluster.sh"]
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  triggers  = var.triggers
  config = {
    for name, host in var.hosts : name => {
      DATA_PATH       = host.data_path
      PRIVATE_ADDRESS = host.private_address
      PORTS           = join(" ", var.ports)
      CLUSTER         = tostring(local.cluster)
      MEMBERS         = join(" ", [for member in var.hosts : "${member.name}=${member.private_address}"])
      REDIS_IMAGE     = var.image
    }
  }
  files = {
    for name, host in var.hosts : name => {
      for port in var.ports : "redis-${port}.conf" => templatefile("${path.module}/../../files/redis.conf.tftpl", {
        address = host.private_address, port = port, cluster = local.cluster, settings = var.settings
      })
    }
  }
}

resource "terraform_data" "rollout" {
  count = local.cluster ? 1 : 0

  triggers_replace = { staged = module.apply.ids, script = filesha256("${path.module}/../../files/redis-rollout.sh") }

  provisioner "local-exec" {
    command     = "${path.module}/../../files/redis-rollout.sh"
    interpreter = ["bash"]
    environment = {
      HOSTS       = join(" ", keys(var.hosts))
      SSH_CONFIG  = var.ssh_config
      KNOWN_HOSTS = var.known_hosts
    }
  }
}
