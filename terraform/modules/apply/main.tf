# Brings one role to its servers: one upload, one run of apply.sh, and one more connection that confirms it.
#
# Terraform sees nothing of what is on a server. It runs this again when something of what is uploaded changed;
# scripts/infra.sh asks the servers themselves (apply.sh --check) and has those that differ replaced.

locals {
  source = "${path.module}/../../files"
  folder = "/var/lib/jangada/roles/${var.role}"
  upload = "/tmp/jangada-${var.role}-upload"

  files = {
    for name, host in var.hosts : name => merge(
      { for script in setunion(["lib.sh"], var.scripts) : script => file("${local.source}/${script}") },
      { "apply.sh" = file("${local.source}/${var.role}.sh") },
      try(var.files[name], {}),
      { "config.env" = join("", [for key, value in var.config[name] : "${key}='${replace(value, "'", "'\\''")}'\n"]) },
    )
  }

  # One file that makes all of them: what is uploaded as a folder depends on whether that folder is there.
  bundles = {
    for name, files in local.files : name => join("\n", concat(
      ["set -euo pipefail", "umask 077", "new=${local.folder}.new", "rm -rf \"$new\"", "mkdir -p \"$new\""],
      [for file, content in files : "base64 -d >\"$new/${file}\" <<'EOF'\n${base64encode(content)}\nEOF"],
      # apply.sh --check sees by these whether somebody changed them.
      ["(cd \"$new\" && sha256sum * >.sums)", "rm -rf ${local.folder}", "mv \"$new\" ${local.folder}", ""],
    ))
  }
  sudo = { for name, host in var.hosts : name => host.ssh_user == "root" ? "" : "sudo -n " }
}

# Only here for the moment when a server leaves the role: replacing the other resource must not take anything away.
resource "terraform_data" "removal" {
  for_each = var.hosts

  input = {
    address         = each.value.address
    user            = each.value.ssh_user
    port            = each.value.ssh_port
    host_key        = each.value.host_key
    key_file        = var.ssh.key_file
    timeout         = var.ssh.timeout
    bastion_address = try(var.ssh.bastion.address, null)
    bastion_user    = try(var.ssh.bastion.user, null)
    bastion_port    = try(var.ssh.bastion.port, null)
    bastion_key     = try(var.ssh.bastion.host_key, null)
    # All of it as root: nobody else may look into the folder.
    command = join(" ", [
      "${local.sudo[each.key]}sh -c 'if [ -d ${local.folder} ]; then",
      "JANGADA_WIPE_DATA=${var.wipe_data ? "yes" : "no"} bash ${local.folder}/apply.sh --remove; fi'",
    ])
  }

  # A server that is gone for good must not keep a destroy from ending; scripts/infra.sh says which were left.
  provisioner "remote-exec" {
    when       = destroy
    on_failure = continue
    inline     = [self.input.command]
    connection {
      host                = self.input.address
      user                = self.input.user
      port                = self.input.port
      host_key            = self.input.host_key
      private_key         = self.input.key_file == null ? null : file(self.input.key_file)
      agent               = self.input.key_file == null
      timeout             = self.input.timeout
      bastion_host        = self.input.bastion_address
      bastion_user        = self.input.bastion_user
      bastion_port        = self.input.bastion_port
      bastion_host_key    = self.input.bastion_key
      bastion_private_key = self.input.bastion_address == null || self.input.key_file == null ? null : file(self.input.key_file)
    }
  }
}

resource "terraform_data" "apply" {
  for_each   = var.hosts
  depends_on = [terraform_data.removal]

  triggers_replace = merge(var.triggers, {
    address = each.value.address
    bundle  = sha256(local.bundles[each.key])
  })

  connection {
    host                = each.value.address
    user                = each.value.ssh_user
    port                = each.value.ssh_port
    host_key            = each.value.host_key
    private_key         = var.ssh.key_file == null ? null : file(var.ssh.key_file)
    agent               = var.ssh.key_file == null
    timeout             = var.ssh.timeout
    bastion_host        = try(var.ssh.bastion.address, null)
    bastion_user        = try(var.ssh.bastion.user, null)
    bastion_port        = try(var.ssh.bastion.port, null)
    bastion_host_key    = try(var.ssh.bastion.host_key, null)
    bastion_private_key = try(var.ssh.bastion.address, null) == null || var.ssh.key_file == null ? null : file(var.ssh.key_file)
  }

  # What is uploaded arrives readable by all: the folder is closed first. A rented server may still be setting itself up.
  provisioner "remote-exec" {
    inline = ["if command -v cloud-init >/dev/null; then cloud-init status --wait >/dev/null || true; fi; rm -rf ${local.upload} && mkdir -m 0700 ${local.upload}"]
  }
  provisioner "file" {
    content     = local.bundles[each.key]
    destination = "${local.upload}/bundle.sh"
  }
  provisioner "file" {
    content     = "${var.secrets}\n"
    destination = "${local.upload}/given-secrets"
  }
  provisioner "remote-exec" {
    inline = [
      "set -e",
      "trap 'rm -rf ${local.upload}' EXIT",
      "${local.sudo[each.key]}bash ${local.upload}/bundle.sh",
      "${local.sudo[each.key]}install -m 0400 ${local.upload}/given-secrets ${local.folder}/given-secrets",
      "${local.sudo[each.key]}bash ${local.folder}/apply.sh",
    ]
  }
  provisioner "remote-exec" {
    inline = ["${local.sudo[each.key]}bash ${local.folder}/apply.sh --confirm"]
  }
}
