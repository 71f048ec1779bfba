"""The state tables: models, sessions, pick and settle, leases, named questions, migrations."""
