variable "name" {
  description = "Stands before the name of everything that is made at the provider."
  type        = string
  default     = "jangada"
}

variable "servers" {
  description = "What is rented: name → type, roles, number, volume_gib?, image?, host_key?, labels?."
  type        = any
}

variable "location" {
  description = "Where: fsn1, nbg1, hel1, …"
  type        = string
}

variable "network_zone" {
  description = "The location's part of the world."
  type        = string
  default     = "eu-central"
}

variable "network_cidr" {
  description = "The private network: a /24."
  type        = string
  default     = "10.77.0.0/24"
}

variable "ssh_public_keys" {
  description = "Name → line of a public key that may log in. ssh_key_file is the private half of one."
  type        = map(string)
}

variable "executors" {
  description = "What runs where: name → algorithm, kind?, hosts?, labels?, replicas?, slots?, cpu?, memory?, gpus?."
  type        = any
  default     = {}
}

variable "openfaas" {
  description = "engine: jangada, faasd or external; url: of an external gateway; version, accept_eula, sha256, urls: of faasd."
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
  description = "Tag of our images; default: the repository's VERSION."
  type        = string
  default     = null
}

variable "image_prefix" {
  description = "Where our images are."
  type        = string
  default     = "ghcr.io/jangada"
}

variable "redis_image" {
  description = "Redis 6.2 or newer, or Valkey."
  type        = string
  default     = "redis:7.2.5"
}

variable "redis_settings" {
  description = "More lines of redis.conf: name → value."
  type        = map(string)
  default     = {}
}

variable "mongodb" {
  description = "The image. Only a stand-in in a lab has no authentication, and another command than mongod."
  type = object({
    image          = optional(string, "mongo:7.0.14")
    authentication = optional(bool, true)
    command        = optional(list(string), [])
  })
  default = {}
}

variable "domain" {
  description = "Name (or address) that clients use."
  type        = string
}

variable "tls" {
  description = "acme, files (in /etc/jangada/tls on the edge) or internal (an own authority)."
  type        = string
  default     = "acme"
}

variable "admin_cidrs" {
  description = "Networks that may use SSH and /system."
  type        = set(string)
}

variable "public_cidrs" {
  description = "Networks that may use the public address."
  type        = set(string)
  default     = ["0.0.0.0/0", "::/0"]
}

variable "ssh_key_file" {
  description = "Path of the private key; null asks the agent."
  type        = string
  default     = null
}

variable "ssh_timeout" {
  description = "How long to try to reach a server; a new one needs a while to start."
  type        = string
  default     = "5m"
}

variable "secrets" {
  description = "Own values instead of random ones: redis-password, mongo-password, gateway-password."
  type        = map(string)
  default     = {}
  sensitive   = true
  ephemeral   = true

  validation {
    condition     = alltrue([for name in keys(var.secrets) : contains(["redis-password", "mongo-password", "gateway-password"], name)])
    error_message = "secrets: known are redis-password, mongo-password, gateway-password."
  }
}

variable "secrets_version" {
  description = "A higher number makes new secrets."
  type        = number
  default     = 1
}

variable "wipe_data" {
  description = "Whether destroy takes the data too."
  type        = bool
  default     = false
}

variable "observability" {
  description = "host: name of the server with Prometheus and Grafana; grafana: false leaves that out; retention_days. null: nobody watches."
  type = object({
    host           = string
    grafana        = optional(bool, true)
    grafana_image  = optional(string, "grafana/grafana:12.0.0")
    retention_days = optional(number, 30)
  })
  default = null
}

variable "install_gpu_driver" {
  description = "Install NVIDIA's driver where a server with gpus has none, and restart it for that."
  type        = bool
  default     = false
}

variable "gpu" {
  description = "driver_packages: what the driver is in the servers' packages; package_source: line and key_file of where packages for GPUs come from; test_image: any small image."
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
