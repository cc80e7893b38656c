output "bundles" {
  description = "Host → digest of what was uploaded."
  value       = module.apply.bundles
}

output "urls" {
  description = "Where its files come from."
  value       = local.urls
}
