variables {
  hosts = {
    front = { name = "front", address = "10.0.0.1", private_address = "10.0.0.1", ssh_user = "root", ssh_port = 22, host_key = null, data_path = "/srv" }
    data  = { name = "data", address = "10.0.0.2", private_address = "10.0.0.2", ssh_user = "root", ssh_port = 22, host_key = null, data_path = "/srv" }
  }
  ssh     = { key_file = "/dev/null", timeout = "10s", bastion = null }
  watcher = "front"
  scrapes = [{ job_name = "jangada-gateway", static_configs = [{ targets = ["10.0.0.1:8082"] }] }]
  redis   = { data = ["redis://10.0.0.2:6379"] }
}

run "prometheus_reads_what_it_is_given" {
  command = plan
  assert {
    condition     = yamldecode(output.configuration).scrape_configs == var.scrapes && length(yamldecode(output.configuration).rule_files) == 2
    error_message = output.configuration
  }
  assert {
    condition     = keys(output.bundles) == ["data", "front"] && output.bundles.data != output.bundles.front
    error_message = "every server tells, one watches"
  }
}

run "half_a_day" {
  command = plan
  variables {
    retention_days = 0.5
  }
  expect_failures = [var.retention_days]
}
