# Pure: who is asked for metrics, where, and which ports are opened for that. No resources.

terraform {
  required_version = ">= 1.11"
}

variable "hosts" {
  description = "The inventory's hosts."
  type        = any
}

variable "executors" {
  description = "Host → id → what it runs."
  type        = any
}

variable "redis_seeds" {
  description = "address:port of every Redis instance."
  type        = list(string)
}

variable "redis_scheme" {
  description = "redis, or rediss where it has TLS."
  type        = string
  default     = "redis"
}

variable "watcher" {
  description = "Name of the server that watches; null: none."
  type        = string
  default     = null
}

locals {
  first     = 9200
  addresses = { for name, host in var.hosts : name => host.private_address }
  executors = {
    for name, address in local.addresses : name => [
      for number in range(sum(concat([0], [for one in try(var.executors[name], {}) : one.replicas]))) : local.first + number
    ]
  }
  redis = { for name, address in local.addresses : name => [for seed in var.redis_seeds : seed if startswith(seed, "${address}:")] }
  ports = var.watcher == null ? {} : {
    for name, host in var.hosts : name => concat(
      [9100],
      contains(host.roles, "gateway") ? [8082] : [],
      length(local.redis[name]) > 0 ? [9121] : [],
      local.executors[name],
    )
  }
}

output "first_executor_port" {
  description = "Where a server's first executor tells of itself; the others follow."
  value       = var.watcher == null ? null : local.first
}

output "openings" {
  description = "Host → port → networks that may reach it: the watcher alone."
  value = {
    for name in keys(var.hosts) : name => { for port in try(local.ports[name], []) : tostring(port) => toset([local.addresses[var.watcher]]) }
  }
}

output "redis" {
  description = "Host → its instances, as the exporter asks them."
  value       = { for name, seeds in local.redis : name => [for seed in seeds : "${var.redis_scheme}://${seed}"] }
}

output "scrapes" {
  description = "Prometheus' scrape_configs."
  value = [
    {
      job_name       = "jangada-gateway"
      static_configs = [for name, host in var.hosts : { targets = ["${host.private_address}:8082"], labels = { server = name } } if contains(host.roles, "gateway")]
    },
    {
      job_name       = "jangada-executors"
      static_configs = [for name, ports in local.executors : { targets = [for port in ports : "${local.addresses[name]}:${port}"], labels = { server = name } } if length(ports) > 0]
    },
    {
      job_name       = "jangada-servers"
      static_configs = [for name, address in local.addresses : { targets = ["${address}:9100"], labels = { server = name } }]
    },
    {
      job_name     = "jangada-redis"
      metrics_path = "/scrape"
      # One exporter on a server asks every instance there.
      static_configs = flatten([
        for name, seeds in local.redis : [
          for seed in seeds : {
            targets = ["${local.addresses[name]}:9121"]
            labels  = { server = name, instance = seed, __param_target = "${var.redis_scheme}://${seed}" }
          }
        ]
      ])
    },
  ]
}
