"""Embeddings of cells without their batches; each method in a file of its own, its package imported when it is used."""
