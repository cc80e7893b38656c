variable "hosts" {
  description = "The inventory's hosts that get this role."
  type        = any
}

variable "ssh" {
  description = "How to reach the servers."
  type        = any
}

variable "wipe_data" {
  description = "Whether data goes too when the role is removed."
  type        = bool
  default     = false
}

variable "image" {
  description = "Redis 6.2 or newer, or Valkey."
  type        = string
}

variable "ports" {
  description = "The instances of each server."
  type        = list(number)
}

variable "settings" {
  description = "More lines of redis.conf: name → value."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name, value in var.settings : can(regex("^[a-z][a-z0-9-]*$", name)) && !can(regex("[\r\n]", value))])
    error_message = "redis_settings: names as in redis.conf, values on one line."
  }
  validation {
    condition = alltrue([
      for name in keys(var.settings) :
      !can(regex("^(bind|port|dir|include|user|requirepass|masterauth|masteruser|aclfile|appendonly|maxmemory-policy|tls-.*|cluster-.*)$", name))
    ])
    error_message = format("redis_settings: these are the platform's own: %s.", join(", ", [
      for name in keys(var.settings) : name
      if can(regex("^(bind|port|dir|include|user|requirepass|masterauth|masteruser|aclfile|appendonly|maxmemory-policy|tls-.*|cluster-.*)$", name))
    ]))
  }
}

variable "triggers" {
  description = "More that makes it run again."
  type        = map(string)
  default     = {}
}

variable "ssh_config" {
  description = "Text of an ssh_config for all hosts."
  type        = string
}

variable "known_hosts" {
  description = "Text of a known_hosts for all hosts."
  type        = string
}
