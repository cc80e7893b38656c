variable "hosts" {
  description = "The inventory's hosts that have GPUs."
  type        = any
}

variable "ssh" {
  description = "How to reach the servers."
  type        = any
}

variable "ssh_config" {
  description = "The text of an ssh configuration that knows the hosts by name."
  type        = string
}

variable "known_hosts" {
  description = "The text of a known_hosts file."
  type        = string
}

variable "wipe_data" {
  description = "Whether data goes too when the role is removed."
  type        = bool
  default     = false
}

variable "install_driver" {
  description = "Install NVIDIA's driver where there is none, and restart the server for it."
  type        = bool
  default     = false
}

variable "driver_packages" {
  description = "What the driver is in the server's packages; Debian's names are the default."
  type        = list(string)
  default     = ["linux-headers-amd64", "nvidia-kernel-dkms", "nvidia-smi", "libcuda1", "nvidia-persistenced"]
  nullable    = false

  validation {
    condition     = length(var.driver_packages) > 0 && alltrue([for name in var.driver_packages : can(regex("^[a-z0-9][a-z0-9+.-]+$", name))])
    error_message = "gpu.driver_packages are names of packages."
  }
}

variable "package_source" {
  description = "Where packages for GPUs come from: a line for sources.list, signed by /etc/apt/keyrings/jangada-gpu.asc, and the path of that key here."
  type        = object({ line = string, key_file = string })
  default     = null

  validation {
    condition     = var.package_source == null || can(regex("^deb \\[.*signed-by=/etc/apt/keyrings/jangada-gpu.asc.*\\] ", var.package_source.line))
    error_message = "gpu.package_source.line is as deb [signed-by=/etc/apt/keyrings/jangada-gpu.asc] https://… /"
  }
}

variable "test_image" {
  description = "Any small image: the toolkit brings nvidia-smi into it."
  type        = string
  default     = "debian:12.11-slim"
  nullable    = false
}
