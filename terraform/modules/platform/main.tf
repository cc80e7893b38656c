# The same everywhere, whatever made the servers: node → gpu, secrets → redis ∥ mongodb → openfaas → executor → edge, backup.

module "inventory" {
  source       = "../inventory"
  hosts        = var.hosts
  engine       = var.openfaas.engine
  executors    = var.executors
  admin_cidrs  = var.admin_cidrs
  public_cidrs = var.public_cidrs
}

module "targets" {
  source       = "../observability/targets"
  hosts        = module.inventory.hosts
  executors    = module.inventory.executors
  redis_seeds  = module.inventory.redis_seeds
  redis_scheme = "rediss"
  watcher      = local.watcher
}

locals {
  groups  = module.inventory.groups
  watcher = try(var.observability.host, null)
  # What the roles need, and what the watcher asks.
  openings = { for name, ports in module.inventory.openings : name => merge(ports, try(module.targets.openings[name], {})) }
  seed     = var.openfaas.engine != "external" ? local.groups.gateway : { for name in slice(keys(local.groups.redis), 0, 1) : name => local.groups.redis[name] }
  stores = {
    REDIS_SEEDS          = join(",", module.inventory.redis_seeds)
    REDIS_CLUSTER        = tostring(module.inventory.redis_is_cluster)
    MONGO_HOSTS          = join(",", module.inventory.mongo_hosts)
    MONGO_AUTHENTICATION = tostring(var.mongodb.authentication)
    MONGO_REPLICA_SET    = tostring(length(local.groups.mongo) > 1)
  }
  again      = { secrets_version = tostring(var.secrets_version) }
  upstream   = var.openfaas.engine != "external" ? "http://${values(local.groups.gateway)[0].private_address}:8080" : var.openfaas.url
  public_url = "https://${var.domain}"

  ssh_config = join("", [
    for name, host in module.inventory.hosts : templatefile("${path.module}/ssh_config.tftpl", {
      name = name, host = host, key_file = var.ssh.key_file, bastion = var.ssh.bastion
    })
  ])
  known_hosts = join("", concat(
    [for host in module.inventory.hosts : "${host.ssh_port == 22 ? host.address : "[${host.address}]:${host.ssh_port}"} ${host.host_key}\n" if host.host_key != null],
    [for bastion in [var.ssh.bastion] : "${bastion.port == 22 ? bastion.address : "[${bastion.address}]:${bastion.port}"} ${bastion.host_key}\n" if try(bastion.host_key, null) != null],
  ))
}

resource "terraform_data" "supported" {
  lifecycle {
    precondition {
      condition     = var.openfaas.engine != "external" || can(regex("^https?://", var.openfaas.url))
      error_message = "openfaas.url is the address of the gateway that exists, and engine external needs it."
    }
    precondition {
      condition     = contains(["acme", "files", "internal"], var.tls)
      error_message = "tls is acme, files or internal."
    }
    precondition {
      condition     = var.openfaas.engine != "faasd" || !contains(keys(local.groups.gateway), coalesce(local.watcher, "-"))
      error_message = "observability.host: faasd brings a Prometheus of its own to the server with the role gateway; name another."
    }
    precondition {
      condition     = var.observability == null || can(module.inventory.hosts[local.watcher])
      error_message = "observability.host: ${coalesce(local.watcher, "nothing")} is none of hosts (${join(", ", keys(module.inventory.hosts))})."
    }
    precondition {
      condition     = length(local.groups.backup) == (var.backup == null ? 0 : 1)
      error_message = "backup: one server with the role backup writes them, and it needs backup.public_key."
    }
  }
}

module "node" {
  source              = "../node"
  depends_on          = [terraform_data.supported]
  hosts               = module.inventory.hosts
  openings            = local.openings
  ssh                 = var.ssh
  wipe_data           = var.wipe_data
  admin_cidrs         = var.admin_cidrs
  manage_sysctl       = var.manage_sysctl
  manage_firewall     = var.manage_firewall
  insecure_registries = var.insecure_registries
}

module "gpu" {
  source          = "../node-gpu"
  depends_on      = [module.node]
  hosts           = { for name, host in local.groups.gpu : name => host if host.gpus > 0 }
  ssh             = var.ssh
  wipe_data       = var.wipe_data
  ssh_config      = local.ssh_config
  known_hosts     = local.known_hosts
  install_driver  = var.install_gpu_driver
  driver_packages = var.gpu.driver_packages
  package_source  = var.gpu.package_source
  test_image      = var.gpu.test_image
}

