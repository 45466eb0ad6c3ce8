"""Who may do what: accounts, sessions, and the one `allow` every door asks."""

from runtime.access.principal import Principal, Role
from runtime.access.rules import allow

__all__ = ["Principal", "Role", "allow"]
