# Machines, network, firewall and disks at Hetzner Cloud. All of it ends in the map `hosts`; what is done with it is the
# same as on servers that exist.

locals {
  labels  = { managed-by = "terraform", installation = var.name }
  volumes = { for name, server in var.servers : name => server if server.volume_gib > 0 }
  # Of Redis and MongoDB no two shall be on one machine of the provider's.
  spread = toset([for role in ["redis", "mongo"] : role if length([for server in var.servers : server if contains(server.roles, role)]) > 1])
}

resource "hcloud_network" "private" {
  name     = var.name
  ip_range = var.network_cidr
  labels   = local.labels
}

resource "hcloud_network_subnet" "private" {
  network_id   = hcloud_network.private.id
  type         = "cloud"
  network_zone = var.network_zone
  ip_range     = var.network_cidr
}

resource "hcloud_ssh_key" "admin" {
  for_each   = var.ssh_public_keys
  name       = "${var.name}-${each.key}"
  public_key = each.value
  labels     = local.labels
}

# The servers' own firewall says the same, and more: within the private network as well.
resource "hcloud_firewall" "inside" {
  name   = "${var.name}-inside"
  labels = local.labels

  rule {
    description = "ssh"
    direction   = "in"
    protocol    = "tcp"
    port        = "22"
    source_ips  = sort(var.admin_cidrs)
  }
  rule {
    description = "icmp"
    direction   = "in"
    protocol    = "icmp"
    source_ips  = ["0.0.0.0/0", "::/0"]
  }
}

resource "hcloud_firewall" "edge" {
  name   = "${var.name}-edge"
  labels = local.labels

  dynamic "rule" {
    for_each = toset(["80", "443"])
    content {
      description = "edge ${rule.value}"
      direction   = "in"
      protocol    = "tcp"
      port        = rule.value
      source_ips  = sort(var.public_cidrs)
    }
  }
}

resource "hcloud_placement_group" "apart" {
  count  = length(local.spread) > 0 ? 1 : 0
  name   = "${var.name}-apart"
  type   = "spread"
  labels = local.labels
}

resource "hcloud_server" "one" {
  for_each           = var.servers
  name               = "${var.name}-${each.key}"
  server_type        = each.value.type
  image              = each.value.image
  location           = var.location
  ssh_keys           = [for key in hcloud_ssh_key.admin : key.id]
  firewall_ids       = concat([hcloud_firewall.inside.id], contains(each.value.roles, "edge") ? [hcloud_firewall.edge.id] : [])
  placement_group_id = length(setintersection(each.value.roles, local.spread)) > 0 ? hcloud_placement_group.apart[0].id : null
  labels             = local.labels

  # The account and its keys, and nothing else: the rest comes over SSH, can be repeated and looked at.
  user_data = templatefile("${path.module}/cloud-init.yml.tftpl", { user = var.ssh_user, keys = values(var.ssh_public_keys) })

  network {
    network_id = hcloud_network.private.id
    ip         = cidrhost(var.network_cidr, each.value.number)
    alias_ips  = []
  }

  depends_on = [hcloud_network_subnet.private]

  lifecycle {
    # With any of these another machine would be made in its place. Who wants that says -replace.
    ignore_changes = [image, user_data, location, ssh_keys, placement_group_id]
  }
}

resource "hcloud_volume" "data" {
  for_each          = local.volumes
  name              = "${var.name}-${each.key}"
  size              = each.value.volume_gib
  location          = var.location
  format            = "ext4"
  delete_protection = true
  labels            = local.labels

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [location, format]
  }
}

resource "hcloud_volume_attachment" "data" {
  for_each  = local.volumes
  server_id = hcloud_server.one[each.key].id
  volume_id = hcloud_volume.data[each.key].id
  automount = true
}
