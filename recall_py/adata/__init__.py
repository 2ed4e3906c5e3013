"""What is read from and written to AnnData: slot names, counts and genes, labels, neighbours, and stored results."""
