# Algorithms on servers: containers that pull jobs.

module "apply" {
  source    = "../apply"
  role      = "executor"
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  triggers  = var.triggers
  config = {
    for name, host in var.hosts : name => merge(
      var.stores,
      var.metrics_port == null ? {} : { METRICS_PORT = tostring(var.metrics_port), PRIVATE_ADDRESS = host.private_address },
    )
  }
  files = {
    for name, host in var.hosts : name => {
      "executors" = join("", [
        for id, one in try(var.executors[name], {}) : format("%s\n", join("\t", [
          id,
          "${var.image_prefix}/jangada-${one.algorithm}${one.kind == "gpu" ? "-gpu" : ""}:${var.release}",
          one.kind, tostring(one.replicas), tostring(one.slots),
          one.memory == null ? "-" : one.memory, one.cpu == null ? "-" : tostring(one.cpu), tostring(one.gpus),
        ]))
      ])
    }
  }
}
