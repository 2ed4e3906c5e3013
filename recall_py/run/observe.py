"""Telling the user what a run does and how it ended."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from recall_py.adata.merged import joined_name
from recall_py.adata.programmes import reason, whole_reason
from recall_py.arguments import Named, NamesArguments
from recall_py.method.pairs import pair_test_named
from recall_py.method.params import RunParams
from recall_py.method.results import Iteration, Merging, PairOutcome, Search, Tested
from recall_py.words import listed

if TYPE_CHECKING:
    from recall_py.adata.programmes import Presence
    from recall_py.adata.read import CountData
    from recall_py.run.waiting import Waiting


class CalibrationWarning(NamesArguments, UserWarning):
    """The labels are not what a calibrated clustering usually is: read the message."""


def describe(iteration: Iteration, *, by_resolution: bool) -> str:
    """One line about a step of the search."""
    level = f"resolution {iteration.level:.4g}" if by_resolution else f"{iteration.level:.0f} clusters asked for"
    merged = f", merging {iteration.merged[0]} and {iteration.merged[1]}" if iteration.merged else ""
    return f"{level}: {iteration.n_clusters} clusters, {iteration.n_failing} of {iteration.n_pairs} pairs fail{merged}"


class ScanpyLog:
    """Logs stages and iterations as scanpy does, at its verbosity."""

    def __init__(self, *, by_resolution: bool) -> None:
        self._by_resolution = by_resolution

    def stage(self, name: str) -> None:
        """Log the name of the stage at the level of hints."""
        from scanpy import logging

        logging.hint(f"recall: {name}")

    def iteration(self, iteration: Iteration) -> None:
        """Log the step at the level of information."""
        from scanpy import logging

        logging.info(f"    {describe(iteration, by_resolution=self._by_resolution)}")


def outcome_warnings(search: Search, params: RunParams) -> list[CalibrationWarning]:
    """What the user must know about how the search ended; nothing if it is an ordinary calibrated clustering."""
    failing = f"{int(search.pairs.failing.sum())} of {len(search.pairs.pairs)} pairs of clusters"
    n_clusters = search.partition.n_clusters
    word = Named("resolution" if params.partition.by_resolution else "num_clusters_start")
    if search.reason == "max_iterations":
        text = (
            "NOT CALIBRATED: the search was cut off after {n_iterations} iterations with {failing} without markers. "
            "Raise {max_iterations}, or pass {strategy:'merge'}."
        )
        return [CalibrationWarning(text, n_iterations=len(search.iterations), failing=failing)]
    if search.reason == "disconnected":
        text = (
            "NOT CALIBRATED: the neighbour graph falls into {n_clusters} unconnected parts, so no {word} gives fewer "
            "clusters, and {failing} have no markers. Pass {strategy:'merge'}."
        )
        return [CalibrationWarning(text, n_clusters=n_clusters, word=word, failing=failing)]
    messages = []
    untested = search.pairs.untested
    if untested.size:
        few = params.filter.min_cells
        named = ", ".join(f"cluster {code}" for code in untested)
        text = "Too small to be tested, with fewer than {few} cells: {named}. What is not tested stays as it is."
        messages.append(CalibrationWarning(text, few=few, named=named))
    if n_clusters - untested.size == 1:
        rivals = "their knockoffs" if pair_test_named(params.pair_test).takes_knockoffs else "those of null cells"
        text = (
            "One cluster is left: no split of these cells was supported by markers that beat {rivals} "
            "(at least {least} genes a pair are needed)."
        )
        messages.append(CalibrationWarning(text, rivals=rivals, least=params.filter.min_selected))
    if search.first_passed and not search.iterations[-1].n_failing:
        highest = search.iterations[-1].level
        text = (
            "No pair of clusters failed at the start ({word} {highest:g}), so the start may be too coarse. "
            "Pass a higher {word}"
        )
        text += "." if params.search.raise_start else ", or {raise_start:True}."
        messages.append(CalibrationWarning(text, word=word, highest=highest))
    return messages


class MergeLog:
    """Logs what a merging does as scanpy does, at its verbosity; or prints it, for who asked for `progress`."""

    def __init__(
        self, names: Sequence[str], wait: Waiting, programmes: Sequence[Presence], *, progress: bool = False
    ) -> None:
        self._names = names
        self._programmes = programmes
        self._wait = wait
        self._prints = _prints(progress=progress)

    def comparing(self, n_pairs: int) -> None:
        """Say how many pairs are compared next."""
        from scanpy import logging

        self._wait.comparing(n_pairs)
        self._say(f"comparing {n_pairs} pair{'' if n_pairs == 1 else 's'} of clusters with null cells", logging.hint)

    def compared(self) -> None:
        """Count a pair."""
        self._wait.compared()

    def outcome(self, outcome: PairOutcome) -> None:
        """Say what was merged, and which pairs nearly were."""
        from scanpy import logging

        if not outcome.stands or outcome.near or outcome.kind == "batch":
            self._say(f"    {describe_outcome(outcome, self._names, self._programmes)}", logging.info)

    def _say(self, said: str, log: Callable[[str], object]) -> None:
        self._wait.clear()
        (_print if self._prints else log)(said)


def waiting(*, progress: bool = False) -> Waiting:
    """What says how long a merging or a test still takes; at scanpy's verbosity 0 it keeps still."""
    from scanpy import logging, settings

    from recall_py.run.waiting import Waiting

    return Waiting(_print if _prints(progress=progress) else logging.info, quiet=settings.verbosity <= 0)


