"""Proxies, delegations and tokens."""
