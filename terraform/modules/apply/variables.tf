variable "role" {
  description = "Its apply.sh is terraform/files/ROLE.sh."
  type        = string
}

variable "hosts" {
  description = "The inventory's hosts that get it."
  type        = any
}

variable "config" {
  description = "Host → name → value: config.env, which apply.sh reads. No secrets: it is in the state."
  type        = map(map(string))
}

variable "files" {
  description = "Host → name → content of files beside apply.sh. No secrets."
  type        = map(map(string))
  default     = {}
}

variable "scripts" {
  description = "More files of terraform/files that go beside apply.sh."
  type        = set(string)
  default     = []
}

variable "secrets" {
  description = "NAME=VALUE lines that apply.sh finds in the file given-secrets and removes; never in state or plan."
  type        = string
  default     = ""
  sensitive   = true
  ephemeral   = true
}

variable "triggers" {
  description = "More that makes it run again, such as secrets_version."
  type        = map(string)
  default     = {}
}

variable "ssh" {
  description = "How to reach the servers."
  type = object({
    key_file = string
    timeout  = string
    bastion  = any
  })
}

variable "wipe_data" {
  description = "Whether data goes too when the role is removed."
  type        = bool
  default     = false
}
