# Containers as servers, for tests and for trying things: tests/integration/terraform/lab makes them.

terraform {
  required_version = ">= 1.11"
}

module "platform" {
  source              = "../../modules/platform"
  hosts               = var.hosts
  executors           = var.executors
  openfaas            = var.openfaas
  release             = local.release
  image_prefix        = var.image_prefix
  redis_image         = var.redis_image
  redis_settings      = var.redis_settings
  mongodb             = var.mongodb
  domain              = var.domain
  tls                 = var.tls
  admin_cidrs         = var.admin_cidrs
  public_cidrs        = var.public_cidrs
  ssh                 = { key_file = var.ssh_key_file, timeout = var.ssh_timeout, bastion = var.bastion }
  secrets             = var.secrets
  secrets_version     = var.secrets_version
  stack_file          = local.stack_file
  wipe_data           = var.wipe_data
  manage_sysctl       = var.manage_sysctl
  manage_firewall     = var.manage_firewall
  observability       = var.observability
  install_gpu_driver  = var.install_gpu_driver
  gpu                 = var.gpu
  insecure_registries = var.insecure_registries
  backup              = var.backup
}

locals {
  root       = "${path.module}/../../.."
  release    = coalesce(var.release, trimspace(file("${local.root}/VERSION")))
  stack_file = "${local.root}/stack.yml"
}
