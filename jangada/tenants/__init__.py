"""Who may do what: tenants, their API keys and quotas."""
