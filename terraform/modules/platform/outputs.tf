output "gateway_url" {
  value = local.public_url
}

output "hosts" {
  description = "Role → names."
  value       = { for role, hosts in local.groups : role => keys(hosts) }
}

output "redis_seeds" {
  value = module.inventory.redis_seeds
}

output "mongo_hosts" {
  value = module.inventory.mongo_hosts
}

output "release" {
  value = var.release
}

output "ssh_config" {
  description = "For scripts/infra.sh and for people."
  value       = local.ssh_config
}

output "known_hosts" {
  value = local.known_hosts
}

output "backup" {
  description = "Where backups lie, and which key they are for."
  value       = var.backup == null ? null : { path = var.backup.path, public_key = var.backup.public_key }
}

output "machines" {
  description = "Host → how it is reached: what scripts/infra.sh tries before anything else."
  value       = { for name, host in module.inventory.hosts : name => { address = host.address, port = host.ssh_port, checked = host.host_key != null } }
}

output "applied" {
  description = "Role → host → digest of what is there: scripts/infra.sh asks whether it still is."
  value = {
    node          = module.node.bundles
    gpu           = module.gpu.bundles
    secrets       = module.secrets.bundles
    tls           = module.tls.bundles
    redis         = module.redis.bundles
    mongodb       = module.mongodb.bundles
    openfaas      = module.openfaas.bundles
    faasd         = module.faasd.bundles
    executor      = module.executor.bundles
    edge          = module.edge.bundles
    observability = module.observability.bundles
    backup        = module.backup.bundles
  }
}
