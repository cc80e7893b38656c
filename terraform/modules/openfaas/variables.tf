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

variable "stack_file" {
  description = "The stack.yml whose functions are deployed."
  type        = string
}

variable "public_url" {
  description = "How clients reach the platform."
  type        = string
}

variable "secrets_version" {
  description = "With another one the functions start anew and read their secrets."
  type        = number
}
