# Our gateway with functions as containers, and the functions of stack.yml.

locals {
  functions = yamldecode(file(var.stack_file)).functions
  # As deploy_functions.py names them: the last part of the name stays, prefix and tag are ours.
  images = [for function in local.functions : "${var.image_prefix}/${split(":", reverse(split("/", function.image))[0])[0]}:${var.release}"]
}

module "apply" {
  source    = "../apply"
  role      = "openfaas"
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  triggers  = var.triggers
  scripts   = ["deploy_functions.py"]
  config = {
    for name, host in var.hosts : name => merge(var.stores, {
      DATA_PATH       = host.data_path
      PRIVATE_ADDRESS = host.private_address
      PUBLIC_URL      = var.public_url
      RELEASE         = var.release
      IMAGE_PREFIX    = var.image_prefix
      GATEWAY_IMAGE   = "${var.image_prefix}/jangada-gateway:${var.release}"
      FUNCTION_IMAGES = join(" ", local.images)
      SECRETS_VERSION = tostring(var.secrets_version)
    })
  }
  files = { for name, host in var.hosts : name => { "stack.yml" = file(var.stack_file) } }
}

output "routes" {
  description = "Public path → function, as the functions' annotations say."
  value = merge([
    for name, function in local.functions : {
      for word in split(",", try(function.annotations["jangada.io/routes"], "")) :
      (startswith(trimspace(word), "/") ? trimspace(word) : "/v1/${trimspace(word)}") => name if trimspace(word) != ""
    }
  ]...)
}
