"""The county's code tables and what local codes become in them (`domains.toml`, SOURCES.md)."""

from terminology.tables.domain import Domain, domain_names, load_domain

__all__ = ["Domain", "domain_names", "load_domain"]
