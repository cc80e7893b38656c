# The provider's own schema, and none of its servers: scripts/build_hcloud.sh makes it where there is no registry.

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
  mock_resource "hcloud_placement_group" {
    defaults = { id = "41" }
  }
  mock_resource "hcloud_volume" {
    defaults = { id = "51" }
  }
  mock_resource "hcloud_server" {
    defaults = { id = "61", ipv4_address = "198.51.100.7" }
  }
}

variables {
  name            = "small"
  location        = "fsn1"
  admin_cidrs     = ["203.0.113.0/24"]
  ssh_public_keys = { me = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample me@example.org" }
  servers = {
    front = { type = "cx33", number = 10, roles = ["gateway", "edge"] }
    data  = { type = "cx33", number = 11, roles = ["redis", "mongo"], volume_gib = 40 }
    work  = { type = "cx43", number = 12, roles = ["cpu"], labels = { disk = "fast" } }
  }
}

run "it_ends_in_the_map_of_hosts" {
  command = plan
  assert {
    condition = jsonencode(output.hosts) == jsonencode({
      front = { address = "198.51.100.7", private_address = "10.77.0.10", ssh_user = "jangada", host_key = null, labels = {}, roles = ["edge", "gateway"], data_path = null }
      data  = { address = "198.51.100.7", private_address = "10.77.0.11", ssh_user = "jangada", host_key = null, labels = {}, roles = ["mongo", "redis"], data_path = "/mnt/HC_Volume_51/jangada" }
      work  = { address = "198.51.100.7", private_address = "10.77.0.12", ssh_user = "jangada", host_key = null, labels = { disk = "fast" }, roles = ["cpu"], data_path = null }
    })
    error_message = "hosts: ${jsonencode(output.hosts)}"
  }
}

run "only_the_edge_is_public_and_ssh_is_for_administrators" {
  command = plan
  override_resource {
    target          = hcloud_firewall.edge
    override_during = plan
    values          = { id = "22" }
  }
  assert {
    condition = alltrue(flatten([for rule in hcloud_firewall.inside.rule : [
      rule.port == "22" ? jsonencode(rule.source_ips) == jsonencode(["203.0.113.0/24"]) : rule.protocol == "icmp"
    ]]))
    error_message = "inside: ${jsonencode(hcloud_firewall.inside.rule)}"
  }
  assert {
    condition     = sort([for rule in hcloud_firewall.edge.rule : rule.port]) == tolist(["443", "80"])
    error_message = "edge: ${jsonencode(hcloud_firewall.edge.rule)}"
  }
  assert {
    condition     = jsonencode({ for name, server in hcloud_server.one : name => server.firewall_ids }) == jsonencode({ data = [21], front = [21, 22], work = [21] })
    error_message = "firewalls: ${jsonencode([for server in hcloud_server.one : server.firewall_ids])}"
  }
}

run "cloud_init_makes_the_account_and_no_more" {
  command = plan
  assert {
    condition     = keys(yamldecode(hcloud_server.one["front"].user_data)) == ["disable_root", "ssh_pwauth", "users"]
    error_message = hcloud_server.one["front"].user_data
  }
  assert {
    condition     = yamldecode(hcloud_server.one["front"].user_data).users[0].ssh_authorized_keys == [var.ssh_public_keys.me]
    error_message = hcloud_server.one["front"].user_data
  }
}

run "a_disk_for_what_lasts_and_for_nothing_else" {
  command = plan
  assert {
    condition     = keys(hcloud_volume.data) == ["data"] && hcloud_volume.data["data"].size == 40 && hcloud_volume.data["data"].delete_protection
    error_message = "volumes"
  }
}

run "members_of_a_cluster_are_kept_apart" {
  command = plan
  variables {
    servers = {
      a = { type = "cx33", number = 10, roles = ["gateway", "edge", "mongo"] }
      b = { type = "cx33", number = 11, roles = ["mongo"] }
      c = { type = "cx33", number = 12, roles = ["mongo", "redis"] }
      d = { type = "cx33", number = 13, roles = ["cpu"] }
    }
  }
  assert {
    condition     = { for name, server in hcloud_server.one : name => server.placement_group_id != null } == { a = true, b = true, c = true, d = false }
    error_message = "placement"
  }
}

run "two_servers_with_one_number" {
  command = plan
  variables {
    servers = {
      a = { type = "cx33", number = 10, roles = ["gateway"] }
      b = { type = "cx33", number = 10, roles = ["cpu"] }
    }
  }
  expect_failures = [var.servers]
}

run "a_network_that_is_none" {
  command = plan
  variables {
    network_cidr = "10.77.0.0/16"
    admin_cidrs  = ["office"]
  }
  expect_failures = [var.network_cidr, var.admin_cidrs]
}

run "a_private_key_by_mistake" {
  command = plan
  variables {
    ssh_public_keys = { me = "-----BEGIN OPENSSH PRIVATE KEY-----" }
  }
  expect_failures = [var.ssh_public_keys]
}
