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

variable "authority" {
  description = "Name of the host that signs: the one with the role secrets."
  type        = string
}

variable "ssh_config" {
  description = "Text of an ssh_config for all hosts."
  type        = string
}

variable "known_hosts" {
  description = "Text of a known_hosts for all hosts."
  type        = string
}
