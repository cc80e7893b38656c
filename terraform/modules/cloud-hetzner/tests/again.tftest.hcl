# What a second apply must not do. Without disks: one that must not be destroyed could not be cleaned up either.

mock_provider "hcloud" {
  mock_resource "hcloud_network" {
    defaults = { id = "11" }
  }
  mock_resource "hcloud_firewall" {
    defaults = { id = "21" }
  }
  mock_resource "hcloud_ssh_key" {
    defaults = { id = "31" }
  }
}

variables {
  name            = "small"
  location        = "fsn1"
  admin_cidrs     = ["203.0.113.0/24"]
  ssh_public_keys = { me = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample me@example.org" }
}

run "a_machine_is_made" {
  command = apply
  variables {
    servers = { front = { type = "cx33", number = 10, roles = ["gateway", "edge"] } }
  }
  assert {
    condition     = hcloud_server.one["front"].image == "debian-12"
    error_message = "image"
  }
}

run "another_image_makes_no_other_machine" {
  command = plan
  variables {
    servers = { front = { type = "cx33", number = 10, roles = ["gateway", "edge"], image = "debian-13" } }
  }
  assert {
    condition     = hcloud_server.one["front"].image == "debian-12"
    error_message = "a new image would destroy the machine"
  }
}
