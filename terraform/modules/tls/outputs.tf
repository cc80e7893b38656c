output "bundles" {
  description = "Host → digest of what was uploaded."
  value       = module.apply.bundles
}