def _prints(*, progress: bool) -> bool:
    """Whether what is done is printed, for who asked for that, and not logged."""
    from scanpy import settings

    return progress and settings.verbosity > 0


def _print(said: str) -> None:
    from rich.console import Console

    Console(stderr=True).print(said, highlight=False, markup=False, soft_wrap=True)


def describe_outcome(outcome: PairOutcome, names: Sequence[str], programmes: Sequence[Presence] = ()) -> str:
    """One line about two clusters that were merged or stand; genes of `programmes` did not count."""
    first, second = (joined_name(names, side) for side in (outcome.first, outcome.second))
    of_cells = f"{first} ({outcome.sizes[0]} cells) and {second} ({outcome.sizes[1]})"
    if outcome.kind == "small":
        return f"{of_cells} joined: too few cells to be tested"
    if outcome.kind == "batch":
        return (
            f"{of_cells} stay, not compared: type or batch effect cannot be told apart, they have too few cells in "
            "the same batches"
        )
    became = "stand" if outcome.stands else "are one"
    near = "; NEAR the threshold, another seed may turn it" if outcome.near else ""
    lead = f"{outcome.lead:.2f} times the lead that is needed, threshold {outcome.threshold:.3g}"
    only = ""
    if outcome.told_by and outcome.with_left_out is not None:
        told_by = [programmes[number - 1].programme for number in outcome.told_by]
        only = f"; {whole_reason(reason(told_by), outcome.with_left_out)}"
    return f"{of_cells} {became}: {lead}{only}{near}"


def merging_warnings(merging: Merging, names: Sequence[str], groupby: str) -> list[CalibrationWarning]:
    """What the user must know about how merging given labels ended."""
    where = Named(f"obs[{groupby!r}]")
    messages = _small_stay(merging.untested, [joined_name(names, side) for side in merging.members])
    if len(names) > 1 and len(merging.members) == 1:
        text = "One cluster is left of the {n_start} in {where}: {why}."
        why = _why_one_is_left(merging)
        messages.append(CalibrationWarning(text, n_start=len(names), where=where, why=why))
    if _all_stood(merging):
        text = (
            "Every pair of neighbours in {where} stands at the start, so it may be too coarse: merging cannot "
            "split. Start from finer labels, such as {finer} at a higher resolution."
        )
        messages.append(CalibrationWarning(text, where=where, finer=Named("sc.tl.leiden")))
    return [*messages, *_batches_apart(merging.standing)]


