"""The tests of pairs by their names, and the face that they share."""

from __future__ import annotations

import numpy as np
import pytest

from recall_py.datasets import simulate
from recall_py.method.pairs import pair_test_named
from recall_py.method.pairs.against_knockoffs import KnockoffTest, SortedGeneTests
from recall_py.method.params import PAIR_TESTS, FilterParams
from recall_py.method.pipeline import make_pair_test
from recall_py.method.results import Cells


@pytest.fixture(scope="module")
def adata():
    return simulate(n_cells=120, n_genes=200, group_shares=(0.6, 0.4), mean_depth=2000, n_markers=40, random_state=1)


@pytest.mark.parametrize("name", PAIR_TESTS)
def test_every_gene_has_what_the_markers_have(adata, name):
    labels = adata.obs["group"].cat.codes.to_numpy(np.int32)
    test = make_pair_test(Cells(adata.X.tocsc()), name, "ZIP", FilterParams(n_draws=3), n_jobs=1)
    table, markers = test(labels), test.markers(labels)
    found = test.every_gene(labels, (0, 1))
    assert markers.gene.size == table.n_selected[0] > 0
    np.testing.assert_array_equal(np.flatnonzero(found.selection.selected), markers.gene)
    for column, values in (("w", found.w), ("log10_p", found.log10_p), ("log10_p_knockoff", found.log10_p_null)):
        np.testing.assert_array_equal(values[markers.gene], getattr(markers, column), err_msg=column)
    np.testing.assert_array_equal(found.real.sum(axis=0), adata.X.toarray().sum(axis=0))
    assert found.null.shape == found.real.shape
    assert np.bincount(found.null_side).tolist() == table.sizes[0].tolist()


def test_a_columnthat_no_test_has_is_refused():
    with pytest.raises(ValueError, match=r"Unknown pair_test 'permutation'\. Available: knockoff, synthetic"):
        pair_test_named("permutation")


def test_only_one_of_the_tests_takes_knockoffs():
    assert {name: pair_test_named(name).takes_knockoffs for name in PAIR_TESTS} == {
        "knockoff": True,
        "synthetic": False,
    }


def test_every_gene_without_counts_says_what_is_missing(adata):
    test = KnockoffTest(SortedGeneTests(adata.X.tocsc(), FilterParams()), FilterParams())
    with pytest.raises(ValueError, match=r"KnockoffTest\(genes, params, counts\)"):
        test.every_gene(np.zeros(adata.n_obs, dtype=np.int32), (0, 1))
