# terraform test: what an operator may write, and what is refused with the field's name.

variables {
  admin_cidrs = ["10.0.0.0/8"]
  hosts = {
    one = { address = "10.0.0.1", roles = ["gateway", "redis", "mongo", "cpu", "edge"] }
  }
}

run "one_server_is_enough" {
  command = plan
  assert {
    condition     = output.redis_seeds == ["10.0.0.1:6379"] && !output.redis_is_cluster && output.mongo_hosts == ["10.0.0.1:27017"] && output.mongo_quorum == 1
    error_message = "seeds of one server"
  }
  assert {
    condition     = output.hosts.one.private_address == "10.0.0.1" && output.hosts.one.ssh_user == "root" && output.hosts.one.ssh_port == 22
    error_message = "defaults"
  }
  assert {
    condition     = keys(output.groups.gateway) == ["one"] && keys(output.groups.gpu) == []
    error_message = "groups"
  }
  assert {
    condition     = jsonencode(keys(output.openings.one)) == jsonencode(["27017", "443", "6379", "80", "8080"])
    error_message = "openings: ${jsonencode(output.openings)}"
  }
}

run "a_cluster_over_three_hosts" {
  command = plan
  variables {
    hosts = {
      a = { address = "198.51.100.1", private_address = "10.0.0.1", roles = ["redis", "mongo", "gateway"] }
      b = { address = "198.51.100.2", private_address = "10.0.0.2", roles = ["redis", "mongo", "edge"] }
      c = { address = "198.51.100.3", private_address = "10.0.0.3", roles = ["redis", "mongo", "cpu"] }
    }
  }
  assert {
    condition     = length(output.redis_seeds) == 6 && output.redis_is_cluster && contains(output.redis_seeds, "10.0.0.3:6380")
    error_message = "six instances on three hosts"
  }
  assert {
    condition     = output.mongo_quorum == 2 && length(output.mongo_hosts) == 3
    error_message = "quorum"
  }
  assert {
    condition     = output.openings.a["8080"] == toset(["10.0.0.2"]) && output.openings.b["16380"] == toset(["10.0.0.1", "10.0.0.2", "10.0.0.3"]) && !contains(keys(output.openings.c), "8080")
    error_message = "only the edge reaches the gateway, only the platform Redis"
  }
}

run "data_is_open_to_those_who_use_it_alone" {
  command = plan
  variables {
    hosts = {
      a = { address = "10.0.0.1", roles = ["redis"] }
      b = { address = "10.0.0.2", roles = ["redis"] }
      c = { address = "10.0.0.3", roles = ["redis"] }
      d = { address = "10.0.0.4", roles = ["redis", "mongo"] }
      e = { address = "10.0.0.5", roles = ["gateway"] }
      f = { address = "10.0.0.6", roles = ["edge"] }
      g = { address = "10.0.0.7", roles = ["cpu"] }
    }
  }
  assert {
    condition     = length(output.redis_seeds) == 8 && output.redis_ports == [6379, 6380]
    error_message = "two instances each, however many servers: ${jsonencode(output.redis_seeds)}"
  }
  assert {
    condition     = output.openings.a["16379"] == toset(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"])
    error_message = "the bus is for members: ${jsonencode(output.openings.a)}"
  }
  assert {
    condition     = output.openings.a["6380"] == toset(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.7"])
    error_message = "Redis is for members, functions and executors: ${jsonencode(output.openings.a)}"
  }
  assert {
    condition     = output.openings.d["27017"] == toset(["10.0.0.4", "10.0.0.5", "10.0.0.7"])
    error_message = "MongoDB is not for the other data hosts: ${jsonencode(output.openings.d)}"
  }
}

run "executors_are_placed_by_kind_name_and_label" {
  command = plan
  variables {
    hosts = {
      a = { address = "10.0.0.1", roles = ["redis", "mongo", "gateway", "cpu"], labels = { disk = "fast" } }
      b = { address = "10.0.0.2", roles = ["cpu"] }
      g = { address = "10.0.0.3", roles = ["gpu"], gpus = 2 }
    }
    executors = {
      everywhere = { algorithm = "text-langid" }
      named      = { algorithm = "doc-ocr", hosts = ["b"] }
      labelled   = { algorithm = "doc-metadata", labels = { disk = "fast" } }
      embed      = { algorithm = "text-embed", kind = "gpu", replicas = 2 }
    }
  }
  assert {
    condition = { for host, found in output.executors : host => keys(found) } == {
      a = ["everywhere", "labelled"], b = ["everywhere", "named"], g = ["embed"]
    }
    error_message = "placed: ${jsonencode(output.executors)}"
  }
}

run "two_hosts_with_one_address" {
  command = plan
  variables {
    hosts = {
      a = { address = "10.0.0.1", roles = ["gateway", "redis", "mongo"] }
      b = { address = "10.0.0.1", roles = ["cpu"] }
    }
  }
  expect_failures = [var.hosts]
}

run "an_even_number_of_mongo_members" {
  command = plan
  variables {
    hosts = {
      a = { address = "10.0.0.1", roles = ["gateway", "redis", "mongo"] }
      b = { address = "10.0.0.2", roles = ["mongo"] }
    }
  }
  expect_failures = [var.hosts]
}

run "two_redis_hosts" {
  command = plan
  variables {
    hosts = {
      a = { address = "10.0.0.1", roles = ["gateway", "redis", "mongo"] }
      b = { address = "10.0.0.2", roles = ["redis"] }
    }
  }
  expect_failures = [var.hosts]
}

run "an_unknown_role" {
  command = plan
  variables {
    hosts = { a = { address = "10.0.0.1", roles = ["gateway", "redis", "mongo", "fpga"] } }
  }
  expect_failures = [var.hosts]
}

run "a_name_as_address_without_a_private_one" {
  command = plan
  variables {
    hosts = { a = { address = "a.example.org", roles = ["gateway", "redis", "mongo"] } }
  }
  expect_failures = [var.hosts]
}

run "an_ed25519_host_key" {
  command = plan
  variables {
    hosts = { a = { address = "10.0.0.1", host_key = "ssh-ed25519 AAAA", roles = ["gateway", "redis", "mongo"] } }
  }
  expect_failures = [var.hosts]
}

run "no_gateway" {
  command = plan
  variables {
    hosts = { a = { address = "10.0.0.1", roles = ["redis", "mongo"] } }
  }
  expect_failures = [var.engine]
}

run "an_external_gateway_needs_none_of_ours" {
  command = plan
  variables {
    engine = "external"
    hosts  = { a = { address = "10.0.0.1", roles = ["redis", "mongo", "edge"] } }
  }
}

run "a_gpu_executor_without_a_gpu_host" {
  command = plan
  variables {
    executors = { embed = { algorithm = "text-embed", kind = "gpu" } }
  }
  expect_failures = [var.executors]
}

run "more_gpus_than_there_are" {
  command = plan
  variables {
    hosts     = { a = { address = "10.0.0.1", roles = ["gateway", "redis", "mongo", "gpu"], gpus = 1 } }
    executors = { embed = { algorithm = "text-embed", kind = "gpu", replicas = 2 } }
  }
  expect_failures = [var.executors]
}

run "an_executor_on_a_host_that_is_not_there" {
  command = plan
  variables {
    executors = { ocr = { algorithm = "doc-ocr", hosts = ["nowhere"] } }
  }
  expect_failures = [var.executors]
}

run "a_bad_network" {
  command = plan
  variables {
    admin_cidrs  = ["10.0.0.0/33"]
    public_cidrs = ["everybody"]
  }
  expect_failures = [var.admin_cidrs, var.public_cidrs]
}
