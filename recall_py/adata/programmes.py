"""Known programmes of genes among the genes of the data: which genes belong to one, and whether it can be judged.

The table ``programmes.csv`` has one row for each name of a gene: its symbol, or a former symbol that data still use,
its Ensembl id, its species and the published list that it is from.

=================  ======================================================================================
programme          list
=================  ======================================================================================
``cycle_s``        S phase, 43 genes: Tirosh I et al., Science 2016, doi 10.1126/science.aad0501
``cycle_g2m``      G2 and M phase, 54 genes: the same paper
``cycle_hallmark`` E2F targets and G2M checkpoint, 327 genes: MSigDB 7.5.1 hallmark sets (Liberzon A et al.,
                   Cell Syst 2015, doi 10.1016/j.cels.2015.12.004), CC BY 4.0
``cycle_macosko``  five phases, 558 genes: Macosko EZ et al., Cell 2015, doi 10.1016/j.cell.2015.05.002
``dissociation``   induced by dissociating tissue, heat shock and early genes among them, 140 genes of mouse: van
                   den Brink SC et al., Nat Methods 2017, doi 10.1038/nmeth.4437
``ribosomal``      proteins of the cytoplasmic ribosome, 78 genes: GENCODE v34 and vM25
``mitochondrial``  the mitochondrial chromosome, 37 genes: GENCODE v34 and vM25; of human its 404 copies in the
                   nucleus, which take reads of it: the pseudogenes called MTND1P1 and the like in GENCODE v44
=================  ======================================================================================

``cell_cycle`` stands for ``cycle_s`` and ``cycle_g2m`` together.

A list of one species has the orthologues in the other. ``data/README.md`` says how the table is made and under which
licences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recall_py.arguments import ArgumentError
from recall_py.method.params import one_of
from recall_py.words import in_one, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CELL_CYCLE = "cell_cycle"
USUAL = (CELL_CYCLE, "mitochondrial")
"""Programmes whose genes are no support for a pair of clusters, unless others are named."""

MIN_GENES = 10
"""With fewer genes of a programme in the data, nothing is said about it."""

_PARTS = {CELL_CYCLE: ("cycle_s", "cycle_g2m")}
"""Programmes that are unions of those in the table."""
_CYCLE, _MITOCHONDRION = "the cell cycle", "the mitochondrion"
_IN_WORDS = {
    **dict.fromkeys((CELL_CYCLE, "cycle_s", "cycle_g2m", "cycle_hallmark", "cycle_macosko"), _CYCLE),
    "ribosomal": "the ribosome",
    "mitochondrial": _MITOCHONDRION,
}
_STATES = {
    _CYCLE: "cycling and resting cells of one type",
    _MITOCHONDRION: "cells of one type with many and with few mitochondrial counts",
}
"""What two clusters are that genes of one programme alone tell apart."""
_ADDED = re.compile(r"(?:(?P<ensembl>ENS[A-Z]*G\d+)\.\d+(?:-\d+)?|(?P<symbol>.+)-\d+)", re.ASCII)
"""A version behind an Ensembl id, and what ``var_names_make_unique`` puts behind the later genes of one name."""


@dataclass(frozen=True)
class Presence:
    """How much of a programme the data have."""

    programme: str
    n_genes: int
    """Genes of the data that belong to the programme."""

    @property
    def assessable(self) -> bool:
        """Whether there are enough genes to judge the programme by."""
        return self.n_genes >= MIN_GENES

    def __str__(self) -> str:
        """The programme in words, as reports and messages have it."""
        genes = "1 gene" if self.n_genes == 1 else f"{self.n_genes} genes"
        return f"{self.programme}: {genes}" if self.assessable else f"{self.programme}: not assessable ({genes})"


@dataclass(frozen=True)
class LeftOut:
    """Genes that are no support for a pair of clusters."""

    of_programme: NDArray[np.int8]
    """(n_genes,) the number, from 1 on, of the programme in `presence` that a gene belongs to, the first that can be
    judged; 0 for genes that count."""
    presence: tuple[Presence, ...]
    """Of every programme that was asked for."""

    @property
    def codes(self) -> NDArray[np.int8] | None:
        """The numbers; None where all genes count."""
        return self.of_programme if self.of_programme.any() else None


@cache
def table() -> pd.DataFrame:
    """The table of programmes: ``programme``, ``symbol``, ``ensembl``, ``species``, ``source``, all strings.

    ``ensembl`` is empty where no id is known. Do not change it: every caller gets the same one.
    """
    with (files("recall_py.adata") / "programmes.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)


def programmes() -> tuple[str, ...]:
    """Names of the programmes in the table."""
    return tuple(table()["programme"].unique())


def programme_genes(names: pd.Index, programme: str) -> NDArray[np.bool_]:
    """Genes of the data that belong to a programme.

    Parameters
    ----------
    names
        Names of the genes, ``adata.var_names``: symbols of human (``TOP2A``) or mouse (``Top2a``), case-sensitive, or
        Ensembl ids of genes, with or without a version (``ENSG00000131747.15``). What ``var_names_make_unique`` puts
        behind a name (``TOP2A-1``) is ignored.
    programme
        A name of :func:`programmes`, or ``"cell_cycle"``.

    Returns
    -------
    (n_vars,) True for each gene that belongs to the programme, in either species.

    Raises
    ------
    ValueError
        If there is no such programme.
    """
    members = table()[table()["programme"].isin(_PARTS.get(programme, (programme,)))]
    if members.empty:
        msg = f"there is no programme {programme!r}. There are: {listed((*_PARTS, *programmes()))}."
        raise ValueError(msg)
    known = (set(members["symbol"]) | set(members["ensembl"])) - {""}
    return np.fromiter((name in known or _plain(name) in known for name in map(str, names)), np.bool_, len(names))


def _plain(name: str) -> str:
    """A name without the version of an Ensembl id and without what makes it unique."""
    match = _ADDED.fullmatch(name)
    return name if match is None else match["ensembl"] or match["symbol"]


def presence(names: pd.Index) -> tuple[Presence, ...]:
    """How much of each programme the genes called `names` have, in the order of :func:`programmes`."""
    return tuple(Presence(name, int(programme_genes(names, name).sum())) for name in programmes())


def accepted(programmes_asked: Sequence[str]) -> tuple[str, ...]:
    """The programmes that are asked for, each once; one may be given by its name alone.

    Raises
    ------
    ValueError
        If there is no such programme, with those that there are.
    """
    if programmes_asked is None:
        text = "{programmes} is None. Name programmes, or let all genes count: {programmes:()}"
        raise ArgumentError(text)
    asked = (programmes_asked,) if isinstance(programmes_asked, str) else tuple(programmes_asked)
    for name in asked:
        one_of("programmes", name, (*_PARTS, *programmes()))
    return tuple(dict.fromkeys(asked))


def left_out(names: pd.Index, asked: Sequence[str]) -> LeftOut:
    """Genes of the programmes `asked` among the genes called `names`, those that take part.

    Raises
    ------
    ValueError
        If no other gene is left.
    """
    codes = np.zeros(len(names), dtype=np.int8)
    found = []
    for number, programme in enumerate(asked, start=1):
        members = programme_genes(names, programme)
        found.append(Presence(programme, int(members.sum())))
        if found[-1].assessable:
            codes[members & (codes == 0)] = number
    if codes.all() and codes.size:
        text = (
            "All {n_genes} genes that take part belong to {named}, which do not count, so nothing is left to compare. "
            "Let them count: {programmes:()}"
        )
        raise ArgumentError(text, n_genes=codes.size, named=in_one(asked))
    return LeftOut(codes, tuple(found))


def told(found: Sequence[Presence]) -> str:
    """What was asked for, in words; empty where nothing was."""
    return "; ".join(f"{each}, {'not counted' if each.assessable else 'counted'}" for each in found)


def programme_in_words(programme: str) -> str:
    """What the genes of a programme belong to, such as "the cell cycle"."""
    return _IN_WORDS.get(programme, programme)


def reason(programmes: Sequence[str]) -> str:
    """What two clusters are that only genes of these programmes tell apart; empty for none."""
    named = list(dict.fromkeys(map(programme_in_words, programmes)))
    if len(named) == 1 and named[0] in _STATES:
        return _STATES[named[0]]
    return _only(named) if named else ""


def whole_reason(reason: str, evidence: float) -> str:
    """The same as a sentence, with the evidence that the pair would have if all genes counted."""
    programme = next((programme for programme, states in _STATES.items() if states == reason), None)
    if programme is None:
        return f"{reason} ({evidence:.2f} with them)"
    return f"{_only([programme])} ({evidence:.2f} with them): {reason}"


def _only(named: Sequence[str]) -> str:
    return f"only genes of {in_one(named)} tell them apart"
