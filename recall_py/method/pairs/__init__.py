"""Tests of pairs of clusters: rank sums, the filter, and the two kinds of null that real genes are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recall_py.method.params import PAIR_TESTS, one_of

if TYPE_CHECKING:
    from recall_py.method.pairs.against_knockoffs import KnockoffTest
    from recall_py.method.pairs.against_null_cells import SyntheticTest


def pair_test_named(name: str) -> type[KnockoffTest | SyntheticTest]:
    """The class of a test of pairs.

    Each is called with labels, and has `markers`, `every_gene`, `of_counts` and `takes_knockoffs`.
    """
    from recall_py.method.pairs.against_knockoffs import KnockoffTest
    from recall_py.method.pairs.against_null_cells import SyntheticTest

    one_of("pair_test", name, PAIR_TESTS)
    classes: dict[str, type[KnockoffTest | SyntheticTest]] = {"knockoff": KnockoffTest, "synthetic": SyntheticTest}
    return classes[name]
