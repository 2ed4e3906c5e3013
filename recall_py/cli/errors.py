"""Errors and warnings of the library for the user of the command line: in one line, with options by their names."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from recall_py.cli.interrupt import prompt_interrupt
from recall_py.run.observe import CalibrationWarning

_LIBRARY_NAMES = {"random_state": "seed"}
"""Arguments that the command line calls otherwise."""
_PYTHON_CALL = r"[\w.]+\([^()]*\)"
_PAIR = re.compile(r"\('([^']*)', \['([^']*)'\]\)")
"""A column and a category, ``COL:A`` on the command line."""


@contextmanager
def reported_errors(context: typer.Context) -> Iterator[None]:
    """Print warnings about the outcome and errors in one line each; exit code 2 for bad input, 1 for our own errors."""
    debug = context.params["debug"]

    def show(message: Warning | str, *_: object, **__: object) -> None:
        typer.echo(f"warning: {as_options(str(message), context.params)}", err=True)

    paths = [value for value in context.params.values() if isinstance(value, Path)]
    try:
        with prompt_interrupt(paths), warnings.catch_warnings():
            if not debug:
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", CalibrationWarning)
                warnings.showwarning = show
            yield
    except typer.Exit:
        raise
    except Exception as error:
        if debug:
            raise
        bad_input = isinstance(error, ValueError | KeyError | OSError | ImportError)
        text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
        said = as_options(" ".join(str(text).split()), context.params)
        typer.echo(
            f"error: {said}" if bad_input else f"internal error: {type(error).__name__}: {said} (--debug)", err=True
        )
        raise typer.Exit(2 if bad_input else 1) from error


def as_options(text: str, names: Iterable[str]) -> str:
    """`text` with the arguments `names` as options: ``n_draws`` as ``--n-draws``, ``layer='x'`` as ``--layer x``.

    A name without underscore is an ordinary word unless it is given a value, is the subject of the sentence, or comes
    after "Unknown". What is quoted, and lines of Python, stay.
    """
    options = {name: f"--{name.replace('_', '-')}" for name in names}
    options |= {name: options[option] for name, option in _LIBRARY_NAMES.items() if option in options}
    every = "|".join(options)
    certain = "|".join(name for name in options if "_" in name) or r"\b\B"
    pattern = (
        rf"{_PYTHON_CALL}|(?<!['\w])(?P<set>{every})=(?P<value>'[^']*'|\(.*?\]\)|[\w.]*\w)"
        rf"|^(?P<subject>{every})(?= is )|(?<=^Unknown )(?P<unknown>{every})\b|(?<!['\w])(?P<named>{certain})(?!['\w])"
    )

    def replaced(found: re.Match[str]) -> str:
        name = found["set"] or found["subject"] or found["unknown"] or found["named"]
        if name is None:
            return found[0]
        if found["set"] is None or found["value"] == "True":
            return options[name]
        value = _PAIR.sub(r"\1:\2", found["value"]).strip("'")
        return f"{options[name]} {value}"

    return re.sub(pattern, replaced, text)
