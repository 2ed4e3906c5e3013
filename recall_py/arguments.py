"""Arguments in errors and warnings: each is named as the caller knows it, in Python, on the command line or in R."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

Speller = Callable[[str, str], str]
"""Spells an argument from its name and from the value to set it to, as Python writes it, or ``""`` for no value."""


class Named(str):
    """A value in a sentence that is spelled too: the name of an argument, or a line of Python."""


def in_python(name: str, value: str) -> str:
    """An argument as Python has it."""
    return f"{name}={value}" if value else name


class NamesArguments(Exception):  # noqa: N818  of warnings too
    """A sentence in which callers spell the arguments; it is printed as Python has them.

    Parameters
    ----------
    text
        Template as for :meth:`str.format_map`. A placeholder that `values` does not fill names an argument,
        ``"{n_draws}"``, or says what to set it to, ``"{strategy:'merge'}"``.
    **values
        What fills the other placeholders. Braces in them stay; another sentence is spelled as this one.
    """

    def __init__(self, text: str, /, **values: object) -> None:
        self._text = text
        self._values = values
        super().__init__(self.spelled(in_python))

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), self._text, **self._values), (), self.__dict__

    def spelled(self, spell: Speller) -> str:
        """The sentence with its arguments as `spell` has them."""
        return self._text.format_map(_Filled(self._values, spell))


class ArgumentError(NamesArguments, ValueError):
    """An argument, or what it was given for, is refused."""


class RemovedError(ArgumentError, TypeError):
    """An argument that was taken once; the sentence says what to write today."""


class ArgumentKeyError(ArgumentError, KeyError):
    """Something that an argument names does not exist."""


class _Filled(dict[str, Any]):
    """The values of a sentence by placeholder; those that are missing are arguments."""

    def __init__(self, values: Mapping[str, object], spell: Speller) -> None:
        super().__init__(values)
        self._spell = spell

    def __getitem__(self, name: str) -> object:
        value = self.get(name, Named(name))
        if isinstance(value, Named):
            return _Argument(value, self._spell)
        return value.spelled(self._spell) if isinstance(value, NamesArguments) else value


class _Argument:
    """An argument in a template, where what comes after the colon is its value."""

    def __init__(self, name: str, spell: Speller) -> None:
        self._name = name
        self._spell = spell

    def __format__(self, value: str) -> str:
        return self._spell(self._name, value)
