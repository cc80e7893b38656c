# The rules that tflint brings for Terraform itself.
plugin "terraform" {
  enabled = true
  preset  = "recommended"
}

# Environments say which Terraform they need; no module is used without one.
rule "terraform_required_version" {
  enabled = false
}
