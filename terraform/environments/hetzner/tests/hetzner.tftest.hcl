# The whole environment against the provider's schema: what dedicated gets from its operator, this gets from machines.

mock_provider "hcloud" {
  override_during = plan
  mock_resource "hcloud_network" {
    defaults = { id = "11" }
  }
  mock_resource "hcloud_firewall" {
    defaults = { id = "21" }
  }
  mock_resource "hcloud_ssh_key" {
    defaults = { id = "31" }
  }
  mock_resource "hcloud_volume" {
    defaults = { id = "51" }
  }
  mock_resource "hcloud_server" {
    defaults = { id = "61", ipv4_address = "198.51.100.7" }
  }
}

variables {
  domain          = "jangada.example.org"
  location        = "fsn1"
  admin_cidrs     = ["203.0.113.0/24"]
  ssh_key_file    = "/dev/null"
  ssh_public_keys = { me = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample me@example.org" }
  servers         = { front = { type = "cx33", number = 10, volume_gib = 40, roles = ["gateway", "edge", "redis", "mongo", "cpu"] } }
  executors       = { ocr = { algorithm = "doc-ocr" } }
}

run "a_machine_becomes_a_platform" {
  command = plan
  assert {
    condition     = output.machines == { front = { address = "198.51.100.7", port = 22, checked = false } }
    error_message = "machines: ${jsonencode(output.machines)}"
  }
  assert {
    condition     = output.redis_seeds == ["10.77.0.10:6379"] && output.hosts.cpu == ["front"]
    error_message = "seeds: ${jsonencode(output.redis_seeds)}"
  }
  assert {
    condition     = strcontains(output.ssh_config, "User jangada")
    error_message = output.ssh_config
  }
}
