"""Graphs that others made: ``tl.leiden`` clusters on each as scanpy does, and merges."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pytest
import scanpy as sc
from on_graph import check_leiden
from scipy import sparse
from sklearn.neighbors import kneighbors_graph

import recall_py

FILES = Path(__file__).parents[1] / "data" / "graphs"

pytestmark = pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")

QUICK = {"method": "gauss", "transformer": "sklearn"}
"""Of ``sc.pp.neighbors``: a graph that takes no compiling."""


@pytest.fixture
def cells():
    """Raw counts of two groups, and components of them; no graph."""
    adata = recall_py.datasets.pbmc68k()
    adata = adata[adata.obs["annotation"].isin(["CD14+ Monocyte", "CD19+ B"]), :200].copy()
    adata.obsm["X_pca"] = sc.pp.pca(sc.pp.log1p(adata.X.copy()), n_comps=10)
    return adata


@pytest.mark.parametrize(
    ("file", "arguments"),
    [
        ("harmonypy.h5ad", {}),
        ("bbknn.h5ad", {}),
        ("bbknn.h5ad", {"batch_key": "batch"}),
        ("squidpy.h5ad", {"neighbors_key": "spatial_neighbors"}),
    ],
)
def test_graph_that_a_package_wrote(file, arguments):
    check_leiden(ad.read_h5ad(FILES / file), **arguments)


def test_graph_of_two_modalities_gives_labels_to_the_mudata():
    check_leiden(mudata.read_h5mu(FILES / "muon.h5mu"), modality="rna")


def recorded_by_default(adata):
    sc.pp.neighbors(adata, **QUICK)
    return {}


def on_a_latent_space(adata):
    """scVI gives float32 coordinates, of which none comes before another."""
    turned, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(10, 10)))
    latent = adata.obsm["X_pca"] @ turned
    adata.obsm["X_scVI"] = (latent / latent.std(axis=0)).astype(np.float32)
    sc.pp.neighbors(adata, use_rep="X_scVI", **QUICK)
    return {}


def on_a_gpu(adata):
    """What ``pp.neighbors`` of rapids_singlecell 0.14.1 records, by its source.

    The method is ``"rapids"`` whatever it was; ``use_rep`` and ``n_pcs`` are there if they were given. Distances hold
    each cell itself, as a stored zero.
    """
    sc.pp.neighbors(adata, 15, **QUICK)
    distances = sparse.coo_matrix(adata.obsp["distances"].astype(np.float32))
    itself = np.arange(adata.n_obs)
    rows, columns = np.append(distances.row, itself), np.append(distances.col, itself)
    values = np.append(distances.data, np.zeros_like(itself, dtype=np.float32))
    adata.obsp["distances"] = sparse.csr_matrix((values, (rows, columns)), shape=distances.shape)
    adata.obsp["connectivities"] = sparse.csr_matrix(adata.obsp["connectivities"].astype(np.float32))
    adata.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "distances_key": "distances",
        "params": {
            "n_neighbors": 15,
            "method": "rapids",
            "random_state": 0,
            "metric": "euclidean",
            "algorithm_kwds": {"n_lists": 8},
        },
    }
    return {}


def by_neighbors_key(adata):
    sc.pp.neighbors(adata, 10, key_added="mine", **QUICK)
    sc.pp.neighbors(adata, 50, **QUICK)
    return {"neighbors_key": "mine"}


def by_obsp(adata):
    sc.pp.neighbors(adata, **QUICK)
    adata.obsp["mine"] = adata.obsp["connectivities"].copy()
    del adata.uns["neighbors"], adata.obsp["connectivities"], adata.obsp["distances"]
    return {"obsp": "mine"}


def by_adjacency(adata):
    by_obsp(adata)
    return {"adjacency": adata.obsp.pop("mine")}


def nearest(adata):
    """Each cell points to its 15 nearest, which need not point back."""
    graph = kneighbors_graph(adata.obsm["X_pca"], 15)
    assert (graph != graph.T).nnz > 0
    return graph


def directed_by_obsp(adata):
    adata.obsp["mine"] = nearest(adata)
    return {"obsp": "mine", "flavor": "leidenalg", "directed": True}


def directed_by_adjacency(adata):
    return {"adjacency": nearest(adata), "flavor": "leidenalg", "directed": True}


def directed_taken_as_undirected(adata):
    return {"adjacency": nearest(adata)}


@pytest.mark.filterwarnings("ignore:.*igraph")  # scanpy would rather have it than leidenalg
@pytest.mark.parametrize(
    "graph",
    [
        recorded_by_default,
        on_a_latent_space,
        on_a_gpu,
        by_neighbors_key,
        by_obsp,
        by_adjacency,
        directed_by_obsp,
        directed_by_adjacency,
        directed_taken_as_undirected,
    ],
)
def test_graph_made(cells, graph):
    check_leiden(cells, resolution=2, **graph(cells))
