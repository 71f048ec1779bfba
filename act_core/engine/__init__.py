"""The life of an attempt: one verb, one file. Knows no application."""
