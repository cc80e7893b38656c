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

variable "openings" {
  description = "Host → port → networks that may reach it."
  type        = map(map(set(string)))
}

variable "admin_cidrs" {
  description = "Networks that may use SSH."
  type        = set(string)
}

variable "manage_sysctl" {
  description = "Set the kernel's limits; not in containers, where they are the host's."
  type        = bool
  default     = true
}

variable "manage_firewall" {
  description = "Keep everything out that is not named."
  type        = bool
  default     = true
}

variable "insecure_registries" {
  description = "Registries without TLS that the Engine may use."
  type        = set(string)
  default     = []
}
