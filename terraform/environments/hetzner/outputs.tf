output "gateway_url" {
  description = "Where clients go."
  value       = module.platform.gateway_url
}

output "hosts" {
  description = "Role → names of servers."
  value       = module.platform.hosts
}

output "redis_seeds" {
  value = module.platform.redis_seeds
}

output "mongo_hosts" {
  value = module.platform.mongo_hosts
}

output "release" {
  value = module.platform.release
}

output "ssh_config" {
  description = "ssh -F: how to reach the servers."
  value       = module.platform.ssh_config
}

output "known_hosts" {
  description = "The servers' own keys."
  value       = module.platform.known_hosts
}

output "backup" {
  description = "Where backups lie; scripts/restore.sh reads it."
  value       = module.platform.backup
}

output "machines" {
  description = "What scripts/infra.sh tries to reach."
  value       = module.platform.machines
}

output "applied" {
  description = "Role → host → digest: what scripts/infra.sh compares with the servers."
  value       = module.platform.applied
}

output "next_steps" {
  value = <<-TEXT
    first admin key:  scripts/infra.sh key ENV
    who may do what:  curl ${module.platform.gateway_url}/v1/whoami -H 'Authorization: Bearer KEY'
    faas-cli:         from ${join(", ", var.admin_cidrs)} with --gateway ${module.platform.gateway_url}
  TEXT
}
