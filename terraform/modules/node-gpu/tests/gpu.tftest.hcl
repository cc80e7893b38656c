variables {
  hosts = {
    g1 = { name = "g1", address = "10.0.0.3", private_address = "10.0.0.3", ssh_user = "root", ssh_port = 22, host_key = null, gpus = 2 }
  }
  ssh         = { key_file = "/dev/null", timeout = "10s", bastion = null }
  ssh_config  = "Host g1"
  known_hosts = ""
}

run "a_driver_is_not_installed_unless_asked_for" {
  command = plan
  assert {
    condition     = length(terraform_data.restart) == 0
    error_message = "nothing restarts"
  }
  assert {
    condition     = keys(output.bundles) == ["g1"]
    error_message = "bundles"
  }
}

run "with_a_driver_comes_a_restart" {
  command = plan
  variables {
    install_driver = true
  }
  assert {
    condition     = keys(terraform_data.restart) == ["g1"]
    error_message = "restart"
  }
}

run "no_server_no_step" {
  command = plan
  variables {
    hosts          = {}
    install_driver = true
  }
  assert {
    condition     = length(terraform_data.restart) == 0 && length(output.bundles) == 0
    error_message = "nothing"
  }
}

run "an_unsigned_source" {
  command = plan
  variables {
    package_source = { line = "deb https://packages.example.org /", key_file = "/dev/null" }
  }
  expect_failures = [var.package_source]
}