module "secrets" {
  source          = "../secrets"
  depends_on      = [module.node]
  hosts           = local.seed
  everyone        = module.inventory.hosts
  ssh             = var.ssh
  wipe_data       = var.wipe_data
  secrets_version = var.secrets_version
  given           = join("\n", [for name, value in var.secrets : "${name}=${value}"])
  ssh_config      = local.ssh_config
  known_hosts     = local.known_hosts
}

module "tls" {
  source      = "../tls"
  depends_on  = [module.secrets]
  hosts       = merge(local.groups.redis, local.groups.mongo)
  authority   = keys(local.seed)[0]
  ssh         = var.ssh
  wipe_data   = var.wipe_data
  ssh_config  = local.ssh_config
  known_hosts = local.known_hosts
}

module "redis" {
  source      = "../redis"
  depends_on  = [module.tls]
  hosts       = local.groups.redis
  ports       = module.inventory.redis_ports
  settings    = var.redis_settings
  ssh         = var.ssh
  wipe_data   = var.wipe_data
  image       = var.redis_image
  triggers    = local.again
  ssh_config  = local.ssh_config
  known_hosts = local.known_hosts
}

module "mongodb" {
  source         = "../mongodb"
  depends_on     = [module.tls]
  ssh_config     = local.ssh_config
  known_hosts    = local.known_hosts
  hosts          = local.groups.mongo
  ssh            = var.ssh
  wipe_data      = var.wipe_data
  image          = var.mongodb.image
  authentication = var.mongodb.authentication
  command        = var.mongodb.command
  triggers       = local.again
}

module "openfaas" {
  source          = "../openfaas"
  depends_on      = [module.redis, module.mongodb]
  hosts           = var.openfaas.engine == "jangada" ? local.groups.gateway : {}
  ssh             = var.ssh
  wipe_data       = var.wipe_data
  release         = var.release
  image_prefix    = var.image_prefix
  stores          = local.stores
  stack_file      = var.stack_file
  public_url      = local.public_url
  secrets_version = var.secrets_version
  triggers        = local.again
}

module "faasd" {
  source     = "../faasd"
  depends_on = [module.redis, module.mongodb]
  hosts      = var.openfaas.engine == "faasd" ? local.groups.gateway : {}
  ssh        = var.ssh
  wipe_data  = var.wipe_data
  triggers   = local.again
  release    = var.openfaas
}

module "executor" {
  source       = "../executor"
  depends_on   = [module.openfaas, module.faasd, module.gpu]
  hosts        = { for name, host in module.inventory.hosts : name => host if contains(keys(module.inventory.executors), name) }
  executors    = module.inventory.executors
  ssh          = var.ssh
  wipe_data    = var.wipe_data
  release      = var.release
  image_prefix = var.image_prefix
  stores       = local.stores
  triggers     = local.again
  metrics_port = module.targets.first_executor_port
}

module "observability" {
  source          = "../observability"
  depends_on      = [module.redis, module.openfaas, module.executor]
  hosts           = var.observability == null ? {} : module.inventory.hosts
  ssh             = var.ssh
  wipe_data       = var.wipe_data
  triggers        = local.again
  watcher         = local.watcher
  scrapes         = module.targets.scrapes
  redis           = module.targets.redis
  redis_arguments = "-tls-ca-cert-file=/etc/jangada/data-tls/root.crt"
  grafana_image   = try(var.observability.grafana, false) ? var.observability.grafana_image : null
  retention_days  = try(var.observability.retention_days, null)
}

# All clients have MongoDB's new user by now; the one before goes.
resource "terraform_data" "retire" {
  count      = var.mongodb.authentication ? 1 : 0
  depends_on = [module.openfaas, module.executor, module.backup]

  triggers_replace = local.again

  provisioner "local-exec" {
    command = "bash ${path.module}/../../files/mongodb-rollout.sh retire"
    environment = {
      HOSTS       = join(" ", [for member in local.groups.mongo : "${member.name}=${member.private_address}"])
      SSH_CONFIG  = local.ssh_config
      KNOWN_HOSTS = local.known_hosts
    }
  }
}

module "edge" {
  source      = "../edge"
  depends_on  = [module.executor]
  hosts       = local.groups.edge
  ssh         = var.ssh
  wipe_data   = var.wipe_data
  domain      = var.domain
  tls         = var.tls
  upstream    = local.upstream
  engine      = var.openfaas.engine
  routes      = module.openfaas.routes
  admin_cidrs = var.admin_cidrs
}

module "backup" {
  source       = "../backup"
  depends_on   = [module.openfaas]
  hosts        = local.groups.backup
  backup       = var.backup
  ssh          = var.ssh
  wipe_data    = var.wipe_data
  release      = var.release
  image_prefix = var.image_prefix
  stores       = local.stores
  triggers     = local.again
}
