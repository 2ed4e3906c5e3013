"""Merged or tested clusters in plain words: what was found, why, and how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recall_py.adata import keys
from recall_py.adata.programmes import told
from recall_py.adata.reasons import cut, short_name
from recall_py.method.pairs.lead import ADDED, RANKS, threshold
from recall_py.method.pairs.table import MAX_CELLS
from recall_py.words import counted, in_one, ordinal

if TYPE_CHECKING:
    import pandas as pd

    from recall_py.adata.stored import StoredMerging

_ALGORITHMS = {"leiden": "Leiden", "louvain": "Louvain"}


def summary(result: StoredMerging, merges: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    """The answer, in sentences."""
    found = _of_merging(result, merges, pairs) if result.merges_clusters else _of_tests(result, pairs)
    n_merges, n_pairs = int(merges["near"].sum()), int(pairs["near"].sum())
    near = [f"{n} {word}{'' if n == 1 else 's'}" for n, word in ((n_merges, "merge"), (n_pairs, "pair")) if n]
    if near:
        be = "is" if n_merges + n_pairs == 1 else "are"
        found.append(f"{' and '.join(near)} {be} near the threshold: another seed may turn the outcome.")
    weakest = pairs[pairs["passes"] & (pairs["kind"] == "pair")].nsmallest(1, "evidence")
    if len(weakest):
        pair = weakest.iloc[0]
        found.append(
            f"The weakest pair that stands is {short_name(pair['group'])} and {short_name(pair['reference'])}, with "
            f"{pair['evidence']:.2f} times the lead that is needed."
        )
    return found


def warnings_of(result: StoredMerging, merges: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    """What must be known before the result is used; nothing for an ordinary one."""
    found = []
    n_start, left = result.start_names.size, result.n_clusters
    swept = keys.STABILITY in result.record
    if result.merges_clusters and n_start == 1:
        none = ": no other is found again at most resolutions." if swept else f". {_finer(result)}"
        found.append(f"The start is one cluster, so nothing was compared{none}")
    elif result.merges_clusters and left == 1:
        small = merges["kind"].eq("small").all()
        why = "the others have too few cells to be tested" if small else "no two neighbours were told apart by more"
        found.append(
            f"One cluster is left of the {n_start} at the start: {why}{'' if small else ' than null cells are'}."
        )
    elif result.merges_clusters and merges.empty and pairs["kind"].eq("pair").any() and not swept:
        found.append(
            "Every pair of neighbours stands at the start, so it may be too coarse: merging cannot split. "
            f"{_finer(result)}"
        )
    untested = [str(name) for name in result.record["untested"]]
    if untested and left > 1:
        stays = "They stay as they are; merge_small=True (--merge-small) joins each to its nearest cluster."
        found.append(
            f"Too small to be tested, with fewer than {result.params['min_cells']} cells: {in_one(untested)}. "
            f"{stays if result.merges_clusters else 'Nothing is said about them.'}"
        )
    n_apart = int((pairs["kind"] == "batch").sum())
    if n_apart:
        which = f"{n_apart} pairs of neighbours have" if n_apart > 1 else "1 pair of neighbours has"
        found.append(
            f"{which} too few cells in the same batches: type or batch effect cannot be told apart, and they "
            "stay. Integrate the batches before clustering."
        )
    return found


def explained(result: StoredMerging, clusters: pd.DataFrame) -> list[tuple[str, str]]:
    """What became of the clusters, why, and how sure that is: headings and sentences."""
    if result.merges_clusters:
        first = ("What became of the start", _joined(clusters))
    else:
        first = ("Labels that are not supported", _unsupported(clusters))
    return [first, ("Why", _rule(result)), ("How sure", _sureness(result))]


def _of_merging(result: StoredMerging, merges: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    n_cells, n_start, n_merges = int(result.sizes.sum()), result.start_names.size, len(merges)
    how = result.clustering
    if how:
        algorithm = _ALGORITHMS.get(str(how["algorithm"]), str(how["algorithm"]))
        at = f", resolution {_level(how['resolution'])}" if "resolution" in how else ""
        begin = f"{n_cells:,} cells fell into {counted(n_start)} at the start ({algorithm}{at}, on {how['graph']})."
    else:
        begin = f"{n_cells:,} cells had {n_start} label{'' if n_start == 1 else 's'} in {result.start_column}."
    if restricted := str(result.around.get("restrict_to", "")):
        begin += f" Only those of {restricted} took part."
    if not n_merges:
        return [begin, "Nothing was merged."]
    by = "1 merge" if n_merges == 1 else f"{n_merges} merges"
    left = "one cluster is" if result.n_clusters == 1 else f"{counted(result.n_clusters)} are"
    if result.n_clusters == 1:
        rest = ""
    elif pairs.empty:
        rest = "; no two of them are neighbours, so nothing is left to compare"
    else:
        rest = ", and every pair of neighbours stands"
    return [begin, f"After {by}, {left} left{rest}."]


def _of_tests(result: StoredMerging, pairs: pd.DataFrame) -> list[str]:
    n_failing, n_compared = int((~pairs["passes"]).sum()), int(pairs["kind"].eq("pair").sum())
    begin = (
        f"{n_compared} pairs of the {result.n_clusters} labels in {result.column} were compared: "
        f"{n_compared - n_failing} stand, {n_failing} {'is' if n_failing == 1 else 'are'} told apart by no more than "
        "null cells are."
    )
    return [begin, "Nothing was merged: these are tests alone."]


def _joined(clusters: pd.DataFrame) -> str:
    """What the final clusters are made of."""
    several = clusters[clusters["start"].map(len) > 1]
    n_single = len(clusters) - len(several)
    if several.empty:
        return "Every cluster stayed as it was."
    made = [
        f"{len(start)} became {short_name(name)} ({in_one([short_name(part) for part in start])})"
        for name, start in zip(several["cluster"], several["start"], strict=True)
    ]
    text = f"Of the {int(clusters['start'].map(len).sum())} clusters of the start, {'; '.join(made)}"
    if n_single:
        text += f". {n_single} stayed by {'itself' if n_single == 1 else 'themselves'}"
    return f"{text}."


def _unsupported(clusters: pd.DataFrame) -> str:
    """Labels and what they would be merged with."""
    failing = clusters[clusters["merge_with"] != ""]
    if failing.empty:
        return "None: each label that was compared stands against its neighbours."
    would = [f"{short_name(row.cluster)} (with {short_name(row.merge_with)})" for row in failing.itertuples()]
    return (
        f"{len(failing)} of {len(clusters)} labels would be merged, the nearest first: {in_one(would, 20)}. "
        "To merge them: recall_py.tl.merge_clusters, or recall-py merge."
    )


def _rule(result: StoredMerging) -> str:
    became = "became one, the nearest first" if result.merges_clusters else "would be one"
    alpha = float(result.params["alpha"])
    least = threshold(alpha)
    as_asked = "" if least == 1.0 else f", and {least:.3g} times that, since alpha is {alpha:g}"
    return (
        "Neighbouring clusters were compared by their raw counts. One population was fitted to the cells of both, and "
        f"null cells were drawn from it up to {result.params['n_draws']} times and {cut(result.params)}. Each gene is "
        "compared with itself among null cells, and each draw with the others. Two clusters stand if at some rank, up "
        f"to the {ordinal(RANKS[-1])} best gene, it leads its null by far more decades of p than draws do there, "
        f"0.9 + 1.1 log10(cells of the smaller, at most {MAX_CELLS}) times as many, {ADDED:g} added to both"
        f"{as_asked}; else they {became}."
        f"{_programmes(result)}"
    )


def _programmes(result: StoredMerging) -> str:
    """Which genes did not count."""
    found = told(result.programmes)
    return f" Known programmes of genes: {found}." if found else ""


def _sureness(result: StoredMerging) -> str:
    fair = "" if bool(result.params["external"]) else " Labels may come from these very counts: null cells are cut too."
    apart = "the start does" if result.merges_clusters else "the labels do"
    return (
        f"An outcome within {result.params['near']:g} of the threshold is called near: another seed "
        f"draws other null cells and may turn it. What stays under three seeds is surer than what one shows.{fair} "
        f"Nothing is split, so types that {apart} not separate are not found."
    )


def _finer(result: StoredMerging) -> str:
    """What to try where the start may be too coarse."""
    if not result.clustering:
        return "Start from finer labels, such as Leiden at a higher resolution, and see whether more clusters stay."
    level = result.clustering.get("resolution")
    higher = f", such as {2 * float(level):g}," if level else ""
    return f"Try a higher resolution{higher} and see whether more clusters stay."


def _level(resolution: float | str) -> str:
    return resolution if isinstance(resolution, str) else f"{resolution:g}"
