variable "hosts" {
  description = "The inventory's hosts: all of them tell, one watches."
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

variable "triggers" {
  description = "More that makes it run again."
  type        = map(string)
  default     = {}
}

variable "watcher" {
  description = "Name of the server that has Prometheus and Grafana."
  type        = string
}

variable "scrapes" {
  description = "Prometheus' scrape_configs, as targets makes them."
  type        = any
}

variable "redis" {
  description = "Host → its Redis instances, as the exporter asks them."
  type        = map(list(string))
}

variable "redis_arguments" {
  description = "More for the exporter, such as where the authority of Redis' certificates is."
  type        = string
  default     = ""
}

variable "grafana_image" {
  description = "Grafana 10 or newer; null: no Grafana."
  type        = string
  default     = "grafana/grafana:12.0.0"
}

variable "retention_days" {
  description = "How long Prometheus keeps what it saw."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.retention_days >= 1 && floor(var.retention_days) == var.retention_days
    error_message = "observability.retention_days is a whole number from 1."
  }
}
