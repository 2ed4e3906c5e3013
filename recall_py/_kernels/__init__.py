"""Compiled inner loops: arrays in, arrays out. Each has a slow NumPy twin in the tests."""
