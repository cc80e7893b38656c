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

variable "triggers" {
  description = "More that makes it run again."
  type        = map(string)
  default     = {}
}
