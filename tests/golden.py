"""Reader of the golden folders: the numbers of the R original, as its README describes them."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recall_py.method.results import Augmented, NullFit

REPOSITORY = Path(__file__).resolve().parents[1]
SHIPPED = ("pbmc68k", "pbmc68k_start4", "edge_cases")
DATASETS = ("celseq2_3cl", "pbmc3k_500c", "pbmc68k")
"""Folders with counts, knockoffs, components and graphs of their own."""
RUNS = (*DATASETS, "pbmc68k_start4")
"""Searches of the original; the last one uses the data of ``pbmc68k``."""


def shared_folder() -> Path:
    return Path(os.environ.get("RECALL_PY_SHARED", REPOSITORY.parent / "shared"))


def golden_folder(name: str) -> Path:
    """The folder called `name`; skips the test visibly where a folder that is not shipped is absent."""
    if name in SHIPPED:
        return REPOSITORY / "data" / "golden" / name
    folder = shared_folder() / "golden" / name
    if not folder.is_dir():
        pytest.skip(f"golden dataset {name} is not at {folder} (set RECALL_PY_SHARED)")
    return folder


def read_matrix(path: Path) -> sparse.csc_array:
    """A MatrixMarket file of features x cells, as cells x features.

    Read by hand: ``scipy.io.mmread`` warns about its return type from scipy 1.18 on and cannot be told before 1.15.
    """
    with gzip.open(path, "rt") as lines:
        triplets = np.loadtxt(lines, comments="%", ndmin=2)
    n_features, n_cells = triplets[0, :2].astype(int)
    rows, columns = triplets[1:, :2].astype(np.int32).T - 1
    return sparse.csc_array((triplets[1:, 2], (columns, rows)), shape=(n_cells, n_features))


@dataclass(frozen=True)
class Golden:
    """One folder; every table is read when it is first asked for."""

    name: str

    @property
    def base(self) -> Golden:
        """The folder that has the counts of this run."""
        return golden("pbmc68k") if self.name == "pbmc68k_start4" else self

    @property
    def start(self) -> float:
        """Resolution at which the original's search started."""
        return 4.0 if self.name == "pbmc68k_start4" else 0.8

    def path(self, file: str) -> Path:
        return golden_folder(self.name) / file

    def lines(self, file: str) -> list[str]:
        return self.path(file).read_text().splitlines()

    def table(self, file: str) -> pd.DataFrame:
        return pd.read_csv(self.path(file), sep="\t")

    @cached_property
    def genes(self) -> list[str]:
        """The highly variable genes, in the order of their knockoffs."""
        return self.lines("variable_features.txt")

    @cached_property
    def counts(self) -> sparse.csc_array:
        """(n_cells, n_genes) counts of `genes`."""
        row = {gene: i for i, gene in enumerate(self.lines("genes.tsv"))}
        return sparse.csc_array(read_matrix(self.path("counts.mtx.gz"))[:, [row[gene] for gene in self.genes]])

    @cached_property
    def augmented(self) -> Augmented:
        """The counts beside the original's fixed knockoffs."""
        knockoffs = read_matrix(self.path("knockoffs_zip.mtx.gz"))
        columns = sparse.csc_array(sparse.hstack([self.base.counts, knockoffs], format="csc"))
        return Augmented(columns, (NullFit("ZIP", {}),))

    @cached_property
    def components(self) -> np.ndarray:
        """(n_cells, 10) cell scores; the sign is arbitrary."""
        return self.table("pca.tsv.gz").iloc[:, 1:].to_numpy()

    @cached_property
    def neighbours(self) -> np.ndarray:
        """(n_cells, 20) neighbours, the cell itself first."""
        return np.ascontiguousarray(self.table("knn_annoy_idx0.tsv.gz").iloc[:, 1:], dtype=np.int32)

    @cached_property
    def snn(self) -> sparse.csr_array:
        """The shared nearest neighbour graph without its diagonal of 1."""
        graph = sparse.csr_array(read_matrix(self.path("snn.mtx.gz")))
        graph = sparse.csr_array(graph - sparse.diags_array(graph.diagonal()))
        graph.eliminate_zeros()
        return graph

    @cached_property
    def pairs(self) -> pd.DataFrame:
        return self.table("pairs.tsv")

    @cached_property
    def partitions(self) -> dict[tuple[str, int], tuple[float, np.ndarray]]:
        """Resolution and labels by algorithm and iteration, labels as the original counts them."""
        found = {}
        labels = self.table("clusters_by_resolution.tsv.gz").set_index("cell")
        for column in labels:
            algorithm, iteration, resolution = str(column).split("_")
            key = algorithm, int(iteration.removeprefix("iter"))
            found[key] = float(resolution.removeprefix("res")), labels[column].to_numpy()
        return found

    @cached_property
    def final_louvain(self) -> np.ndarray:
        return self.table("final_labels.tsv")["louvain"].to_numpy()

    @cached_property
    def n_louvain_steps(self) -> int:
        """Partitions that the original's search looked at."""
        return sum(line.startswith("Resolution param") for line in self.lines("recall_log_louvain.txt"))


@cache
def golden(name: str) -> Golden:
    """The folder called `name`, read at most once in a test session."""
    golden_folder(name)
    return Golden(name)


def edge_cases(file: str) -> pd.DataFrame:
    """A table of ``edge_cases``, by name; cells are text, because pandas may round the last digit of a number."""
    return pd.read_csv(golden_folder("edge_cases") / file, sep="\t", index_col=0, dtype=str, keep_default_na=False)


def numbers(text: str) -> np.ndarray:
    """Comma separated numbers; R's ``Inf`` and ``NaN`` are read as such."""
    return np.array([float(part) for part in text.split(",") if part])
