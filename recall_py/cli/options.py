"""Options of the commands, from the table in :mod:`recall_py.run.options`, and a help that shows them in groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from recall_py.cli.read import IN_PYTHON
from recall_py.run import options as table

_Command = TypeVar("_Command", bound=Callable[..., Any])
_OF_THE_COMMAND = (
    *("source", "output", "in_place", "key", "json", "report", "markers", "merges", "drop_empty_cells", "round_counts"),
    *("cellwhisperer", "cellxgene", "terms", "quiet", "debug"),
)
"""What a command does itself."""
_COLUMN = 26

In = Annotated[Path, typer.Argument(metavar="IN", help="The .h5ad, .zarr, .rds, .loom or 10x file to read.")]


class GroupedHelp(TyperCommand):
    """A command whose help has its options in groups, a line for each where it fits."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the groups."""
        groups: dict[str, list[tuple[str, str]]] = {group: [] for group in table.GROUPS}
        for parameter in self.get_params(ctx):
            group = getattr(parameter, "rich_help_panel", None) or ("Running" if parameter.opts else "Input and output")
            groups["Input and output" if parameter.param_type_name == "argument" else group].append(_shown(parameter))
        for group, rows in groups.items():
            if rows:
                with formatter.section(group):
                    formatter.write_dl(rows, col_max=_COLUMN)


def takes(names: str, function: str = "") -> Callable[[_Command], _Command]:
    """Give a command the options called `names`, as `function` has them, in the place of its ``**options``."""

    def with_signature(command: _Command) -> _Command:
        own = [
            parameter
            for parameter in inspect.signature(command, eval_str=True).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        of_table = [_parameter(name, function) for name in names.split()]
        command.__signature__ = inspect.Signature([*own, *of_table])  # type: ignore[attr-defined]
        return command

    return with_signature


def given(context: typer.Context) -> dict[str, Any]:
    """What a command was given for the library, as Python has it; the library has defaults for all else."""
    return {
        name: IN_PYTHON[name](value) if name in IN_PYTHON else value
        for name, value in context.params.items()
        if name not in _OF_THE_COMMAND and was_given(context, name)
    }


def was_given(context: typer.Context, name: str) -> bool:
    """Whether an option was given, rather than left at its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _parameter(name: str, function: str) -> inspect.Parameter:
    option = table.option(name, function)
    names = table.flags(name, function)
    if option.kind is bool and option.default is not False:
        names = (f"{names[0]}/--no-{names[0][2:]}",)
    required = option.default is inspect.Parameter.empty
    default = table.text(option.default) if isinstance(option.default, tuple) else option.default
    shown = "" if default is None or isinstance(default, bool) else f" [default: {table.text(default)}]"
    declared = typer.Option(
        *names,
        metavar=option.value or None,
        help=option.help + (" [required]" if required else shown),
        rich_help_panel=table.group_of(name, function),
    )
    kind = option.kind if default is not None else option.kind | None  # type: ignore[operator]
    annotation = Annotated[kind, declared]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _shown(parameter: Any) -> tuple[str, str]:
    """The two columns of a help."""
    if parameter.param_type_name == "argument":
        return parameter.metavar, parameter.help or ""  # typer 0.16 with click 8.5 loses the text
    short = [name for name in parameter.opts if len(name) == 2]
    names = [*short, parameter.opts[0]] if short else parameter.opts[:1]
    if parameter.secondary_opts:
        names = [f"--no-{names[0][2:]}" if parameter.default else f"--[no-]{names[0][2:]}"]
    value = "" if parameter.is_flag else f" {parameter.metavar}"
    return ", ".join(names) + value, parameter.help
