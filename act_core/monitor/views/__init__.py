"""What the operators' page shows, read from the tables: one file a view, frozen values, the same for HTML and JSON."""
