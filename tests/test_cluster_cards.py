"""Cards of clusters: what is on them, for programs and for readers."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest

import recall_py

SCHEMA = json.loads(files("recall_py").joinpath("cluster_cards.schema.json").read_text(encoding="utf-8"))
TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": float, "null": type(None),
}  # fmt: skip


@pytest.fixture(scope="module")
def merged():
    """Two groups, of which one was cut in two at random."""
    adata = recall_py.datasets.simulate(150, 200, group_shares=(0.6, 0.4), n_markers=40, mean_depth=2000)
    half = np.random.default_rng(0).permutation(adata.n_obs) < adata.n_obs // 2
    adata.obs["cut"] = np.where(adata.obs["group"] == "group1", "B", np.where(half, "naive", "memory"))
    recall_py.tl.merge_clusters(adata, "cut")
    return adata


def faults(value, schema, at="cards"):
    """What is wrong with a value, by the part of JSON Schema that this schema uses."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if type(value) not in [TYPES[kind] for kind in kinds]:
        yield f"{at} is a {type(value).__name__}"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from faults(item, schema["items"], f"{at}[{number}]")
    elif isinstance(value, dict):
        assert schema["required"] == list(schema["properties"])
        assert schema["additionalProperties"] is False
        if list(value) != schema["required"]:
            yield f"{at} has {list(value)}"
        for name, part in schema["properties"].items():
            yield from faults(value[name], part, f"{at}.{name}")


def test_cards_are_plain_json_by_the_schema_that_is_shipped(merged):
    cards = recall_py.get.cluster_cards(merged, "cut_merged")
    assert json.loads(json.dumps(cards, allow_nan=False)) == cards
    assert not list(faults(cards, SCHEMA))
    assert list(faults([{**cards[0], "share": "half"}], SCHEMA))


def test_card_says_how_large_a_cluster_is_by_what_it_is_known_and_what_is_nearest(merged):
    first, second = recall_py.get.cluster_cards(merged, "cut_merged", n_genes=3)
    assert {first["cluster"], second["cluster"]} == {"B", "memory + naive"}
    assert first["n_cells"] + second["n_cells"] == merged.n_obs
    assert first["share"] + second["share"] == pytest.approx(1)
    (pair,) = recall_py.get.pairs(merged, "cut_merged").to_dict("records")
    for card, other in ((first, second), (second, first)):
        assert card["supported"]
        assert card["nearest"]["cluster"] == other["cluster"]
        assert card["nearest"]["evidence"] == pair["evidence"] > card["nearest"]["threshold"]
        assert card["nearest"]["higher"] == other["nearest"]["lower"]
        assert len(card["markers"]) == 3
    for card in (first, second):
        inside = (merged.obs["cut_merged"] == card["cluster"]).to_numpy()
        means = merged.to_df().groupby(inside).mean()
        for gene in (*(marker["gene"] for marker in card["markers"]), *card["nearest"]["higher"]):
            assert means.loc[True, gene] > means.loc[False, gene]
        assert str(card["n_cells"]) in card["text"]
        assert card["markers"][0]["gene"] in card["text"]
        assert f"Nearest is cluster {card['nearest']['cluster']}; the two are told apart" in card["text"]


def test_labels_that_are_not_told_apart_say_so(merged):
    adata = merged.copy()
    recall_py.tl.test_clusters(adata, "cut")
    cards = {card["cluster"]: card for card in recall_py.get.cluster_cards(adata, "recall_test")}
    assert not cards["naive"]["supported"]
    assert cards["naive"]["nearest"]["cluster"] == "memory"
    assert not cards["naive"]["nearest"]["stands"]
    assert "the two are not told apart" in cards["naive"]["text"]


def test_cluster_without_a_neighbour_has_no_nearest(merged):
    adata = merged[merged.obs["cut"] != "B"].copy()
    with pytest.warns(recall_py.CalibrationWarning, match="One cluster is left"):
        recall_py.tl.merge_clusters(adata, "cut", key_added="one")
    (card,) = recall_py.get.cluster_cards(adata, "one")
    assert card["nearest"] is None
    assert not list(faults([card], SCHEMA))
    assert card["text"].endswith("It was compared with no other cluster.")


def test_no_gene_at_all_is_refused(merged):
    with pytest.raises(ValueError, match="n_genes is 0; at least 1"):
        recall_py.get.cluster_cards(merged, "cut_merged", n_genes=0)
