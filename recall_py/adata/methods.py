"""A paragraph for the methods of a paper, from the record of a result."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py.adata import keys
from recall_py.adata.programmes import programme_in_words
from recall_py.adata.stored import find_record, holds_merging, merges_clusters, programmes_of
from recall_py.method.clustering.sweep import COARSEST, FINEST, N_RUNS
from recall_py.method.params import ALPHA, RESOLUTION_CLUSTERERS
from recall_py.words import counted, in_one, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData

CITATION = (
    "DenAdel A, Ramseier ML, Navia AW, Shalek AK, Raghavan S, Winter PS, Amini AP, Crawford L. Artificial variables "
    "help to avoid over-clustering in single-cell RNA sequencing. American Journal of Human Genetics 112(4), 940-951, "
    "2025. doi 10.1016/j.ajhg.2025.02.014"
)
_ALGORITHMS = {"leiden": "Leiden", "louvain": "Louvain", "kmeans": "k-means", "ward": "Ward's method"}
_SETTINGS = {
    "flavor": "flavor {}",
    "n_iterations": "{} iterations",
    "n_orders": "the best of {} orders",
    "partition_type": "{}",
    "use_weights": "use_weights={}",
}
"""Arguments of a clustering that a reader needs, in words."""
_OF_LEIDEN = ("flavor", "n_iterations")
_PACKAGES = {"leiden": ("scanpy", "leidenalg", "igraph"), "louvain": ("igraph",), "kmeans": ("scikit-learn",)}


def methods_text(adata: AnnData, key: str) -> str:
    """The paragraph about the result under `key`; see :func:`recall_py.get.methods_text`."""
    record = find_record(adata, key)
    around = adata.uns[key][keys.PARAMS]
    said = _of_pairs(adata, record, around) if holds_merging(record) else _of_filter(record, around)
    return " ".join([*said, f"The method with artificial genes is that of: {CITATION}."])


def _of_pairs(adata: AnnData, record: Mapping[str, Any], around: Mapping[str, Any]) -> list[str]:
    """Of clusters that were merged or tested by null cells of each pair."""
    how, params, merges = record.get(keys.CLUSTERING, {}), record[keys.PARAMS], merges_clusters(record, around)
    asked = {**around, **how}
    alpha = float(params["alpha"])
    cut = "cut as the labels are" if bool(params["external"]) else "cut in two as a clustering would cut them"
    became = "were merged, the nearest first," if merges else "were called unsupported"
    which = "Every two" if bool(around.get("all_pairs", False)) else "Every two neighbours"
    said = [
        _start(adata, record, around, how),
        f"{which} of these were compared by their raw counts "
        f"({_counts(record)}) with recall_py {record['version']}: one population was fitted to the cells of both, null "
        f"cells were drawn from it up to {params['n_draws']} times and {cut}, and the two {became} unless their genes "
        "led their own nulls far enough further than null genes did.",
        f"The threshold was that for alpha = {alpha:g}{', the default' if alpha == ALPHA else ''}: the share of runs "
        "on one population that is to end with more than one cluster, set by measurement and not guaranteed.",
    ]
    if silent := [programme_in_words(found.programme) for found in programmes_of(record) if found.assessable]:
        said.append(f"Genes of {in_one(silent)} did not count.")
    if batch := str(asked.get("batch_key", "")):
        said.append(f"Clusters were compared within the batches of obs[{batch!r}] alone.")
    return [
        *said,
        *_outcome(record, merges=merges),
        _seed(int(params["seed"]), _PACKAGES.get(how.get("algorithm"), ())),
    ]


def _start(adata: AnnData, record: Mapping[str, Any], around: Mapping[str, Any], how: Mapping[str, Any]) -> str:
    n_cells = int(np.sum(record["sizes"]))
    if not how:
        graph = str(around.get("connectivities", ""))
        near = f"joined by edges of {_graph(adata, graph)}" if graph else "with the nearest mean profiles"
        neighbours = "" if bool(around.get("all_pairs", False)) else f" Neighbours are clusters {near}."
        return (
            f"{n_cells:,} cells had {counted(len(record['start_labels']))} in obs[{around['groupby']!r}].{neighbours}"
        )
    n_start = counted(len(record["start_labels"]))
    algorithm = _ALGORITHMS.get(str(how["algorithm"]), str(how["algorithm"]))
    restricted = str(around.get("restrict_to", ""))
    among = f" of {restricted}" if restricted else ""
    anew = "a neighbour graph made anew among these cells"
    on = anew if "call" in how else _graph(adata, str(how["graph"]), str(how.get("neighbors_key", "neighbors")))
    asked = {**around, **how}
    settings = _settings(asked)
    if how.get("resolution") == "auto":
        return (
            f"{n_cells:,} cells{among} were clustered on {on} by {N_RUNS} runs of {algorithm} at resolutions "
            f"from {COARSEST:g} to {FINEST:g}{_bracketed(settings)}; the start were the "
            f"{n_start} that the runs find again best."
        )
    if "resolution" in how:
        settings.insert(0, f"resolution {float(how['resolution']):g}")
    return f"{n_cells:,} cells{among} were clustered on {on} by {algorithm}{_bracketed(settings)} into {n_start}."


def _settings(asked: Mapping[str, Any]) -> list[str]:
    told = {**asked, "n_iterations": "unlimited"} if asked.get("n_iterations") == -1 else asked
    return [text.format(told[name]) for name, text in _SETTINGS.items() if name in told]


def _graph(adata: AnnData, name: str, neighbors_key: str = "neighbors") -> str:
    """The graph, and how many neighbours of which embedding it joins, where ``uns`` still says so of this one."""
    entry = adata.uns.get(neighbors_key, {})
    told: list[str] = []
    if hasattr(entry, "get") and name == f"obsp[{str(entry.get('connectivities_key', 'connectivities'))!r}]":
        params = entry.get(keys.PARAMS, {})
        told += [f"{params['n_neighbors']} neighbours"] if "n_neighbors" in params else []
        told += [f"in obsm[{str(params['use_rep'])!r}]"] if "use_rep" in params else []
    return f"the neighbour graph {name}{_bracketed(told)}"


def _outcome(record: Mapping[str, Any], *, merges: bool) -> list[str]:
    outcomes = record[keys.OUTCOMES]
    merged = np.asarray(outcomes["merged"], dtype=bool)
    near, apart = (np.asarray(outcomes["near"], dtype=bool), np.asarray(outcomes["kind"]).astype(str) == "batch")
    n_near, n_apart = int(near.sum()), int(apart.sum())
    if merges:
        n_merges, n_left = int(merged.sum()), counted(len(record["labels"]))
        said = [f"After {n_merges} merge{'' if n_merges == 1 else 's'}, {n_left} {_are(len(record['labels']))} left."]
    else:
        compared = ~apart
        n_failing = int((compared & ~np.asarray(outcomes["passes"], dtype=bool)).sum())
        said = [f"Of {int(compared.sum())} pairs that were compared, {n_failing} {_are(n_failing)} not supported."]
    if n_near:
        near_ones = "1 outcome is" if n_near == 1 else f"{n_near} outcomes are"
        said.append(f"{near_ones} near the threshold: another seed may turn {'it' if n_near == 1 else 'them'}.")
    if n_apart:
        which = "1 pair was" if n_apart == 1 else f"{n_apart} pairs were"
        said.append(f"{which} not compared, for want of cells in the same batches.")
    if n_small := len(record["untested"]):
        said.append(
            f"{counted(n_small)} of fewer than {record[keys.PARAMS]['min_cells']} cells {_are(n_small)} untested."
        )
    return said


def _of_filter(record: Mapping[str, Any], around: Mapping[str, Any]) -> list[str]:
    """Of a search with artificial genes, and of tests by the filter."""
    params = record.get(keys.PARAMS, around)
    prefix = "filter_" if keys.PARAMS in record else ""
    by_knockoffs = str(params["pair_test"]) == "knockoff"
    null = (
        f"one knockoff gene for each, drawn by the null model {params['null_method']}"
        if "null_method" in params
        else "the same genes in null cells of one population"
    )
    rule = (
        f"the knockoff filter (target share of false genes {percent(float(params[f'{prefix}fdr']))}, offset "
        f"{params[f'{prefix}offset']}) selects genes"
    )
    what = f"raw counts of {_counts(record)}"
    if "iterations" not in record:
        text = (
            f"The pairs of obs[{str(around.get('groupby', ''))!r}] were tested with recall_py {record['version']} on "
            f"{what}, against {null}. A pair is supported if {rule}."
        )
        return [text, _seed(int(params["seed"] if "seed" in params else params["random_state"]), ())]
    algorithm = str(params["partition_algorithm"])
    by_resolution = algorithm in RESOLUTION_CLUSTERERS
    level = "resolution" if by_resolution else "number of clusters"
    onto = f", on a {params['graph_kind']} graph of {params['graph_n_neighbors']} neighbours" if by_resolution else ""
    together = "Real genes and knockoffs together" if by_knockoffs else "Genes"
    settings = _settings({name: params[f"partition_{name}"] for name in _OF_LEIDEN}) if algorithm == "leiden" else []
    lowered = (
        "the nearest failing pair was merged until none failed"
        if str(params["search_strategy"]) == "merge"
        else f"the {level} was lowered"
        + (f" by {percent(float(params['search_reduction']))} a step" if by_resolution else "")
        + " until no pair failed"
    )
    said = [
        f"Clusters were found with recall_py {record['version']} on {what}, with {null}.",
        f"{together} were reduced to {record['n_components']} principal components and clustered by "
        f"{_ALGORITHMS[algorithm]}{_bracketed(settings)}{onto}, starting at {level} "
        f"{float(params['search_start']):g}; a pair of clusters fails unless {rule}, and {lowered}.",
    ]
    if restricted := str(around.get("restrict_to", "")):
        said.append(f"Only cells of {restricted} took part.")
    if keys.SKETCH in record:
        said.append(
            f"This was done on a sketch of {int(record[keys.SKETCH]):,} cells; the others have the label of their "
            "neighbours in it."
        )
    if batch := str(around.get("batch_key", "")):
        said.append(f"Null genes were drawn within the batches of obs[{batch!r}].")
    n_start = counted(int(record["iterations"]["n_clusters"][0]))
    left = f"{n_start} at the start became {int(record['n_clusters'])}"
    at = f" ({level} {float(record['level']):.3g})" if str(params["search_strategy"]) != "merge" else ""
    said.append(
        f"{left}{at}." if record["converged"] else f"{left}{at}, and the search was cut off: this is not calibrated."
    )
    return [*said, _seed(int(params["seed"]), _PACKAGES.get(algorithm, ()))]


def _counts(record: Mapping[str, Any]) -> str:
    return f"{len(record['genes']):,} genes, {record['selection']}, from {record['source']}"


def _seed(seed: int, packages: tuple[str, ...]) -> str:
    told = in_one([f"{name} {version(name)}" for name in (*packages, "numpy")])
    return f"The random seed was {seed}. Other software: {told}."


def _bracketed(items: list[str]) -> str:
    return f" ({', '.join(items)})" if items else ""


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
