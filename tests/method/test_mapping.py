"""Placing cells: p-values of cells that are of the reference, and genes of the platform."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recall_py.method.mapping import N_COMPONENTS, _scores, place, platform_genes, within_axes


def values(rng, n_cells, types=1, n_genes=60):
    """Log-normalised values of types that differ in genes of their own."""
    labels = np.arange(n_cells) % types
    mean = np.full((n_cells, n_genes), 1.0)
    for code in range(types):
        mean[np.ix_(labels == code, np.arange(10 * code, 10 * code + 10))] = 6.0
    return sparse.csr_array(np.log1p(rng.poisson(mean)).astype(float)), labels


def test_cells_of_the_reference_are_far_off_as_often_as_they_say():
    far = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        reference, labels = values(rng, 120, 3)
        query, _ = values(rng, 60, 3)
        far.append(place(reference, labels, query, shifted=False).p)
    shares = [np.mean(np.array(far) <= level) for level in (0.05, 0.2, 0.5)]
    np.testing.assert_allclose(shares, (0.05, 0.2, 0.5), atol=0.04)


def test_shift_of_all_distances_is_allowed_for_and_told():
    rng = np.random.default_rng(0)
    reference, labels = values(rng, 150, 3)
    query, _ = values(rng, 60, 3)
    noisy = sparse.csr_array(query.toarray() + rng.normal(0, 0.8, query.shape))
    strict, shifted = (place(reference, labels, noisy, shifted=allowed) for allowed in (False, True))
    assert strict.shift == 1
    assert (strict.p <= 0.05).mean() > 0.5
    assert shifted.shift > 1.2
    assert (shifted.p <= 0.05).mean() < 0.25
    np.testing.assert_array_equal(strict.labels, shifted.labels)


def test_components_are_those_of_the_centred_values_whichever_side_is_longer():
    rng = np.random.default_rng(1)
    for shape in ((50, 80), (80, 50)):
        matrix = rng.random(shape)
        _, singular, _ = np.linalg.svd(matrix - matrix.mean(axis=0), full_matrices=False)
        found = _scores(sparse.csr_array(matrix))
        np.testing.assert_allclose(np.linalg.norm(found, axis=0), singular[:N_COMPONENTS], rtol=1e-8)
        np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-8)


def test_axes_make_what_varies_within_labels_alike():
    rng = np.random.default_rng(4)
    labels = np.arange(4000) % 4
    spread = np.array([9.0, 3.0, 3.0, 1.0])
    scores = rng.normal(size=(4000, 4)) * spread + 20 * rng.normal(size=(4, 4))[labels]
    along = scores @ within_axes(scores, labels)
    within = np.cov(np.concatenate([along[labels == code] - along[labels == code].mean(axis=0) for code in range(4)]).T)
    shrunk = 0.9 * spread**2 + 0.1 * (spread**2).mean()
    np.testing.assert_allclose(np.sort(np.diag(within)), np.sort(spread**2 / shrunk), rtol=0.1)
    np.testing.assert_allclose(within - np.diag(np.diag(within)), 0, atol=0.05)


def test_donor_that_lacks_a_type_does_not_draw_its_cells():
    """Donors differ more than types; the query is of the donor that has no cell of one type in the reference."""
    rng = np.random.default_rng(5)
    donor, labels = np.repeat([0, 1], 150), np.tile(np.arange(3), 100)
    mean = np.full((300, 60), 1.0)
    for code in range(3):
        mean[np.ix_(labels == code, np.arange(10 * code, 10 * code + 4))] = 4.0
    mean[np.ix_(donor == 1, np.arange(30, 60))] = 4.0
    cells = sparse.csr_array(np.log1p(rng.poisson(mean)).astype(float))
    asked = (donor == 1) & ((labels == 2) | (np.arange(300) % 2 == 0))
    placed = place(cells[~asked], labels[~asked], cells[asked])
    assert (placed.labels == labels[asked]).mean() > 0.95


def test_genes_of_the_platform_differ_alike_in_several_labels():
    rng = np.random.default_rng(2)
    reference, of_reference = values(rng, 150, 3)
    query, of_query = values(rng, 90, 3)
    changed = query.toarray()
    changed[:, 40:45] += 1
    changed[of_query == 0, 50:55] += 1
    found = platform_genes(reference, of_reference, sparse.csr_array(changed), of_query)
    np.testing.assert_array_equal(np.flatnonzero(found), np.arange(40, 45))


def test_one_label_alone_tells_nothing_of_the_platform():
    rng = np.random.default_rng(3)
    reference, labels = values(rng, 60)
    query, of_query = values(rng, 30)
    assert not platform_genes(reference, labels, query + sparse.csr_array(np.ones(query.shape)), of_query).any()
