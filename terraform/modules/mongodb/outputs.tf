output "bundles" {
  description = "Host → digest of what was uploaded."
  value       = module.apply.bundles
}

output "ids" {
  description = "Changes with every run."
  value       = module.apply.ids
}
