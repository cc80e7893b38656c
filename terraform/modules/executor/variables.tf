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

variable "release" {
  description = "Tag of our images."
  type        = string
}

variable "image_prefix" {
  description = "Where our images are."
  type        = string
}

variable "stores" {
  description = "REDIS_SEEDS, REDIS_CLUSTER, MONGO_HOSTS, MONGO_AUTHENTICATION, MONGO_REPLICA_SET: where Redis and MongoDB are, without credentials."
  type        = map(string)
}

variable "triggers" {
  description = "More that makes it run again."
  type        = map(string)
  default     = {}
}

variable "metrics_port" {
  description = "Where a server's first executor tells of itself in the private network, the others on those after; null: nowhere."
  type        = number
  default     = null
}

variable "executors" {
  description = "Host → id → what it runs, as the inventory places it."
  type        = any
}