def start_warnings(merging: Merging, names: Sequence[str], *, swept: bool) -> list[CalibrationWarning]:
    """What the user must know about how calibrating a clustering ended, `swept` if over a range of resolutions."""
    messages = []
    if len(names) == 1 and swept:
        text = "The start is one cluster, so nothing was tested: no other is found again at most resolutions."
        messages.append(CalibrationWarning(text))
    elif len(names) == 1:
        text = "The start is one cluster, so nothing was tested. Pass a higher {resolution}."
        messages.append(CalibrationWarning(text))
    elif len(merging.members) == 1:
        text = "One cluster is left of the {n_start} at the start: {why}."
        messages.append(CalibrationWarning(text, n_start=len(names), why=_why_one_is_left(merging)))
    elif _all_stood(merging) and not swept:
        text = (
            "Every pair of neighbours stands at the start, so it may be too coarse: merging cannot split. "
            "Pass a higher {resolution} and see whether more clusters stay."
        )
        messages.append(CalibrationWarning(text))
    return [*messages, *_batches_apart(merging.standing)]


def finding_warnings(tested: Tested, names: Sequence[str]) -> list[CalibrationWarning]:
    """What the user must know about labels that were tested."""
    small = [CalibrationWarning(_TOO_SMALL, named=listed([names[code] for code in tested.untested]))]
    return [*(small if tested.untested else []), *_batches_apart(tested.outcomes)]


def _all_stood(merging: Merging) -> bool:
    """Whether pairs were compared and none was merged."""
    return not merging.merges and any(outcome.kind == "pair" for outcome in merging.standing)


def _why_one_is_left(merging: Merging) -> str:
    if all(outcome.kind == "small" for outcome in merging.merges):
        return "the others have too few cells to be tested"
    return "no two neighbours were told apart by more than null cells are"


_TOO_SMALL = "Too small to be tested: {named}."


def _small_stay(untested: Sequence[int], names: Sequence[str]) -> list[CalibrationWarning]:
    if not untested or len(names) == 1:
        return []
    text = _TOO_SMALL + " They stay; to join each to its nearest cluster: {merge_small:True}."
    return [CalibrationWarning(text, named=listed([names[code] for code in untested]))]


def _batches_apart(outcomes: Sequence[PairOutcome]) -> list[CalibrationWarning]:
    """A word about pairs that were not compared because they have too few cells in the same batches."""
    n_apart = sum(outcome.kind == "batch" for outcome in outcomes)
    text = (
        "{pairs} too few cells in the same batches: type or batch effect cannot be told apart, and they stay. "
        "Integrate the batches before clustering (docs: Batches)."
    )
    pairs = "1 pair of neighbours has" if n_apart == 1 else f"{n_apart} pairs of neighbours have"
    return [CalibrationWarning(text, pairs=pairs)] if n_apart else []


def warn_about(search: Search, params: RunParams) -> None:
    """Issue a visible warning for each message about the outcome; none at scanpy's verbosity 0."""
    warn(outcome_warnings(search, params), stacklevel=5)


def tell_others(data: CountData) -> None:
    """Say that features that are no genes were left out."""
    from scanpy import logging

    if data.others:
        logging.warning(data.others)


def warn_of_empty(n_empty: int, n_genes: int) -> None:
    """Say that cells were read that have no counts in the genes that take part."""
    if n_empty:
        text = (
            "{n_empty} of the cells that were read have no counts in the {n_genes} genes that take part; they stay in "
            "their clusters, and tell nothing of them."
        )
        warn([CalibrationWarning(text, n_empty=n_empty, n_genes=n_genes)], stacklevel=5)


def warn(messages: Sequence[CalibrationWarning], *, stacklevel: int) -> None:
    """Issue a visible warning for each message; none at scanpy's verbosity 0."""
    from scanpy import settings

    if settings.verbosity <= 0:
        return
    for message in messages:
        warnings.warn(message, stacklevel=stacklevel)
