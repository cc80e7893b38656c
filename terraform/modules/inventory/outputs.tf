output "hosts" {
  description = "All, with defaults filled in."
  value       = local.hosts
}

output "groups" {
  description = "Role → name → host."
  value       = local.groups
}

output "redis_seeds" {
  description = "address:port of every Redis instance."
  value       = local.redis_seeds
}

output "redis_ports" {
  description = "The instances of every server with the role redis."
  value       = [for index in range(local.redis_per_host) : 6379 + index]
}

output "redis_is_cluster" {
  value = local.redis_count > 1
}

output "mongo_hosts" {
  description = "address:port of every member."
  value       = [for host in local.groups.mongo : "${host.private_address}:27017"]
}

output "mongo_quorum" {
  description = "How many members must stay up."
  value       = floor(length(local.groups.mongo) / 2) + 1
}

output "executors" {
  description = "Host → what it runs."
  value       = { for name, executors in local.placed : name => executors if length(executors) > 0 }
}

output "openings" {
  description = "Host → port → networks that may reach it; SSH and the public port apart."
  value = {
    for name, host in local.hosts : name => merge(
      # A cluster's bus is 10000 above its port, and only for its members.
      contains(host.roles, "redis") ? merge([
        for index in range(local.redis_per_host) : merge(
          { tostring(6379 + index) = local.reaching.redis },
          local.redis_count > 1 ? { tostring(16379 + index) = toset([for member in local.groups.redis : member.private_address]) } : {},
        )
      ]...) : {},
      contains(host.roles, "mongo") ? { "27017" = local.reaching.mongo } : {},
      contains(host.roles, "gateway") ? { "8080" = toset([for edge in local.groups.edge : edge.private_address]) } : {},
      contains(host.roles, "edge") ? { "80" = var.public_cidrs, "443" = var.public_cidrs } : {},
    )
  }
}
