"""Loaders that a user hands in: genes and cells are found by name, and values that are no counts are refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recall_py.embedding.loaders import HandedLoader

COUNTS = np.array([[1, 0, 2], [0, 3, 0], [4, 0, 5], [0, 6, 7]], dtype=np.float32)
CELLS = pd.Index(["c0", "c1", "c2", "c3"])
GENES = pd.Index(["a", "b", "c"])


class LikeAnnbatch(list):
    """Dictionaries with a matrix and a table."""

    var = pd.DataFrame(index=GENES)


def like_annbatch(counts=COUNTS, cells=CELLS, kind=sparse.csr_matrix):
    return LikeAnnbatch(
        {"X": kind(counts[few]), "obs": pd.DataFrame({"batch": "x"}, index=cells[few])} for few in ([2, 0], [3, 1])
    )


class LikeAnnLoader(list):
    """Views of a collection."""

    dataset = SimpleNamespace(var_names=GENES)


def like_ann_loader(counts=COUNTS, cells=CELLS):
    return LikeAnnLoader(SimpleNamespace(X=counts[few], obs_names=cells[few]) for few in ([2, 0], [3, 1]))


@pytest.mark.parametrize("loader", [like_annbatch, like_ann_loader])
def test_genes_and_cells_are_found_by_name(loader):
    known = pd.Index(["c3", "c2", "c1"])
    (of_first, first), (of_second, second) = HandedLoader(loader(), np.array(["c", "a"]), known)
    np.testing.assert_array_equal(of_first, [1, -1])
    np.testing.assert_array_equal(first, [[5, 4], [2, 1]])
    np.testing.assert_array_equal(of_second, [0, 2])
    np.testing.assert_array_equal(second, [[7, 0], [0, 0]])


def test_each_pass_is_an_epoch():
    handed = HandedLoader(like_annbatch(), np.array(["b"]), CELLS)
    assert [cells.tolist() for cells, _ in handed] == [cells.tolist() for cells, _ in handed] == [[2, 0], [3, 1]]


def test_a_loader_without_the_genes_is_refused():
    with pytest.raises(ValueError, match="loader lacks 1 of the 2 genes that take part, such as d"):
        HandedLoader(like_annbatch(), np.array(["a", "d"]), CELLS)


def test_cells_of_the_same_name_are_refused():
    with pytest.raises(ValueError, match="found by name, and some in adata have the same"):
        HandedLoader(like_annbatch(), np.array(["a"]), pd.Index(["c0", "c0"]))


@pytest.mark.parametrize("wrong", [0.5, -1.0, np.nan])
@pytest.mark.parametrize("loader", [like_annbatch, like_ann_loader])
def test_values_that_are_no_counts_are_refused(loader, wrong):
    counts = COUNTS.copy()
    counts[3, 1] = wrong
    with pytest.raises(ValueError, match="values that are not counts in X"):
        list(HandedLoader(loader(counts), np.array(["a", "b"]), CELLS))
