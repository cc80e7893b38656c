# Pure: fills in defaults, groups by role, says who may reach whom. No resources.

terraform {
  required_version = ">= 1.11"
}

locals {
  hosts = {
    for name, host in var.hosts : name => merge(host, {
      name            = name
      private_address = coalesce(host.private_address, host.address)
    })
  }
  roles  = ["gateway", "redis", "mongo", "cpu", "gpu", "edge", "backup"]
  groups = { for role in local.roles : role => { for name, host in local.hosts : name => host if contains(host.roles, role) } }

  # Three hosts are enough for three masters and three replicas: two instances each. Always two, so that no instance
  # goes when a host comes.
  redis_count    = length(local.groups.redis)
  redis_per_host = local.redis_count == 1 ? 1 : 2
  redis_seeds = flatten([
    for name, host in local.groups.redis : [for index in range(local.redis_per_host) : "${host.private_address}:${6379 + index}"]
  ])

  placed = {
    for name, host in local.hosts : name => {
      for id, one in var.executors : id => one
      if contains(host.roles, one.kind)
      && contains(coalesce(one.hosts, keys(local.hosts)), name)
      && alltrue([for label, value in one.labels : try(host.labels[label], null) == value])
    }
  }
  # Who talks to the data: functions, executors, backup, and each data role's own members.
  reaching = {
    for data in ["redis", "mongo"] : data => toset([
      for host in local.hosts : host.private_address
      if length(setintersection(host.roles, ["gateway", "cpu", "gpu", "backup", data])) > 0
    ])
  }
}
