"""Cost against the number of cells."""
