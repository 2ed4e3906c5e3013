"""The real datasets, as raw counts, and what should be found in them."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import scanpy as sc


@dataclass(frozen=True)
class Dataset:
    """Counts with what is known about their cells."""

    name: str
    adata: ad.AnnData
    expected: int
    most: int
    """The largest number of clusters that can be defended."""
    truth: np.ndarray | None = None
    """(n_cells,) labels that do not come from the expression data; None for a pure population."""
    scored: np.ndarray | None = None
    """(n_cells,) cells that count for the ARI."""

    @property
    def pure(self):
        """Whether all cells are of one kind."""
        return self.truth is None


def data_folder():
    """Where the real datasets are; ends the program with code 2 if they are absent."""
    root = Path(os.environ.get("RECALL_PY_SHARED", Path(__file__).parents[1] / ".." / "shared")).resolve()
    folder = root / "data"
    if not folder.is_dir():
        print(f"No real datasets at {folder}. Set RECALL_PY_SHARED to the folder that holds data/.", file=sys.stderr)
        sys.exit(2)
    return folder


def read(name):
    """One dataset by file name without suffix; ends the program with code 2 if it is absent."""
    path = data_folder() / f"{name}.h5ad"
    if not path.is_file():
        print(f"The dataset {path} is absent.", file=sys.stderr)
        sys.exit(2)
    return ad.read_h5ad(path)


def drop_empty(adata):
    """A copy without genes seen in fewer than three cells and without cells that have no counts."""
    adata = adata.copy()
    sc.pp.filter_genes(adata, min_cells=3)
    sc.pp.filter_cells(adata, min_counts=1)
    return adata


def read_singlets(name):
    """One dataset without what nobody clusters: genes and cells that are as good as empty, and doublets."""
    return drop_empty(mix3_singlets() if name == "mix3_celseq2" else read(name))


def labelled_sets():
    """Sets with labels that do not come from the expression data."""
    mix3 = mix3_singlets()
    sets = [("mix3_celseq2 singlets", mix3, None), ("zheng_facs3_500", read("zheng_facs3_500"), None)]
    lines = ["HEK", "K562", "KG1", "THP1"]
    sets.append(("stoeckius_4lines_hto", read("stoeckius_4lines_hto"), lines))
    for name, raw, kinds in sets:
        adata = drop_empty(raw)
        truth = adata.obs["truth"].astype(str).to_numpy()
        scored = np.ones(truth.size, dtype=bool) if kinds is None else np.isin(truth, kinds)
        expected = np.unique(truth[scored]).size
        yield Dataset(name, adata, expected, expected, truth, scored)


def pure_populations():
    """One kind of cell each, so that one cluster is right; two among B cells, which hold naive and memory cells."""
    for name, adata in (("mix3_celseq2", mix3_singlets()), ("rnamix_celseq2", read("rnamix_celseq2"))):
        for kind in sorted(adata.obs["truth"].astype(str).unique()):
            alone = adata[(adata.obs["truth"].astype(str) == kind).to_numpy()]
            yield Dataset(f"{name} {kind}", drop_empty(alone), expected=1, most=1)
    yield Dataset("zheng_cd19b_pure", drop_empty(read("zheng_cd19b_pure")), expected=1, most=2)


def mix3_singlets():
    """The three cell lines without doublets."""
    adata = read("mix3_celseq2")
    return adata[(adata.obs["demuxlet_cls"] == "SNG").to_numpy()].copy()
