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

variable "triggers" {
  description = "More that makes it run again."
  type        = map(string)
  default     = {}
}

variable "release" {
  description = "Which release, with the checksums of its files; urls: a mirror's instead of its makers'."
  type = object({
    version     = optional(string, "0.19.7")
    accept_eula = optional(bool, false)
    sha256      = optional(map(string), {})
    urls        = optional(map(string), {})
  })

  validation {
    condition     = length(var.hosts) == 0 || var.release.accept_eula
    error_message = "openfaas.accept_eula: OpenFaaS CE and faasd are under a licence of their own (60 days in a company, no redistribution); true says that you have read and accept it. docs/operate.md tells more."
  }
  validation {
    condition     = length(var.hosts) == 0 || alltrue([for name in ["faasd", "source", "plugins"] : can(regex("^[0-9a-f]{64}$", var.release.sha256[name]))])
    error_message = "openfaas.sha256 has the checksums of faasd, source and plugins: 64 hexadecimal digits each, which you have compared with the releases' own pages."
  }
  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.release.version)) && alltrue([for name, url in var.release.urls : contains(["faasd", "source", "plugins"], name) && can(regex("^https?://[^ ']+$", url))])
    error_message = "openfaas.version is as 0.19.7; openfaas.urls has addresses for faasd, source, plugins."
  }
}
