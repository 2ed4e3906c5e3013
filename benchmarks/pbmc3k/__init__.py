"""Cost and agreement on PBMC 3k."""
