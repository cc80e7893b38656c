# Genuine OpenFaaS (faasd) from its makers' releases, where the operator has accepted its licence.

locals {
  urls = merge({
    faasd   = "https://github.com/openfaas/faasd/releases/download/${var.release.version}/faasd"
    source  = "https://github.com/openfaas/faasd/archive/refs/tags/${var.release.version}.tar.gz"
    plugins = "https://github.com/containernetworking/plugins/releases/download/v0.9.1/cni-plugins-linux-amd64-v0.9.1.tgz"
  }, var.release.urls)
}

module "apply" {
  source    = "../apply"
  role      = "faasd"
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  triggers  = var.triggers
  config = {
    for name, host in var.hosts : name => {
      VERSION       = var.release.version
      FAASD_URL     = local.urls.faasd
      FAASD_SHA256  = var.release.sha256.faasd
      SOURCE_URL    = local.urls.source
      SOURCE_SHA256 = var.release.sha256.source
      CNI_URL       = local.urls.plugins
      CNI_SHA256    = var.release.sha256.plugins
    }
  }
}
