"""What ``pp`` returns is what scanpy goes on with."""

from __future__ import annotations

import numpy as np
import scanpy as sc
from scipy import sparse

import recall_py


def test_scanpy_normalises_real_genes_and_knockoffs():
    cells = recall_py.datasets.simulate(60, 40, n_markers=5, random_state=1)
    augmented = recall_py.pp.knockoffs(cells, null_method="permutation")
    assert isinstance(augmented.X, sparse.csr_matrix)
    expected = augmented.X.toarray() / augmented.X.sum(axis=1).A * 1e4
    sc.pp.normalize_total(augmented, target_sum=1e4)
    np.testing.assert_allclose(augmented.X.toarray(), expected, rtol=1e-6)
