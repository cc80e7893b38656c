# terraform test: a replica set has one rollout, and knows users.

variables {
  ssh            = { key_file = "/dev/null", timeout = "1s", bastion = null }
  image          = "mongo:7.0.14"
  authentication = true
  command        = []
  ssh_config     = ""
  known_hosts    = ""
  hosts = {
    a = { name = "a", address = "10.0.0.1", private_address = "10.0.0.1", ssh_user = "root", ssh_port = 22, host_key = null, data_path = "/data" }
    b = { name = "b", address = "10.0.0.2", private_address = "10.0.0.2", ssh_user = "root", ssh_port = 22, host_key = null, data_path = "/data" }
    c = { name = "c", address = "10.0.0.3", private_address = "10.0.0.3", ssh_user = "root", ssh_port = 22, host_key = null, data_path = "/data" }
  }
}

run "a_replica_set_is_rolled_out_once" {
  command = plan
  assert {
    condition     = length(terraform_data.rollout) == 1
    error_message = "three servers, one rollout"
  }
}

run "a_stand_in_without_users_is_one_server" {
  command = plan
  variables {
    authentication = false
  }
  expect_failures = [terraform_data.rollout]
}
