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

variable "everyone" {
  description = "All the inventory's hosts."
  type        = any
}

variable "secrets_version" {
  description = "A higher one makes new secrets."
  type        = number
}

variable "given" {
  description = "NAME=VALUE lines of an operator's own."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "ssh_config" {
  description = "Text of an ssh_config for all hosts."
  type        = string
}

variable "known_hosts" {
  description = "Text of a known_hosts for all hosts."
  type        = string
}
