"""A stored result in plain words: what was found, and how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recall_py.adata import keys
from recall_py.method.clustering.sketch import N_VOTES
from recall_py.words import counted, listed, percent

if TYPE_CHECKING:
    from recall_py.adata.stored import StoredRun


def summary(run: StoredRun) -> list[str]:
    """What was found, in sentences."""
    if keys.SKETCH not in run.record:
        return _of_search(run) if run.searched else _of_tests(run)
    carried = (
        "These cells are a sketch: all that is counted and tested is among them. Every other cell that took part has "
        f"the commonest label of its {N_VOTES} nearest cells of the sketch."
    )
    return [*_of_search(run), carried]


def warnings_of(run: StoredRun) -> list[str]:
    """What must be known before the result is used; nothing for an ordinary calibrated clustering."""
    found = []
    if run.searched and not run.record["converged"]:
        failing = int((~np.asarray(run.record["pairs"]["passes"], dtype=bool)).sum())
        why = {
            "max_iterations": "the search was cut off before every pair passed",
            "disconnected": "the neighbour graph falls into parts that no resolution joins",
        }[str(run.record["reason"])]
        found.append(f"NOT CALIBRATED: {why}; {_of_pairs(failing, len(run.record['pairs']['group']))} without markers.")
    if run.searched and run.record["first_passed"] and run.n_clusters > 1 and run.record["converged"]:
        found.append(
            "No pair failed where the search started, so the start may be too coarse: finer clusters may have markers "
            "too."
        )
    untested = [f"cluster {name}" for name in run.record["untested"]]
    if untested:
        found.append(
            f"Too small to be tested, with fewer than {run.filter.min_cells} cells: {listed(untested)}. What is not "
            "tested stays as it is."
        )
    return found


def explained(run: StoredRun) -> list[tuple[str, str]]:
    """What was joined, why, and how sure that is: headings and sentences."""
    parts = [("What became of the start", _joined(run)), ("Why", _why(run))] if run.searched else []
    if not run.searched and not all(run.record["pairs"]["passes"]):
        parts.append(("What failing means", _failing_means(run)))
    return [*parts, ("How sure", _sureness(run))]


def _joined(run: StoredRun) -> str:
    """Where the clusters of the start went, each counted where most of its cells are."""
    start, final = np.asarray(run.record["start"]).astype(np.int64), run.codes[run.codes >= 0]
    shared = np.zeros((start.max() + 1, run.n_clusters), dtype=np.int64)
    np.add.at(shared, (start, final), 1)
    n_pieces = np.bincount(shared.argmax(axis=1), minlength=run.n_clusters)
    several = [f"{n_pieces[code]} became cluster {run.names[code]}" for code in np.argsort(-n_pieces, kind="stable")]
    several = several[: int((n_pieces > 1).sum())]
    n_single = int((n_pieces == 1).sum())
    if not several:
        return f"The {counted(len(shared))} of the start stayed apart." if len(shared) > 1 else "It was one cluster."
    text = f"Of the {len(shared)} clusters of the start, {listed(several)}"
    if n_single:
        text += f"; {n_single} stayed by {'itself' if n_single == 1 else 'themselves'}"
    return f"{text}. Each is counted where most of its cells went."


def _why(run: StoredRun) -> str:
    steps = run.record["iterations"]
    n_failing, n_pairs = int(steps["n_failing"][0]), int(steps["n_pairs"][0])
    if not n_failing:
        return "No pair failed where the search started, so nothing was joined."
    done = (
        "The nearest failing pair was merged, and all were tested again, until none failed"
        if str(run.params["search_strategy"]) == "merge"
        else "The start was made coarser until none failed"
    )
    if not run.record["converged"]:
        done = "The search was to go on until none failed, and did not get there"
    return (
        f"At the start {n_failing} of {n_pairs} tested pairs failed: their genes set them apart no better than null "
        f"genes do when they are clustered alike. {done}."
    )


def _failing_means(run: StoredRun) -> str:
    table = run.record["pairs"]
    text = (
        "Genes may differ between two labels that fail. Null genes, which know of no cell types, differ nearly as "
        "much, so too many of the genes would be false wherever the line is drawn: more than "
        f"{percent(run.filter.fdr)}."
    )
    if "false_share" in table:
        row = int(np.argmax(table["false_share"]))
        text += (
            f" The worst pair is {table['group'][row]} and {table['reference'][row]}: at best "
            f"{percent(float(table['false_share'][row]))} of the genes would be false."
        )
    return f"{text} Few cells, or fewer than {run.filter.min_selected} genes that differ, make a pair fail as well."


def _sureness(run: StoredRun) -> str:
    """What a pass means, and what it does not."""
    fair = (
        "Knockoffs took part in the clustering"
        if run.searched
        else "This is a fair test only of labels that do not come from these counts"
    )
    null = (
        f"a knockoff gene: an artificial gene with the same distribution of counts that belongs to no cell type. {fair}"
        if run.takes_knockoffs
        else "the same gene in null cells: artificial cells of one population, fitted to the two clusters together and "
        "cut in two as a clustering would cut them. Each cluster is tested against its nearest neighbours"
    )
    return (
        f"A pair of clusters passes if at least {run.filter.min_selected} genes tell it apart so much better than "
        f"their null genes that an estimated {percent(run.filter.fdr)} of them at most are false. The null of a gene "
        f"is {null}. That share is a target in each pair, not a guarantee, and nothing corrects over pairs. Another "
        "seed draws other null genes: what stays under three seeds is surer than what one shows."
    )


def _of_search(run: StoredRun) -> list[str]:
    steps = run.record["iterations"]
    n_cells, n_start = int(run.sizes.sum()), int(steps["n_clusters"][0])
    algorithm = {"leiden": "Leiden", "louvain": "Louvain", "kmeans": "k-means", "ward": "Ward"}[run.algorithm]
    level = "resolution" if run.by_resolution else "number of clusters"
    begin = (
        f"{n_cells:,} cells fell into {counted(n_start)} at the start of the search ({algorithm}, {level} "
        f"{run.params['search_start']:g})."
    )
    if run.n_clusters == 1:
        rest = "One cluster is left: no split of these cells had markers that beat null genes."
        return [begin, rest if n_start > 1 else "So there was no pair to test."]
    by_merging = str(run.params["search_strategy"]) == "merge"
    n_steps = run.standing_step
    by = f"{n_steps} {'merge' if by_merging else 'step'}{'' if n_steps == 1 else 's'}"
    left = "This partition stands" if n_steps == 0 else f"After {by}, {counted(run.n_clusters)} are left"
    if not run.record["converged"]:
        return [begin, f"{left}, and the search did not end by itself."]
    return [begin, f"{left}, and every tested pair has markers.", _weakest(run)]


def _of_tests(run: StoredRun) -> list[str]:
    table = run.record["pairs"]
    passes = np.asarray(table["passes"], dtype=bool)
    n_failing = int((~passes).sum())
    begin = (
        f"{len(passes)} pairs of the {run.n_clusters} labels in {run.column} were tested: {int(passes.sum())} are "
        f"supported by markers that beat null genes, {n_failing} {'is' if n_failing == 1 else 'are'} not."
    )
    if not n_failing:
        return [begin, _weakest(run)] if len(passes) else [begin]
    named = [
        f"{group} and {reference}"
        for group, reference, good in zip(table["group"], table["reference"], passes, strict=True)
        if not good
    ]
    return [begin, f"Not told apart: {listed(named)}."]


def _weakest(run: StoredRun) -> str:
    table = run.record["pairs"]
    row = int(np.argmin(table["n_selected"]))
    return (
        f"The weakest pair is {table['group'][row]} and {table['reference'][row]}: {table['n_selected'][row]} genes, "
        f"where {run.filter.min_selected} are needed."
    )


def _of_pairs(part: int, whole: int) -> str:
    return f"{part} of {whole} pairs {'is' if part == 1 else 'are'}"
