# What every environment passes on; the inventory says what is right.

variable "hosts" {
  type = any
}

variable "executors" {
  type    = any
  default = {}
}

variable "openfaas" {
  type = object({
    engine      = optional(string, "jangada")
    url         = optional(string)
    version     = optional(string, "0.19.7")
    accept_eula = optional(bool, false)
    sha256      = optional(map(string), {})
    urls        = optional(map(string), {})
  })
  default = {}
}

variable "release" {
  type = string
}

variable "image_prefix" {
  type = string
}

variable "redis_image" {
  type = string
}

variable "redis_settings" {
  type    = map(string)
  default = {}
}

variable "mongodb" {
  type = object({
    image          = string
    authentication = bool
    command        = list(string)
  })
}

variable "domain" {
  type = string
}

variable "tls" {
  type = string
}

variable "admin_cidrs" {
  type = set(string)
}

variable "public_cidrs" {
  type = set(string)
}

variable "ssh" {
  type = any
}

variable "secrets" {
  type      = map(string)
  default   = {}
  sensitive = true
  ephemeral = true
}

variable "secrets_version" {
  type = number
}

variable "stack_file" {
  type = string
}

variable "wipe_data" {
  type = bool
}

variable "manage_sysctl" {
  type = bool
}

variable "manage_firewall" {
  type = bool
}

variable "insecure_registries" {
  type = set(string)
}

variable "observability" {
  type = object({
    host           = string
    grafana        = optional(bool, true)
    grafana_image  = optional(string, "grafana/grafana:12.0.0")
    retention_days = optional(number, 30)
  })
  default = null
}

variable "install_gpu_driver" {
  type    = bool
  default = false
}

variable "gpu" {
  type = object({
    driver_packages = optional(list(string))
    package_source  = optional(object({ line = string, key_file = string }))
    test_image      = optional(string)
  })
  default = {}
}

variable "backup" {
  description = "public_key (age), schedule, keep, path; null: no server with the role backup."
  type = object({
    public_key = string
    schedule   = optional(string, "*-*-* 02:30:00")
    keep       = optional(number, 14)
    path       = optional(string, "/var/backups/jangada")
  })
  default = null
}
