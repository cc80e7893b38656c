output "bundles" {
  description = "Host → digest of what was uploaded."
  value       = module.apply.bundles
}

output "configuration" {
  description = "prometheus.yml."
  value       = local.configuration
}
