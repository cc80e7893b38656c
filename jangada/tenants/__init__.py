"""Who may do what: tenants, API keys, tokens, callers. Knows no HTTP."""

from jangada.tenants.authenticator import Authenticator
from jangada.tenants.caller import DEFAULT_SCOPES, Caller, Scope
from jangada.tenants.keys import ApiKey
from jangada.tenants.service import TenantService
from jangada.tenants.store import SigningKey, TenantStore
from jangada.tenants.tenant import DEFAULT_TENANT, Tenant
from jangada.tenants.tokens import Tokens

__all__ = [
    "DEFAULT_SCOPES",
    "DEFAULT_TENANT",
    "ApiKey",
    "Authenticator",
    "Caller",
    "Scope",
    "SigningKey",
    "Tenant",
    "TenantService",
    "TenantStore",
    "Tokens",
]
