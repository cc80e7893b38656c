# What an operator writes about the servers. A wrong value is refused here, before anything is touched, and named.

variable "hosts" {
  description = "The servers by name, and what each is for."
  nullable    = false
  type = map(object({
    address         = string                   # where SSH reaches it: an address or a name
    private_address = optional(string)         # where the others reach it: an address; default: address
    ssh_user        = optional(string, "root") # root, or somebody who may sudo without a password
    ssh_port        = optional(number, 22)
    host_key        = optional(string) # its ECDSA key, as in /etc/ssh/ssh_host_ecdsa_key.pub
    roles           = set(string)
    data_path       = optional(string, "/var/lib/jangada/data")
    gpus            = optional(number, 0)
    labels          = optional(map(string), {})
  }))

  validation {
    condition     = length(var.hosts) > 0
    error_message = "hosts: at least one server is needed."
  }
  validation {
    condition     = alltrue([for name in keys(var.hosts) : can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", name))])
    error_message = "hosts: a name has lower-case letters, digits and hyphens, as a host name."
  }
  validation {
    condition = alltrue(flatten([
      for host in var.hosts : [for role in host.roles : contains(["gateway", "redis", "mongo", "cpu", "gpu", "edge", "backup"], role)]
    ]))
    error_message = format("hosts: unknown roles: %s. Known are gateway, redis, mongo, cpu, gpu, edge, backup.", join("; ", [
      for name, host in var.hosts : format("%s has %s", name, join(", ", setsubtract(host.roles, ["gateway", "redis", "mongo", "cpu", "gpu", "edge", "backup"])))
      if length(setsubtract(host.roles, ["gateway", "redis", "mongo", "cpu", "gpu", "edge", "backup"])) > 0
    ]))
  }
  validation {
    condition = (
      length(distinct([for host in var.hosts : "${host.address}:${host.ssh_port}"])) == length(var.hosts)
      && length(distinct([for host in var.hosts : coalesce(host.private_address, host.address)])) == length(var.hosts)
    )
    error_message = format("hosts: every server needs an address of its own; shared: %s.", join("; ", [
      for address in distinct([for host in var.hosts : coalesce(host.private_address, host.address)]) :
      format("%s by %s", address, join(", ", [for name, host in var.hosts : name if coalesce(host.private_address, host.address) == address]))
      if length([for host in var.hosts : host if coalesce(host.private_address, host.address) == address]) > 1
    ]))
  }
  validation {
    condition = alltrue([
      for host in var.hosts : can(cidrhost("${coalesce(host.private_address, host.address)}/${strcontains(coalesce(host.private_address, host.address), ":") ? 128 : 32}", 0))
    ])
    error_message = "hosts: private_address must be an address (services listen on it); needed wherever address is a name."
  }
  validation {
    condition     = alltrue([for host in var.hosts : host.ssh_port > 0 && host.ssh_port < 65536])
    error_message = "hosts: ssh_port is 1 to 65535."
  }
  validation {
    condition     = alltrue([for host in var.hosts : host.host_key == null || can(regex("^ecdsa-sha2-nistp(256|384|521) [A-Za-z0-9+/=]+", host.host_key))])
    error_message = "hosts: host_key is the line in the server's /etc/ssh/ssh_host_ecdsa_key.pub (ecdsa-sha2-…); Terraform's SSH asks for that kind first."
  }
  validation {
    condition     = alltrue([for host in var.hosts : can(regex("^/[^ ']+$", host.data_path))])
    error_message = "hosts: data_path is an absolute path without spaces."
  }
  validation {
    condition     = alltrue([for host in var.hosts : host.gpus >= 0 && floor(host.gpus) == host.gpus && (host.gpus == 0 || contains(host.roles, "gpu"))])
    error_message = "hosts: gpus is how many a server with the role gpu has."
  }
  validation {
    condition     = length([for host in var.hosts : host if contains(host.roles, "mongo")]) % 2 == 1
    error_message = format("hosts: %d have the role mongo; it takes one, or an odd number from three.", length([for host in var.hosts : host if contains(host.roles, "mongo")]))
  }
  validation {
    condition     = contains([1], length([for host in var.hosts : host if contains(host.roles, "redis")])) || length([for host in var.hosts : host if contains(host.roles, "redis")]) >= 3
    error_message = format("hosts: %d have the role redis; it takes one, or three and more for a cluster.", length([for host in var.hosts : host if contains(host.roles, "redis")]))
  }
}

# tflint-ignore: terraform_unused_declarations  # only checked here
variable "engine" {
  description = "jangada: our gateway, on the hosts with the role gateway; external: one that exists."
  type        = string
  default     = "jangada"
  nullable    = false

  validation {
    condition     = contains(["jangada", "faasd", "external"], var.engine)
    error_message = "openfaas.engine is jangada, faasd or external."
  }
  validation {
    condition     = length([for host in var.hosts : host if contains(host.roles, "gateway")]) == (var.engine == "external" ? 0 : 1)
    error_message = "hosts: engines jangada and faasd need one server with the role gateway, engine external none."
  }
}

variable "executors" {
  description = "What runs where: replicas are per server."
  type = map(object({
    algorithm = string
    kind      = optional(string, "cpu")
    hosts     = optional(set(string)) # names; default: all with the role of its kind
    labels    = optional(map(string), {})
    replicas  = optional(number, 1)
    cpu       = optional(number) # processors for one replica
    memory    = optional(string) # as 2g, for one replica
    gpus      = optional(number, 1)
    slots     = optional(number, 1)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for one in var.executors : contains(["cpu", "gpu"], one.kind)])
    error_message = "executors: kind is cpu or gpu."
  }
  validation {
    condition     = alltrue([for name, one in var.executors : can(regex("^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$", name)) && can(regex("^[a-z0-9][a-z0-9-]*$", one.algorithm))])
    error_message = "executors: names and algorithms have lower-case letters, digits and hyphens."
  }
  validation {
    condition     = alltrue([for one in var.executors : one.replicas >= 0 && floor(one.replicas) == one.replicas && one.slots >= 1 && one.gpus >= 1])
    error_message = "executors: replicas is 0 or more, slots and gpus 1 or more, whole numbers."
  }
  validation {
    condition     = alltrue([for one in var.executors : one.memory == null || can(regex("^[1-9][0-9]*[kmg]$", one.memory))])
    error_message = "executors: memory is a whole number with k, m or g, as 2g."
  }
  validation {
    condition = alltrue(flatten([
      for one in var.executors : [for host in coalesce(one.hosts, []) : contains(try(var.hosts[host].roles, []), one.kind)]
    ]))
    error_message = format("executors: %s", join("; ", flatten([
      for name, one in var.executors : [
        for host in coalesce(one.hosts, []) : "${name} names ${host}, which is no server with the role ${one.kind}"
        if !contains(try(var.hosts[host].roles, []), one.kind)
      ]
    ])))
  }
  validation {
    condition = alltrue([
      for one in var.executors : anytrue([for host in var.hosts : contains(host.roles, one.kind)])
    ])
    error_message = format("executors: %s", join("; ", [
      for name, one in var.executors : "${name} needs a server with the role ${one.kind}, and there is none"
      if !anytrue([for host in var.hosts : contains(host.roles, one.kind)])
    ]))
  }
  validation {
    condition = alltrue(flatten([
      for one in var.executors : [
        for name, host in var.hosts : one.gpus * one.replicas <= host.gpus
        if one.kind == "gpu" && contains(coalesce(one.hosts, keys(var.hosts)), name) && contains(host.roles, "gpu")
      ]
    ]))
    error_message = "executors: replicas times gpus of a gpu executor is more than a server's gpus."
  }
}

# tflint-ignore: terraform_unused_declarations  # only checked here
variable "admin_cidrs" {
  description = "Networks that may use SSH and /system."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.admin_cidrs : can(cidrhost(cidr, 0))])
    error_message = format("admin_cidrs: no network: %s. Expected as 203.0.113.0/24.", join(", ", [for cidr in var.admin_cidrs : cidr if !can(cidrhost(cidr, 0))]))
  }
  validation {
    condition     = length(var.admin_cidrs) > 0
    error_message = "admin_cidrs: without one nobody reaches the servers again."
  }
}

variable "public_cidrs" {
  description = "Networks that may use the public address; all by default."
  type        = set(string)
  default     = ["0.0.0.0/0", "::/0"]
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.public_cidrs : can(cidrhost(cidr, 0))])
    error_message = format("public_cidrs: no network: %s. Expected as 203.0.113.0/24.", join(", ", [for cidr in var.public_cidrs : cidr if !can(cidrhost(cidr, 0))]))
  }
}
