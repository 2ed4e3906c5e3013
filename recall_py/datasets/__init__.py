"""Counts to try things on: real cells that come with the package, and simulated cells whose truth is known."""

from recall_py.datasets._datasets import pbmc68k, simulate

__all__ = ["pbmc68k", "simulate"]
