output "hosts" {
  description = "Names of the servers that have it."
  value       = keys(var.hosts)
}

output "bundles" {
  description = "Host → digest of what was uploaded."
  value       = { for name, bundle in local.bundles : name => sha256(bundle) }
}

output "ids" {
  description = "Changes with every run: for what must run after it again."
  value       = { for name, done in terraform_data.apply : name => done.id }
}
