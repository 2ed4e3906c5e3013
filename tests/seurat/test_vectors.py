"""What R hands over is asked to be whole, before anything follows it."""

import numpy as np
import pytest

from recall_py.seurat.pairs_from_r import merge, sampled

DAMAGED = {
    "a gap": ([0, 2, 2], None, "labels from R are damaged: .* not 0, 2"),
    "below 0": ([-1, 0, 1], None, "labels from R are damaged: .* not -1, 0, 1"),
    "beyond memory": ([0, 1, 2**31 - 1], None, "labels from R are damaged"),
    "no integers": ([0.0, 1.0, np.nan], None, "labels from R are damaged"),
    "gap in batches": ([0, 1, 1], [0, 10**7, 1], "batches from R are damaged: .* not 0, 1, 10000000"),
    "too few batches": ([0, 1, 1], [0, 1], "batches from R are damaged: there are 2 for 3 cells"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_codes_that_are_no_factors_are_refused(case):
    codes, batches, message = DAMAGED[case]
    with pytest.raises(ValueError, match=message):
        sampled(np.array(codes), None if batches is None else np.array(batches))


def test_names_that_no_cell_has_are_refused():
    given = {"codes": np.zeros(9, dtype=np.int32), "names": ["a", "b"], "start_column": "ident", "column": "merged"}
    with pytest.raises(ValueError, match="labels from R are damaged: 1 are in use, of 2 names"):
        merge(given, {}, {})
