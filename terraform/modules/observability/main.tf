# Prometheus, Grafana, and what every server tells of itself.

locals {
  deploy = "${path.module}/../../../deploy"
  configuration = yamlencode({
    global         = { scrape_interval = "15s", evaluation_interval = "15s" }
    rule_files     = ["rules.yml", "servers.yml"]
    scrape_configs = var.scrapes
  })
  datasource = yamlencode({
    apiVersion = 1
    datasources = [{
      name      = "Prometheus", uid = "jangada", type = "prometheus", access = "proxy", url = "http://127.0.0.1:9090"
      isDefault = true, jsonData = { timeInterval = "15s" }
    }]
  })
  dashboards = yamlencode({
    apiVersion = 1
    providers  = [{ name = "jangada", type = "file", options = { path = "/var/lib/grafana-dashboards" } }]
  })
}

module "apply" {
  source    = "../apply"
  role      = "observability"
  hosts     = var.hosts
  ssh       = var.ssh
  wipe_data = var.wipe_data
  triggers  = var.triggers
  config = {
    for name, host in var.hosts : name => {
      DATA_PATH       = host.data_path
      PRIVATE_ADDRESS = host.private_address
      WATCHES         = tostring(name == var.watcher)
      GRAFANA_IMAGE   = var.grafana_image == null ? "-" : var.grafana_image
      RETENTION_DAYS  = tostring(var.retention_days)
      REDIS_TARGETS   = join(" ", try(var.redis[name], []))
      REDIS_ARGUMENTS = var.redis_arguments
    }
  }
  files = {
    for name, host in var.hosts : name => name != var.watcher ? {} : {
      "prometheus.yml" = local.configuration
      "rules.yml"      = file("${local.deploy}/prometheus/rules.yml")
      "servers.yml"    = file("${path.module}/../../files/servers.rules.yml")
      "datasource.yml" = local.datasource
      "dashboards.yml" = local.dashboards
      "jangada.json"   = file("${local.deploy}/grafana/dashboards/jangada.json")
    }
  }
}
