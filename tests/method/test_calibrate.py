"""The search, on toy clusterers and toy tests of pairs: which partitions it looks at, and where it stops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_py.method.calibrate import MAX_RAISES, CountLadder, ResolutionLadder, calibrate, weakest_failing_pair
from recall_py.method.params import SearchParams
from recall_py.method.results import Iteration, PairTable, Partition

N_CELLS = 120


class Bands:
    """Cuts the cells, in their order, into as many bands as `count` says for a level."""

    def __init__(self, count=lambda level: level, fewest: int = 1) -> None:
        self.fewest = fewest
        self.levels: list[float] = []
        self._count = count

    def __call__(self, level: float) -> Partition:
        self.levels.append(level)
        n_clusters = max(self.fewest, int(self._count(level)))
        return Partition((np.arange(N_CELLS) * n_clusters // N_CELLS).astype(np.int32), 0.5)


class GroupTest:
    """A pair fails unless most cells of the two clusters are of different groups; cells in order, groups equal."""

    def __init__(self, n_groups: int) -> None:
        self._group = np.arange(N_CELLS) * n_groups // N_CELLS
        self.seen: list[np.ndarray] = []

    def __call__(self, labels: np.ndarray) -> PairTable:
        self.seen.append(labels)
        sizes = np.bincount(labels)
        group = np.array([np.bincount(self._group[labels == code]).argmax() for code in range(sizes.size)])
        pairs = np.column_stack(np.triu_indices(sizes.size, k=1))
        passing = group[pairs[:, 0]] != group[pairs[:, 1]]
        return PairTable(
            pairs=pairs,
            sizes=sizes[pairs],
            threshold=np.where(passing, 1.0, np.inf),
            n_selected=np.where(passing, 25, 0),
            evidence=np.where(passing, 25.0, 10.0),
        )


def resolution_bands(**kwargs) -> Bands:
    """Ten clusters for each unit of resolution."""
    return Bands(lambda level: math.ceil(10 * level - 1e-9), **kwargs)


def search(cluster, test, ladder=ResolutionLadder, **params):
    asked = SearchParams(**{"start": 0.8, **params})
    return calibrate(cluster, test, asked, ladder(asked.reduction))


def count_ladder(reduction):
    return CountLadder(reduction, most=N_CELLS)


def pair_table(rows: list[tuple[int, int, int, int, int, float]]) -> PairTable:
    """From rows of codes, sizes, number selected and evidence."""
    a, b, n_a, n_b, n_selected, evidence = zip(*rows, strict=True)
    return PairTable(
        pairs=np.column_stack((a, b)),
        sizes=np.column_stack((n_a, n_b)),
        threshold=np.where(np.array(n_selected) > 0, 1.0, np.inf),
        n_selected=np.array(n_selected),
        evidence=np.array(evidence, dtype=float),
    )


def test_resolution_is_lowered_until_no_pair_fails():
    cluster = resolution_bands()
    found = search(cluster, GroupTest(3))
    np.testing.assert_allclose(cluster.levels, 0.8 * 0.8 ** np.arange(6))
    assert [step.n_clusters for step in found.iterations] == [8, 7, 6, 5, 4, 3]
    assert found.partition.n_clusters == 3
    assert found.level == pytest.approx(0.8**6)
    assert not found.pairs.failing.any()
    assert (found.reason, found.converged, found.first_passed) == ("calibrated", True, False)


def test_reduction_decides_how_far_the_resolution_is_lowered():
    cluster = resolution_bands()
    search(cluster, GroupTest(2), reduction=0.5)
    np.testing.assert_allclose(cluster.levels, [0.8, 0.4, 0.2])


def test_each_iteration_is_recorded_and_told_once():
    told: list[Iteration] = []
    params = SearchParams(start=0.4)
    found = calibrate(resolution_bands(), GroupTest(2), params, ResolutionLadder(0.2), told.append)
    assert tuple(told) == found.iterations
    first, last = told[0], told[-1]
    assert (first.n_clusters, first.n_pairs, first.n_failing, first.min_selected, first.merged) == (4, 6, 2, 0, None)
    assert (last.n_clusters, last.n_pairs, last.n_failing, last.min_selected) == (2, 1, 0, 25)


def test_partition_that_passes_at_once_is_kept_and_says_so():
    cluster = resolution_bands()
    found = search(cluster, GroupTest(8))
    assert cluster.levels == [0.8]
    assert found.first_passed
    assert found.converged
    assert len(found.iterations) == 1


def test_one_cluster_ends_the_search_and_says_so():
    found = search(resolution_bands(), GroupTest(1))
    assert found.partition.n_clusters == 1
    assert found.reason == "one cluster"
    assert found.converged
    assert len(found.pairs.pairs) == 0
    assert (found.iterations[-1].n_pairs, found.iterations[-1].min_selected) == (0, 0)


@pytest.mark.parametrize("limit", [1, 3])
def test_search_that_is_cut_off_says_so(limit):
    cluster = resolution_bands()
    found = search(cluster, GroupTest(1), max_iterations=limit)
    assert len(cluster.levels) == len(found.iterations) == limit
    assert found.reason == "max_iterations"
    assert not found.converged
    assert found.pairs.failing.any()


def test_last_allowed_iteration_may_still_pass():
    found = search(resolution_bands(), GroupTest(3), max_iterations=6)
    assert found.reason == "calibrated"
    assert len(found.iterations) == 6


def test_components_that_differ_in_too_few_genes_end_the_search_and_say_so():
    cluster = resolution_bands(fewest=2)
    found = search(cluster, GroupTest(1), max_iterations=1000)
    assert found.partition.n_clusters == 2
    assert found.reason == "disconnected"
    assert not found.converged
    assert len(cluster.levels) < 20


def test_components_that_differ_are_calibrated():
    found = search(resolution_bands(fewest=2), GroupTest(2))
    assert found.reason == "calibrated"


def test_number_of_clusters_steps_down_by_one():
    cluster = Bands()
    found = search(cluster, GroupTest(2), count_ladder, start=6)
    assert cluster.levels == [6, 5, 4, 3, 2]
    assert found.level == found.partition.n_clusters == 2


def test_number_of_clusters_ends_at_one():
    cluster = Bands()
    assert search(cluster, GroupTest(1), count_ladder, start=3).reason == "one cluster"
    assert cluster.levels == [3, 2, 1]


def test_start_is_raised_until_a_pair_fails_and_the_last_that_passed_stands():
    cluster = resolution_bands()
    found = search(cluster, GroupTest(5), start=0.3, raise_start=True)
    np.testing.assert_allclose(cluster.levels, 0.3 / 0.8 ** np.arange(len(cluster.levels)))
    assert [step.n_clusters for step in found.iterations] == [3, 4, 5, 6]
    assert found.partition.n_clusters == 5
    assert found.level == pytest.approx(cluster.levels[-2])
    assert found.first_passed
    assert found.reason == "calibrated"


def test_start_is_raised_at_most_five_times():
    cluster = resolution_bands()
    found = search(cluster, GroupTest(N_CELLS), start=0.3, raise_start=True)
    assert MAX_RAISES == 5
    assert len(cluster.levels) == len(found.iterations) == 6
    assert found.level == cluster.levels[-1] == pytest.approx(0.3 / 0.8**5)
    assert not found.pairs.failing.any()


def test_start_is_not_raised_where_a_pair_fails():
    plain, raising = resolution_bands(), resolution_bands()
    search(plain, GroupTest(3))
    search(raising, GroupTest(3), raise_start=True)
    assert plain.levels == raising.levels


def test_number_of_clusters_is_raised_by_at_least_one():
    cluster = Bands()
    search(cluster, GroupTest(4), count_ladder, start=2, raise_start=True)
    assert cluster.levels == [2, 3, 4, 5]


def test_number_of_clusters_is_never_raised_above_the_cells():
    assert [CountLadder(0.2, most=10).finer(level) for level in (7, 9, 10)] == [9, 10, 10]


def test_merging_keeps_the_first_partition_and_joins_what_fails():
    cluster, test = resolution_bands(), GroupTest(3)
    found = search(cluster, test, start=1.2, strategy="merge")
    assert cluster.levels == [1.2]
    assert [step.n_clusters for step in found.iterations] == [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
    assert all(step.merged is not None for step in found.iterations[:-1])
    assert found.iterations[-1].merged is None
    np.testing.assert_array_equal(found.partition.labels, np.arange(N_CELLS) * 3 // N_CELLS)
    assert found.reason == "calibrated"
    assert np.isnan(found.partition.modularity)


def test_merging_numbers_clusters_by_decreasing_size_each_time():
    test = GroupTest(3)
    search(resolution_bands(), test, start=1.2, strategy="merge")
    for labels in test.seen:
        assert (np.diff(np.bincount(labels)) <= 0).all()


def test_merging_what_never_passes_ends_in_one_cluster():
    found = search(resolution_bands(fewest=2), GroupTest(1), strategy="merge")
    assert found.partition.n_clusters == 1
    assert found.reason == "one cluster"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # Evidence comes first, whatever the sizes.
        ([(0, 1, 10, 10, 0, 9), (0, 2, 90, 90, 0, 3), (1, 2, 10, 90, 0, 5)], (0, 2)),
        # The smaller pair of equal evidence.
        ([(0, 1, 60, 40, 0, 3), (0, 2, 60, 20, 0, 3), (1, 2, 40, 20, 0, 3)], (1, 2)),
        # Joint size, not the size of one cluster.
        ([(0, 1, 50, 50, 0, 3), (0, 2, 95, 1, 0, 3)], (0, 2)),
        # The lower codes of equal evidence and size: the first of the pair, then the second.
        ([(1, 2, 10, 10, 0, 3), (0, 2, 10, 10, 0, 3), (0, 1, 10, 10, 0, 3)], (0, 1)),
        ([(1, 2, 10, 10, 0, 3), (0, 3, 10, 10, 0, 3)], (0, 3)),
        # Pairs that pass are left alone, however little evidence they have.
        ([(0, 1, 10, 10, 25, 1), (0, 2, 10, 10, 0, 19)], (0, 2)),
    ],
)
def test_failing_pair_with_the_least_evidence_is_merged_first(rows, expected):
    assert weakest_failing_pair(pair_table(rows)) == expected


@given(
    n_groups=st.integers(1, 20),
    start=st.floats(0.05, 12.0),
    reduction=st.floats(0.05, 0.6),
    kind=st.sampled_from([ResolutionLadder, count_ladder]),
)
def test_strides_find_what_single_steps_find_where_failing_is_monotone(n_groups, start, reduction, kind):
    by_count = kind is count_ladder
    asked = {"start": math.ceil(10 * start) if by_count else start, "reduction": reduction, "max_iterations": 500}
    clusterers = [Bands() if by_count else resolution_bands() for _ in range(2)]
    single, strides = (
        search(cluster, GroupTest(n_groups), kind, bisect=bisect, **asked)
        for cluster, bisect in zip(clusterers, (False, True), strict=True)
    )
    passes = [not GroupTest(n_groups)(Bands()(n).labels).failing.any() for n in range(1, 121)]
    if passes == sorted(passes, reverse=True):
        assert strides.level == single.level
        assert strides.partition.n_clusters == single.partition.n_clusters
        n_single, n_strides = len(single.iterations), len(strides.iterations)
        assert n_strides <= min(n_single + 2, 2 * math.log2(n_single) + 3)
    assert not strides.pairs.failing.any()
    assert strides.reason == single.reason


@given(fails=st.lists(st.booleans(), min_size=1, max_size=40))
def test_strides_end_at_a_level_that_passes_below_one_that_fails(fails):
    """Also where failing is not monotone; a level beyond the list passes."""
    cluster = Bands(lambda level: 2)
    levels = [0.8 * 0.8**i for i in range(200)]

    def test(labels):
        index = int(np.argmin(np.abs(np.array(levels) - cluster.levels[-1])))
        return pair_table([(0, 1, 60, 60, 0 if index < len(fails) and fails[index] else 20, 1.0)])

    found = calibrate(cluster, test, SearchParams(start=0.8, bisect=True, max_iterations=500), ResolutionLadder(0.2))
    at = int(np.argmin(np.abs(np.array(levels) - found.level)))
    assert at >= len(fails) or not fails[at]
    assert at == 0 or fails[at - 1]
    assert len(cluster.levels) == len(set(cluster.levels)) == len(found.iterations)


def test_strides_respect_the_most_iterations():
    cut = search(resolution_bands(), GroupTest(1), start=12.0, bisect=True, max_iterations=4)
    assert (cut.reason, len(cut.iterations)) == ("max_iterations", 4)


def test_strides_are_halved_to_the_end():
    """A stride that passed is not left half searched: that takes a few steps more than `max_iterations`."""
    found = search(Bands(), GroupTest(2), count_ladder, start=12, bisect=True, max_iterations=5)
    assert [step.level for step in found.iterations] == [12, 11, 9, 5, 1, 3, 2]
    assert (found.level, found.reason) == (2, "calibrated")


def test_strides_say_so_where_the_graph_is_in_parts():
    found = search(resolution_bands(fewest=4), GroupTest(2), start=6.0, bisect=True)
    assert found.reason == "disconnected"


def test_strides_are_refused_for_merging():
    with pytest.raises(ValueError, match="bisect=True is for strategy='resolution'"):
        SearchParams(start=1, strategy="merge", bisect=True)
