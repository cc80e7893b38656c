# Servers rented at Hetzner Cloud; hetzner.tfvars.example shows what to write. The token is read from HCLOUD_TOKEN.

terraform {
  required_version = ">= 1.11"

  required_providers {
    hcloud = {
      source  = "hetznercloud/hcloud"
      version = ">= 1.49, < 2.0"
    }
  }
}

module "machines" {
  source          = "../../modules/cloud-hetzner"
  name            = var.name
  servers         = var.servers
  location        = var.location
  network_zone    = var.network_zone
  network_cidr    = var.network_cidr
  ssh_public_keys = var.ssh_public_keys
  admin_cidrs     = var.admin_cidrs
  public_cidrs    = var.public_cidrs
}

module "platform" {
  source              = "../../modules/platform"
  hosts               = module.machines.hosts
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
  ssh                 = { key_file = var.ssh_key_file, timeout = var.ssh_timeout, bastion = null }
  secrets             = var.secrets
  secrets_version     = var.secrets_version
  stack_file          = local.stack_file
  wipe_data           = var.wipe_data
  manage_sysctl       = true
  manage_firewall     = true
  observability       = var.observability
  install_gpu_driver  = var.install_gpu_driver
  gpu                 = var.gpu
  insecure_registries = []
  backup              = var.backup
}

locals {
  root       = "${path.module}/../../.."
  release    = coalesce(var.release, trimspace(file("${local.root}/VERSION")))
  stack_file = "${local.root}/stack.yml"
}
