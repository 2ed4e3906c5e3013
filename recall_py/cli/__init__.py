"""The command ``recall-py``."""

from recall_py.cli.commands import main

__all__ = ["main"]
