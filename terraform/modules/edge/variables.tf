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

variable "domain" {
  description = "Name or address that clients use."
  type        = string
}

variable "tls" {
  description = "acme, files (/etc/jangada/tls) or internal (an own authority)."
  type        = string
}

variable "upstream" {
  description = "URL of the gateway, in the private network."
  type        = string
}

variable "engine" {
  description = "jangada: the gateway knows /v1 itself; else the edge translates."
  type        = string
}

variable "routes" {
  description = "Public path → function."
  type        = map(string)
}

variable "admin_cidrs" {
  description = "Networks that may use /system."
  type        = set(string)
}
