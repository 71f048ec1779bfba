"""Campaigns: many jobs of one kind, from a file or a directory. A whole application, small enough to copy."""
