"""One run, from AnnData to AnnData: arguments, where the counts are computed on, and what the user is told."""
