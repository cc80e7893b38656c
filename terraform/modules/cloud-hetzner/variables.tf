variable "name" {
  description = "Stands before the name of everything that is made at the provider."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", var.name))
    error_message = "name has lower-case letters, digits and hyphens, at most 32."
  }
}

variable "servers" {
  description = "The machines by name: what is rented, and what each is for."
  nullable    = false
  type = map(object({
    type       = string                        # the provider's word, such as cx33
    roles      = set(string)                   # as in the inventory
    number     = number                        # its address is this one in the private network: it stays when others go
    volume_gib = optional(number, 0)           # a disk that outlives the machine, for what lasts
    image      = optional(string, "debian-12") # looked at when it is made, not after
    host_key   = optional(string)              # its ECDSA key, once you have read it on its console
    labels     = optional(map(string), {})
  }))

  validation {
    condition     = length(var.servers) > 0
    error_message = "servers: at least one is needed."
  }
  validation {
    condition     = alltrue([for name in keys(var.servers) : can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", name))])
    error_message = "servers: a name has lower-case letters, digits and hyphens, at most 32."
  }
  validation {
    condition     = alltrue([for server in var.servers : server.number >= 2 && server.number <= 250 && floor(server.number) == server.number])
    error_message = "servers: number is a whole one from 2 to 250."
  }
  validation {
    condition = length(distinct([for server in var.servers : server.number])) == length(var.servers)
    error_message = format("servers: every one needs a number of its own; shared: %s.", join("; ", [
      for number in distinct([for server in var.servers : server.number]) :
      format("%d by %s", number, join(", ", [for name, server in var.servers : name if server.number == number]))
      if length([for server in var.servers : server if server.number == number]) > 1
    ]))
  }
  validation {
    condition     = alltrue([for server in var.servers : server.volume_gib == 0 || server.volume_gib >= 10 && server.volume_gib <= 10240])
    error_message = "servers: volume_gib is 0 or from 10 to 10240."
  }
}

variable "location" {
  description = "Where the machines and disks are: fsn1, nbg1, hel1, …"
  type        = string
}

variable "network_zone" {
  description = "The private network's part of the world; that of the location."
  type        = string
  default     = "eu-central"
}

variable "network_cidr" {
  description = "The private network: a /24."
  type        = string
  default     = "10.77.0.0/24"

  validation {
    condition     = can(cidrhost(var.network_cidr, 250)) && endswith(var.network_cidr, "/24")
    error_message = "network_cidr is a /24, as 10.77.0.0/24."
  }
}

variable "ssh_public_keys" {
  description = "Name → line of a public key that may log in."
  type        = map(string)

  validation {
    condition     = length(var.ssh_public_keys) > 0
    error_message = "ssh_public_keys: without one nobody gets in."
  }
  validation {
    condition     = alltrue([for key in var.ssh_public_keys : can(regex("^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/=]+", key))])
    error_message = "ssh_public_keys: a value is the line of a .pub file."
  }
}

variable "ssh_user" {
  description = "The account that is made, with sudo."
  type        = string
  default     = "jangada"
}

variable "admin_cidrs" {
  description = "Networks that may use SSH."
  type        = set(string)

  validation {
    condition     = length(var.admin_cidrs) > 0 && alltrue([for cidr in var.admin_cidrs : can(cidrhost(cidr, 0))])
    error_message = format("admin_cidrs: no network: %s. Expected as 203.0.113.0/24, at least one.", join(", ", [for cidr in var.admin_cidrs : cidr if !can(cidrhost(cidr, 0))]))
  }
}

variable "public_cidrs" {
  description = "Networks that may use the public address."
  type        = set(string)
  default     = ["0.0.0.0/0", "::/0"]

  validation {
    condition     = alltrue([for cidr in var.public_cidrs : can(cidrhost(cidr, 0))])
    error_message = format("public_cidrs: no network: %s. Expected as 203.0.113.0/24.", join(", ", [for cidr in var.public_cidrs : cidr if !can(cidrhost(cidr, 0))]))
  }
}
