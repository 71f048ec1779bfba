"""Size and checksum of files on grid storage."""
