output "hosts" {
  description = "As the inventory takes them."
  value = {
    for name, server in var.servers : name => {
      address         = hcloud_server.one[name].ipv4_address
      private_address = cidrhost(var.network_cidr, server.number)
      ssh_user        = var.ssh_user
      host_key        = server.host_key
      roles           = server.roles
      labels          = server.labels
      # Where the provider's own image mounts the disk.
      data_path = server.volume_gib > 0 ? "/mnt/HC_Volume_${hcloud_volume.data[name].id}/jangada" : null
    }
  }
  # Not before the disk is there.
  depends_on = [hcloud_volume_attachment.data]
}
