# terraform test: what is rendered for one server and for a cluster, and which settings are ours.

variables {
  ssh         = { key_file = "/dev/null", timeout = "1s", bastion = null }
  image       = "redis:7.2.5"
  ports       = [6379, 6380]
  ssh_config  = ""
  known_hosts = ""
  hosts = {
    a = { name = "a", address = "10.0.0.1", private_address = "10.0.0.1", ssh_user = "root", ssh_port = 22, host_key = null, data_path = "/data" }
    b = { name = "b", address = "10.0.0.2", private_address = "10.0.0.2", ssh_user = "root", ssh_port = 22, host_key = null, data_path = "/data" }
    c = { name = "c", address = "10.0.0.3", private_address = "10.0.0.3", ssh_user = "root", ssh_port = 22, host_key = null, data_path = "/data" }
  }
}

run "a_cluster_is_rolled_out_once" {
  command = plan
  assert {
    condition     = length(terraform_data.rollout) == 1 && keys(output.bundles) == ["a", "b", "c"]
    error_message = "three servers, one rollout"
  }
}

run "one_server_needs_no_rollout" {
  command = plan
  variables {
    ports = [6379]
    hosts = { a = { name = "a", address = "10.0.0.1", private_address = "10.0.0.1", ssh_user = "root", ssh_port = 22, host_key = null, data_path = "/data" } }
  }
  assert {
    condition     = length(terraform_data.rollout) == 0
    error_message = "there is nobody to wait for"
  }
}

run "settings_that_durability_stands_on_are_ours" {
  command = plan
  variables {
    settings = { "slowlog-max-len" = "256", "appendonly" = "no", "tls-port" = "1" }
  }
  expect_failures = [var.settings]
}

run "a_setting_is_one_line" {
  command = plan
  variables {
    settings = { "slowlog-max-len" = "256\nport 6379" }
  }
  expect_failures = [var.settings]
}
