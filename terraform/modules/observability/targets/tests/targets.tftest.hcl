variables {
  hosts = {
    front = { private_address = "10.0.0.1", roles = ["gateway", "edge"] }
    data  = { private_address = "10.0.0.2", roles = ["redis", "mongo"] }
    work  = { private_address = "10.0.0.3", roles = ["cpu"] }
  }
  executors   = { work = { ocr = { replicas = 2 }, metadata = { replicas = 1 } } }
  redis_seeds = ["10.0.0.2:6379", "10.0.0.2:6380"]
  watcher     = "front"
}

run "everything_is_asked_and_the_watcher_alone_may_ask" {
  command = plan
  assert {
    condition = jsonencode({ for name, ports in output.openings : name => keys(ports) }) == jsonencode({
      data = ["9100", "9121"], front = ["8082", "9100"], work = ["9100", "9200", "9201", "9202"]
    })
    error_message = jsonencode(output.openings)
  }
  assert {
    condition     = jsonencode(distinct(flatten([for ports in output.openings : [for networks in ports : tolist(networks)]]))) == jsonencode(["10.0.0.1"])
    error_message = jsonencode(output.openings)
  }
  assert {
    condition     = output.redis == { front = [], work = [], data = ["redis://10.0.0.2:6379", "redis://10.0.0.2:6380"] }
    error_message = jsonencode(output.redis)
  }
  assert {
    condition     = output.first_executor_port == 9200
    error_message = "executors' ports"
  }
}

run "an_address_that_begins_like_another" {
  command = plan
  variables {
    redis_seeds  = ["10.0.0.22:6379"]
    redis_scheme = "rediss"
    hosts = {
      front = { private_address = "10.0.0.2", roles = ["gateway"] }
      data  = { private_address = "10.0.0.22", roles = ["redis"] }
    }
  }
  assert {
    condition     = output.redis == { front = [], data = ["rediss://10.0.0.22:6379"] }
    error_message = jsonencode(output.redis)
  }
}

run "nobody_watches_and_nothing_is_opened" {
  command = plan
  variables {
    watcher = null
  }
  assert {
    condition     = alltrue([for ports in output.openings : length(ports) == 0]) && output.first_executor_port == null
    error_message = jsonencode(output.openings)
  }
}
