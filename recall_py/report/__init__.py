"""A result as one web page."""
