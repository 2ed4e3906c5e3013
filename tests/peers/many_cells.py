"""The graph of more cells than are searched exactly."""

from __future__ import annotations

import numba
import numpy as np

from recall_py.adata.neighbours import scanpy_graph
from recall_py.method.clustering.graph import build_graph
from recall_py.method.params import GraphParams


def test_approximate_graph_of_scanpy_does_not_depend_on_the_number_of_threads(rng, monkeypatch):
    monkeypatch.setattr("recall_py.method.clustering.graph.EXACT_CELLS", 3999)
    cells = 4 * rng.normal(size=(12, 10))[rng.integers(12, size=4000)] + rng.normal(size=(4000, 10))
    threads = numba.get_num_threads()
    try:
        graphs = []
        for n_threads in (1, threads):
            numba.set_num_threads(n_threads)
            graphs.append(build_graph(cells, GraphParams(kind="umap"), scanpy_graph))
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(graphs[0].indices, graphs[1].indices)
    np.testing.assert_array_equal(graphs[0].data, graphs[1].data)
