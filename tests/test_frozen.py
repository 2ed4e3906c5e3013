"""What a change of the code's shape must leave alone: the public face, and the results of seeded runs.

``python tests/test_frozen.py`` records ``frozen.json`` anew. A commit that does so says why a number changed.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import searches

import recall_py

if TYPE_CHECKING:
    from collections.abc import Callable

RECORD = Path(__file__).with_name("frozen.json")
PUBLIC = ("tl", "pp", "pl", "get", "datasets", "seurat")
CHANGING = (r"<figure.*?</figure>", r"[\d.]+ s\b", r"\b\d+\.\d+\.\d+\b")
"""What a report says of pictures, times and versions."""


def signatures() -> dict[str, str]:
    """Every public function with its names, order, defaults and annotations."""
    found = {}
    for module in PUBLIC:
        members = inspect.getmembers(importlib.import_module(f"recall_py.{module}"), inspect.isfunction)
        for name, member in members:
            if not name.startswith("_") and member.__module__.startswith(f"recall_py.{module}"):
                found[f"{module}.{name}"] = str(inspect.signature(member))
    return found


def options() -> dict[str, list[str]]:
    """Every command with its options and their defaults."""
    import typer

    from recall_py.cli.commands import app

    commands = typer.main.get_command(app).commands
    return {
        name: [f"{' '.join(option.opts + option.secondary_opts)} = {option.default!r}" for option in command.params]
        for name, command in commands.items()
    }


def cells() -> ad.AnnData:
    return recall_py.datasets.simulate(
        240, 300, group_shares=(0.4, 0.35, 0.25), n_markers=40, log2_fold_change=2.0, n_batches=2, random_state=3
    )


def clustered(cluster: Callable[..., object], *args: object, key: str, **kwargs: object) -> dict[str, object]:
    """Labels and tables of a clustering."""
    adata = cells()
    cluster(adata, *args, **kwargs)
    tables = {name: getattr(recall_py.get, name)(adata, key) for name in ("iterations", "flow", "pairs", "markers")}
    return {"labels": "".join(adata.obs[key].astype(str).str[-1]), **{name: told(tables[name]) for name in tables}}


def compared(compare: Callable[..., object], *args: object, key: str, **kwargs: object) -> dict[str, object]:
    """Labels and tables of clusters that are compared by null cells of each pair."""
    adata = cells()
    adata.layers["counts"] = adata.X.copy()
    sc.pp.log1p(adata)
    sc.pp.neighbors(adata, use_rep="X", method="gauss", transformer="sklearn")
    adata.obs["label"] = adata.obs["group"].astype(str) + (np.arange(adata.n_obs) % 3).astype(str)
    compare(adata, *args, **kwargs)
    tables = {name: getattr(recall_py.get, name)(adata, key) for name in ("merges", "pairs", "clusters", "markers")}
    full_of_numbers = ["reason", "auc", "log2_fold_change", "log10_p", "log10_p_null", "real", "null", "needed"]
    for name in ("merges", "pairs"):
        tables[name] = tables[name].drop(columns=full_of_numbers)
    labels = adata.obs.get(key, pd.Series(dtype=str)).astype(str)
    return {"labels": "|".join(labels), **{name: told(table) for name, table in tables.items()}}


def labels_tested(*, external: bool) -> dict[str, object]:
    """Tables of tests of known groups, of which one is cut in two at random."""
    adata = cells()
    half = np.random.default_rng(0).permutation(adata.n_obs) < adata.n_obs // 2
    adata.obs["label"] = adata.obs["group"].astype(str) + np.where(half & (adata.obs["group"] == "group0"), "b", "")
    searches.filter_tested(adata, "label", external=external)
    return {name: told(getattr(recall_py.get, name)(adata, "recall_test")) for name in ("pairs", "markers")}


def reported() -> dict[str, object]:
    """What the picture of null genes shows against each kind of null, and the text of the report of the second."""
    from recall_py.cli.commands import app  # noqa: F401  the command line can be imported beside the functions

    found = {}
    for preset in ("recall", "calibrated"):
        adata = cells()
        searches.leiden(adata, 1, preset=preset, n_jobs=2)
        adata.obsm["X_umap"] = np.zeros((adata.n_obs, 2))
        figure = recall_py.pl.knockoffs(adata, return_fig=True)
        points = [np.ma.filled(part.get_offsets(), 0).sum(axis=0) for ax in figure.axes for part in ax.collections]
        found[preset] = {"points": np.array(points).sum(axis=0).tolist()}
    page = page_of(adata)
    for pattern in CHANGING:
        page = re.sub(pattern, "", page, flags=re.DOTALL)
    words = re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    found[preset] |= {
        "words": hashlib.sha256(re.sub(r"-?\d+\.\d+(e-?\d+)?|\s+", " ", words).encode()).hexdigest(),
        "numbers": float(sum(float(number) for number in re.findall(r"\d+\.\d+", words))),
    }
    return found


def page_of(adata: ad.AnnData) -> str:
    """The page that the report makes."""
    from recall_py.report.page import report_page

    return report_page(adata, "leiden", source="in.h5ad", target="out.h5ad")


def drawn() -> dict[str, object]:
    """Knockoffs of every null model, and its misfit."""
    adata = cells()
    found = {}
    for method in ("ZIP", "NB", "NB-depth", "ZIP-copula", "permutation"):
        augmented = recall_py.pp.knockoffs(adata, null_method=method, batch_key="batch")
        weights = np.arange(1, 1 + augmented.n_vars)
        found[method] = float((augmented.X @ weights) @ np.arange(1, 1 + augmented.n_obs))
        if method != "permutation":
            found[f"{method} misfit"] = told(recall_py.pp.null_misfit(adata, null_method=method))
    return found


RUNS: dict[str, Callable[[], dict[str, object]]] = {
    "leiden, pairs": lambda: compared(recall_py.tl.leiden, 2, key="leiden", flavor="igraph", n_iterations=2),
    "louvain, pairs, batches": lambda: compared(recall_py.tl.louvain, 2, key="louvain", batch_key="batch"),
    "merge_clusters": lambda: compared(recall_py.tl.merge_clusters, "label", key="label_merged"),
    "test_clusters, all pairs": lambda: compared(
        recall_py.tl.test_clusters, "label", key="recall_test", external=True, all_pairs=True
    ),
    "leiden": lambda: clustered(recall_py.tl.leiden, 3, key="leiden", method="knockoffs"),
    "leiden, igraph, merge, two draws": lambda: clustered(
        searches.leiden, 2, key="leiden", flavor="igraph", strategy="merge", n_draws=2, batch_key="batch"
    ),
    "leiden, bisect, restricted": lambda: clustered(
        searches.leiden, 2, key="leiden_R", bisect=True, restrict_to=("group", ["group0", "group1"])
    ),
    "leiden, calibrated": lambda: clustered(searches.leiden, 2, key="leiden", preset="calibrated"),
    "leiden, sketch": lambda: clustered(searches.leiden, 1, key="leiden", preset="calibrated", sketch=160),
    "louvain": lambda: clustered(
        searches.leiden, 2, key="louvain", algorithm="louvain", key_added="louvain", null_method="NB-depth"
    ),
    "recall": lambda: clustered(recall_py.tl.recall, key="recall_clusters"),
    "recall, k-means": lambda: clustered(
        recall_py.tl.recall, num_clusters_start=6, algorithm="kmeans", key="recall_clusters"
    ),
    "recall, Ward": lambda: clustered(
        recall_py.tl.recall, num_clusters_start=6, algorithm="ward", key="recall_clusters"
    ),
    "filter": lambda: labels_tested(external=False),
    "filter, external": lambda: labels_tested(external=True),
    "report": reported,
    "knockoffs": drawn,
}


def told(table: pd.DataFrame) -> dict[str, object]:
    """A table by its columns: sums of numbers weighted by row, and a digest of text."""
    weights = 1.0 + np.arange(len(table)) % 7
    found: dict[str, object] = {"rows": len(table)}
    for name, column in table.items():
        if column.dtype.kind in "iufb":
            values = np.nan_to_num(column.to_numpy(dtype=float), posinf=1e6, neginf=-1e6)
            found[str(name)] = float(values @ weights)
        else:
            found[str(name)] = hashlib.sha256("\n".join(map(str, column)).encode()).hexdigest()[:16]
    return found


def numbers_of(found: object, path: str = "") -> dict[str, float]:
    """Numbers by their place, in nested dictionaries and lists."""
    if isinstance(found, float):
        return {path: found}
    items = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    return {key: value for name, part in items for key, value in numbers_of(part, f"{path}/{name}").items()}


def without_numbers(found: object) -> object:
    """The same without them."""
    if isinstance(found, dict):
        return {name: without_numbers(part) for name, part in found.items()}
    if isinstance(found, list):
        return [without_numbers(part) for part in found]
    return None if isinstance(found, float) else found


def recorded() -> dict[str, object]:
    return json.loads(RECORD.read_text())


def test_signatures_are_those_on_record():
    assert signatures() == recorded()["signatures"]


def test_options_of_the_commands_are_those_on_record():
    assert options() == recorded()["options"]


@pytest.mark.parametrize("name", RUNS)
def test_seeded_run_gives_what_is_on_record(name):
    mpl.use("Agg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = RUNS[name]()
    expected = recorded()["runs"][name]
    assert without_numbers(found) == without_numbers(expected)
    numbers, wanted = numbers_of(found), numbers_of(expected)
    # The last digits of sums belong to the processor and its BLAS.
    np.testing.assert_allclose([numbers[place] for place in wanted], list(wanted.values()), rtol=1e-6)


if __name__ == "__main__":
    mpl.use("Agg")
    warnings.simplefilter("ignore")
    runs = {name: run() for name, run in RUNS.items()}
    RECORD.write_text(json.dumps({"signatures": signatures(), "options": options(), "runs": runs}, indent=1) + "\n")
