"""Why two clusters are one or stand, in sentences."""

import pytest

from recall_py.adata.reasons import reason

PAIR = {
    "group": "A + B", "reference": "C", "n_group": 1200, "n_reference": 40, "kind": "pair",
    "evidence": 0.6, "threshold": 1.0, "p_value": 0.45, "near": False, "programmes": "",
    "evidence_with_programmes": float("nan"), "genes": ["g1", "g2", "g3", "g4", "g5", "g6"],
    "ranks": [1, 2, 3], "real": [2.0, 2.75, 0.5], "null": [1.5, 1.0, 0.4], "needed": [6.0, 4.75, 3.0],
}  # fmt: skip
RECORD = {"params": {"near": 0.1, "external": False}}
BATCHES = {**RECORD, "batches": {}}


def test_pair_is_told_by_its_evidence_first_then_by_the_rank_that_decides():
    assert reason(PAIR, RECORD) == (
        "A + B (1,200 cells) and C (40 cells): their genes lead their own nulls 0.60 times as far as needed; above 1 "
        "two clusters stand. 45 % of cuts of one population reach as much. The best genes are g1, g2, g3, g4 and g5. "
        "The 2nd best gene decides: it leads by 2.8 decades of p, and 4.8 are needed of so many cells, 0.25 added to "
        "both; a draw of null cells, cut in two as a clustering would, leads the others there by 1.0 on average."
    )


@pytest.mark.parametrize(
    ("changed", "record", "said"),
    [
        ({"kind": "small"}, RECORD, "C (40 cells) has too few cells to be compared, so it joined its nearest, A + B"),
        ({"kind": "batch"}, RECORD, "too few cells in the same batches, so they were not compared, and stay"),
        (
            {"kind": "batch", "group_batches": ["Ada", "Ben"], "reference_batches": ["Cy"]},
            BATCHES,
            "A + B has cells of Ada and Ben, C has cells of Cy.",
        ),
        ({"batches": ["Cy"]}, BATCHES, "They were compared within Cy alone."),
        ({"near": True}, RECORD, "That is within 0.1 of the threshold: another seed may turn it."),
        (
            {"programmes": "cycling and resting cells of one type", "evidence_with_programmes": 2.4},
            RECORD,
            "Only genes of the cell cycle tell them apart (2.40 with them): cycling and resting cells of one type.",
        ),
        ({}, {"params": {"near": 0.1, "external": True}}, "a draw of null cells, cut as the labels are, leads"),
        ({"real": [9.0, 2.0, 1.0]}, RECORD, "The best gene decides: it leads by 9.0 decades of p"),
    ],
)
def test_what_else_is_known_is_said(changed, record, said):
    assert said in reason({**PAIR, **changed}, record)
