variable "hosts" {
  description = "The inventory's hosts that get this role."
  type        = any
}

variable "ssh" {
  description = "How to reach the servers."
  type        = any
}

variable "wipe_data" {
  description = "Whether data goes too when the role is removed; backups never do."
  type        = bool
  default     = false
}

variable "release" {
  description = "Tag of our images."
  type        = string
}

variable "image_prefix" {
  description = "Where our images are."
  type        = string
}

variable "stores" {
  description = "Where Redis and MongoDB are, without credentials."
  type        = map(string)
}

variable "triggers" {
  description = "More that makes it run again."
  type        = map(string)
  default     = {}
}

variable "backup" {
  description = "public_key: age's, its private key is nowhere on the servers; schedule: systemd's OnCalendar; keep: how many; path. Null where no server has the role."
  type = object({
    public_key = string
    schedule   = optional(string, "*-*-* 02:30:00")
    keep       = optional(number, 14)
    path       = optional(string, "/var/backups/jangada")
  })

  validation {
    condition     = var.backup == null || can(regex("^age1[02-9ac-hj-np-z]{58}$", var.backup.public_key))
    error_message = "backup.public_key is what age-keygen calls the public key: age1 and 58 more characters."
  }
  validation {
    condition     = try(var.backup.keep >= 1 && floor(var.backup.keep) == var.backup.keep, true)
    error_message = "backup.keep is a whole number, 1 or more."
  }
  validation {
    condition     = var.backup == null || can(regex("^/[^ ']+$", var.backup.path))
    error_message = "backup.path is an absolute path without spaces."
  }
  validation {
    condition     = var.backup == null || can(regex("^[A-Za-z0-9*,./: ~-]+$", var.backup.schedule))
    error_message = "backup.schedule is as systemd's OnCalendar, such as *-*-* 02:30:00 or hourly."
  }
}
