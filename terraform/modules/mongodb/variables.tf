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
  description = "MongoDB 6 or newer."
  type        = string
}

variable "authentication" {
  description = "Whether the server knows users; only a stand-in in a lab does not."
  type        = bool
}

variable "command" {
  description = "What the container runs instead of mongod; only for a stand-in. ADDRESS stands for the server's own."
  type        = list(string)
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
