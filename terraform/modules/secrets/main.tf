# Secrets are made on one server and brought to those that need them. Terraform never sees one that it was not given,
# and one that it was given is in neither state nor plan.

locals {
  seed = keys(var.hosts)[0]
  # Role → what a server with it needs.
  needs = {
    redis   = ["data-ca", "redis-password", "redis-password.before"]
    mongo   = ["data-ca", "mongo-keyfile", "mongo-password", "mongo-password.before", "mongo-user", "mongo-user.before"]
    gateway = concat(local.clients, ["gateway-password"])
    cpu     = local.clients
    gpu     = local.clients
    edge    = []
    backup  = local.clients
  }
  clients = ["data-ca", "mongo-password", "mongo-user", "redis-password"]
  receives = {
    for name, host in var.everyone : name => sort(distinct(flatten([for role in host.roles : local.needs[role]])))
    if name != local.seed && length(flatten([for role in host.roles : local.needs[role]])) > 0
  }
}

module "apply" {
  source    = "../apply"
  role      = "secrets"
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  secrets   = var.given
  config    = { for name, host in var.hosts : name => { SECRETS_VERSION = tostring(var.secrets_version) } }
}

resource "terraform_data" "exchange" {
  for_each   = local.receives
  depends_on = [module.apply]

  triggers_replace = {
    made    = module.apply.ids[local.seed]
    address = var.everyone[each.key].address
    names   = join(" ", each.value)
  }

  provisioner "local-exec" {
    command     = "${path.module}/../../files/exchange.sh"
    interpreter = ["bash"]
    environment = {
      FROM        = local.seed
      TO          = "${each.key} ${join(" ", each.value)}"
      SSH_CONFIG  = var.ssh_config
      KNOWN_HOSTS = var.known_hosts
    }
  }
}
