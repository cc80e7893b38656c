# Servers with GPUs: driver, a restart where a new driver asks for one, toolkit, and one container that sees them.

module "driver" {
  source    = "../apply"
  role      = "gpu-driver"
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  config = {
    for name, host in var.hosts : name => {
      GPUS            = tostring(host.gpus)
      INSTALL_DRIVER  = tostring(var.install_driver)
      DRIVER_PACKAGES = join(" ", var.driver_packages)
    }
  }
  files = {
    for name, host in var.hosts : name => var.package_source == null ? {} : {
      "source.list" = "${var.package_source.line}\n"
      "source.asc"  = file(var.package_source.key_file)
    }
  }
}

# A restart cuts every connection, so it is asked for and waited for from here.
resource "terraform_data" "restart" {
  for_each         = var.install_driver ? var.hosts : {}
  triggers_replace = { driver = module.driver.ids[each.key] }

  provisioner "local-exec" {
    command     = "${path.module}/../../files/reboot.sh"
    interpreter = ["bash"]
    environment = {
      HOST        = each.key
      WITHIN      = "600"
      SSH_CONFIG  = var.ssh_config
      KNOWN_HOSTS = var.known_hosts
    }
  }
}

module "apply" {
  source     = "../apply"
  depends_on = [module.driver, terraform_data.restart]
  role       = "gpu"
  hosts      = var.hosts
  ssh        = var.ssh
  wipe_data  = var.wipe_data
  config     = { for name, host in var.hosts : name => { GPUS = tostring(host.gpus), TEST_IMAGE = var.test_image } }
}
