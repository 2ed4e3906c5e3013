"""Which pairs of clusters are tested."""

import numpy as np

from recall_py.method.pairs.table import pairs_to_test
from recall_py.method.params import FilterParams


def test_clusters_of_three_cells_are_tested_and_smaller_ones_are_not():
    labels = np.repeat([0, 1, 2], [5, 3, 2]).astype(np.int32)
    np.testing.assert_array_equal(pairs_to_test(labels, FilterParams()), [[0, 1]])
    assert len(pairs_to_test(labels, FilterParams(min_cells=2))) == 3
    assert len(pairs_to_test(labels, FilterParams(min_cells=4))) == 0
