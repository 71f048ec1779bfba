"""Size and checksum of files on grid storage, and their removal."""
