"""The knockoff filter: threshold, selection, and the error rate that it is for."""

from __future__ import annotations

import numpy as np
import pytest
from golden import edge_cases, numbers
from hypothesis import given
from hypothesis import strategies as st

from recall_py.method.pairs.filter import contrast, select
from recall_py.method.params import FilterParams

DEVIATIONS = {
    # The original's threshold is infinite, and its `W >= Inf` then selects the infinite contrasts all the same.
    "inf19_neg": (np.inf, 0),
    "inf3_noise": (np.inf, 0),
    # One NaN makes every threshold of the original infinite; it counts 0 here, and the 100 contrasts of 5 pass.
    "nan_one": (0.0, 100),
}
"""Cases of ``knockoff_threshold.tsv`` where we differ on purpose: our threshold and number selected."""


def threshold_by_definition(w: np.ndarray, fdr: float, offset: int) -> float:
    """The smallest t in {0} u {abs(W)} whose estimated share of false discoveries is at most `fdr`."""
    for t in sorted({0.0, *np.abs(w).tolist()}):
        if (offset + sum(w <= -t)) / max(1, sum(w >= t)) <= fdr:
            return t
    return np.inf


def evidence_by_definition(w: np.ndarray) -> int:
    return max(sum(w >= t) - sum(w <= -t) for t in {0.0, *np.abs(w).tolist()})


def false_share_by_definition(w: np.ndarray, offset: int) -> float:
    return min((offset + sum(w <= -t)) / max(1, sum(w >= t)) for t in {0.0, *np.abs(w).tolist()})


contrasts = st.lists(st.integers(-4, 12).map(float) | st.floats(-5, 20), max_size=80).map(np.array)


@given(contrasts, st.sampled_from([0.05, 0.1, 0.2, 0.5]), st.sampled_from([0, 1]))
def test_threshold_is_the_smallest_that_the_definition_allows(w, fdr, offset):
    found = select(w, fdr=fdr, offset=offset)
    threshold = threshold_by_definition(w, fdr, offset)
    assert found.threshold == threshold
    np.testing.assert_array_equal(found.selected, (w >= threshold) & (w > 0))
    assert found.evidence == evidence_by_definition(w)
    assert found.false_share == false_share_by_definition(w, offset)
    assert (found.false_share <= fdr) == np.isfinite(found.threshold)


@pytest.mark.parametrize("name", edge_cases("knockoff_threshold.tsv").index)
def test_threshold_and_selection_are_the_originals(name):
    case = edge_cases("knockoff_threshold.tsv").loc[name]
    w = numbers(case["W"])
    threshold, n_selected = DEVIATIONS.get(name, (float(case["threshold"]), int(case["n_selected"])))
    found = select(w)
    assert found.threshold == threshold
    assert found.selected.sum() == n_selected


def test_deliberate_deviations_are_deviations():
    table = edge_cases("knockoff_threshold.tsv")
    for name, (threshold, n_selected) in DEVIATIONS.items():
        original = table.loc[name]
        assert (float(original["threshold"]), int(original["n_selected"])) != (threshold, n_selected)


def test_nan_contrast_counts_zero():
    w = np.array([*[3.0] * 25, np.nan])
    assert select(w).threshold == select(np.nan_to_num(w)).threshold == 3.0
    np.testing.assert_array_equal(select(w).selected, [*[True] * 25, False])


def test_infinite_threshold_selects_nothing_even_among_infinite_contrasts():
    found = select(np.array([*[np.inf] * 19, *[-1.0] * 50]))
    assert found.threshold == np.inf
    assert not found.selected.any()


def test_twenty_infinite_contrasts_are_selected():
    found = select(np.array([*[np.inf] * 20, *[-1.0] * 50]))
    assert np.isfinite(found.threshold)
    assert found.selected.sum() == 20


def test_zero_contrast_is_never_selected():
    # Without an offset and without negative contrasts the threshold is 0, which W = 0 reaches.
    w = np.array([1.0, 0.0, 2.0])
    loose = select(w, fdr=0.5, offset=0)
    assert not loose.selected[1]
    assert not select(np.zeros(100)).selected.any()
    assert not select(np.zeros(100), offset=0).selected.any()


def test_no_contrasts_select_nothing():
    found = select([])
    assert found.threshold == np.inf
    assert found.evidence == 0


@pytest.mark.parametrize(("n_positive", "n_selected"), [(19, 0), (20, 20)])
def test_knockoff_plus_needs_twenty_genes_at_five_per_cent(n_positive, n_selected):
    assert select(np.arange(1.0, n_positive + 1)).selected.sum() == n_selected


@pytest.mark.parametrize(("fdr", "offset", "floor"), [(0.05, 1, 20), (0.1, 1, 10), (0.07, 1, 15), (0.05, 0, 1)])
def test_floor_that_is_shown_is_the_floor_of_the_filter(fdr, offset, floor):
    assert FilterParams(fdr=fdr, offset=offset).min_selected == floor
    assert select(np.ones(floor), fdr=fdr, offset=offset).selected.all()
    assert not select(np.ones(floor - 1), fdr=fdr, offset=offset).selected.any()


def test_contrast_is_positive_where_the_real_gene_is_the_better_marker():
    np.testing.assert_array_equal(contrast(np.array([-9.0, -1.0]), np.array([-2.0, -3.0])), [7.0, -2.0])


def test_false_discovery_rate_is_kept_and_power_is_high():
    """Nulls with symmetric W, as the theory asks, and 80 signals among 500 genes."""
    n_genes, n_signals, fdr, n_runs = 500, 80, 0.1, 300
    rng = np.random.default_rng(1)
    false_share, power = np.empty(n_runs), np.empty(n_runs)
    for run in range(n_runs):
        w = rng.exponential(1.0, n_genes) * rng.choice([-1, 1], n_genes)
        w[:n_signals] = rng.exponential(1.0, n_signals) + 5.0
        selected = select(w, fdr=fdr).selected
        false_share[run] = selected[n_signals:].sum() / max(1, selected.sum())
        power[run] = selected[:n_signals].mean()
    error = false_share.std(ddof=1) / np.sqrt(n_runs)
    print(f"mean FDP {false_share.mean():.4f} (standard error {error:.4f}), mean power {power.mean():.3f}")
    assert false_share.mean() <= fdr + 3 * error
    assert power.mean() > 0.9
