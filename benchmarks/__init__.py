"""Benchmarks of speed, memory and accuracy; run each as a module from the root of the checkout, see README.md."""
