"""What people and machines see of the tower: reports, pages, metrics."""
