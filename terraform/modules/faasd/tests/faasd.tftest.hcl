variables {
  hosts = {
    front = { name = "front", address = "10.0.0.1", private_address = "10.0.0.1", ssh_user = "root", ssh_port = 22, host_key = null }
  }
  ssh = { key_file = "/dev/null", timeout = "10s", bastion = null }
  release = {
    accept_eula = true
    sha256      = { faasd = "1111111111111111111111111111111111111111111111111111111111111111", source = "2222222222222222222222222222222222222222222222222222222222222222", plugins = "3333333333333333333333333333333333333333333333333333333333333333" }
  }
}

run "its_makers_releases_are_the_default" {
  command = plan
  assert {
    condition     = alltrue([for url in output.urls : startswith(url, "https://github.com/")]) && strcontains(output.urls.faasd, "0.19.7")
    error_message = jsonencode(output.urls)
  }
}

run "a_licence_that_nobody_accepted" {
  command = plan
  variables {
    release = { sha256 = { faasd = "1111111111111111111111111111111111111111111111111111111111111111", source = "2222222222222222222222222222222222222222222222222222222222222222", plugins = "3333333333333333333333333333333333333333333333333333333333333333" } }
  }
  expect_failures = [var.release]
}

run "files_without_checksums" {
  command = plan
  variables {
    release = { accept_eula = true, sha256 = { faasd = "latest" } }
  }
  expect_failures = [var.release]
}

run "where_it_is_not_used_nothing_is_asked" {
  command = plan
  variables {
    hosts   = {}
    release = {}
  }
}
