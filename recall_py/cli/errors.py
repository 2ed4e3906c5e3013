"""Errors and warnings of the library for the user of the command line: in one line, with options by their names."""

from __future__ import annotations

import logging
import shlex
import traceback
import warnings
from ast import literal_eval
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from recall_py.adata import keys
from recall_py.arguments import NamesArguments, Speller, in_python
from recall_py.cli.caches import somewhere_for_caches
from recall_py.cli.interrupt import prompt_interrupt
from recall_py.files.atomic import temporary_folders
from recall_py.run.observe import CalibrationWarning

_OPTIONS_FOR_LINES = {
    "sc.pp.filter_cells(adata, min_counts=1)": "drop_empty_cells",
    keys.ROUNDED: "round_counts",
}
"""Lines of Python that an option stands for."""


@contextmanager
def reported_errors(context: typer.Context) -> Iterator[None]:
    """Print warnings about the outcome and errors in one line each; exit code 2 for bad input, 1 for our own errors."""
    debug = context.params["debug"]
    spell = option_speller(context)

    def show(message: Warning | str, *_: object, **__: object) -> None:
        typer.echo(f"warning: {_said(message, spell)}", err=True)

    paths = [value for value in context.params.values() if isinstance(value, Path)]
    try:
        with prompt_interrupt([*paths, *temporary_folders()]), somewhere_for_caches(), warnings.catch_warnings():
            if not debug:
                logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # zarr leaves tasks behind when a read fails
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", CalibrationWarning)
                warnings.showwarning = show
            yield
    except typer.Exit:
        raise
    except Exception as error:
        if debug:
            traceback.print_exc()
        bad_input = isinstance(error, ValueError | KeyError | OSError | ImportError)
        said = _said(error, spell)
        typer.echo(
            f"error: {said}" if bad_input else f"internal error: {type(error).__name__}: {said} (--debug)", err=True
        )
        raise typer.Exit(2 if bad_input else 1) from error


def option_speller(context: typer.Context) -> Speller:
    """Spells arguments as the options of the command that runs; one that it has no option for stays as it is."""
    options = {
        name.removeprefix("--").replace("-", "_"): option.opts[0]
        for option in context.command.params
        for name in option.opts
        if name.startswith("--")
    }

    def spell(name: str, value: str) -> str:
        option = options.get(_OPTIONS_FOR_LINES.get(name, name))
        if option is None:
            return in_python(name, value)
        return " ".join([option, *_words(literal_eval(value))]) if value else option

    return spell


def _words(value: object) -> list[str]:
    """What follows an option to set it to `value`."""
    if value is True:
        return []
    if value == ():
        return ["none"]
    if isinstance(value, tuple):
        column, categories = value
        value = f"{column}:{','.join(categories)}"
    return [shlex.quote(str(value))]


def _said(message: Warning | Exception | str, spell: Speller) -> str:
    if isinstance(message, NamesArguments):
        text = message.spelled(spell)
    elif isinstance(message, KeyError) and message.args:
        text = str(message.args[0])
    else:
        text = str(message)
    return " ".join(text.split())
