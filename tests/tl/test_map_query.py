"""A query on a reference: labels, cells that fit none, and what the tests say of both."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from on_graph import assert_kept
from scipy import sparse

import recall_py

pytestmark = pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")


@pytest.fixture(scope="module")
def cells():
    """Three types."""
    return recall_py.datasets.simulate(
        360, 240, group_shares=(0.4, 0.3, 0.3), n_markers=40, log2_fold_change=3, random_state=5
    )


@pytest.fixture(scope="module")
def halves(cells):
    """A query of 120 cells and a reference, with other genes and in another order."""
    query, reference = cells[:120].copy(), cells[120:, ::-1].copy()
    query.var_names = [f"other{i}" if i < 10 else name for i, name in enumerate(query.var_names)]
    return query, reference


@pytest.fixture(scope="module")
def mapped(halves):
    return recall_py.tl.map_query(*halves, "group", copy=True)


@pytest.fixture(scope="module")
def with_new_type(halves):
    query, reference = halves
    known = reference[reference.obs["group"] != "group2"].copy()
    return recall_py.tl.map_query(query, known, "group", copy=True)


def thinned(adata, genes, share):
    """The counts of some genes, each count kept with one chance."""
    counts = adata.X.toarray()
    counts[:, genes] = np.random.default_rng(0).binomial(counts[:, genes].astype(int), share)
    return ad.AnnData(sparse.csr_matrix(counts), obs=adata.obs.copy(), var=adata.var.copy())


def test_cells_get_the_label_of_their_type(halves, mapped):
    query, _ = halves
    assert (mapped.obs["mapped"].astype(str) == query.obs["group"].astype(str)).mean() > 0.97
    assert mapped.obs["mapped_confidence"].between(1 / 3, 1).all()
    assert mapped.obs["mapped_fits"].mean() > 0.85
    np.testing.assert_array_equal(mapped.obs["mapped_fits"], mapped.obs["mapped_p"] > 0.05)
    assert mapped.obs["mapped_distance"].median() == pytest.approx(1, abs=0.15)
    assert_kept(mapped, query)
    assert "mapped" not in query.obs


def test_labels_of_the_same_types_are_alike_and_nothing_is_new(mapped):
    table = recall_py.get.mapping(mapped)
    labels = table[table["kind"] == "label"]
    assert labels["verdict"].tolist() == ["alike"] * 3
    assert not (table["verdict"] == "new").any()


def test_type_that_the_reference_lacks_is_a_group_of_its_own(with_new_type, halves):
    is_new = (halves[0].obs["group"] == "group2").to_numpy()
    named_new = (with_new_type.obs["mapped"] == "new 0").to_numpy()
    assert named_new[is_new].mean() > 0.9
    assert named_new[~is_new].mean() <= 0.05
    (row,) = recall_py.get.mapping(with_new_type).query("kind == 'new' and verdict == 'new'").to_dict("records")
    assert row["name"] == "new 0"
    assert row["n_query"] == named_new.sum()
    assert row["evidence"] > 1
    assert row["genes"]


def test_result_is_the_same_from_a_file_with_any_number_of_threads(halves, with_new_type, tmp_path):
    query, reference = halves
    reference[reference.obs["group"] != "group2"].copy().write_h5ad(tmp_path / "reference.h5ad")
    again = query.copy()
    recall_py.tl.map_query(again, ad.read_h5ad(tmp_path / "reference.h5ad", backed="r"), "group", n_jobs=1)
    pd.testing.assert_frame_equal(again.obs, with_new_type.obs)
    again.write_h5ad(tmp_path / "query.h5ad")
    stored = recall_py.get.mapping(ad.read_h5ad(tmp_path / "query.h5ad"))
    pd.testing.assert_frame_equal(stored, recall_py.get.mapping(with_new_type))


def test_of_many_labels_fewer_cells_are_read(halves, mapped, monkeypatch):
    from recall_py.run import map_query

    read, place = [], map_query.place
    monkeypatch.setattr(
        map_query, "place", lambda values, *rest, **named: read.append(values) or place(values, *rest, **named)
    )
    monkeypatch.setattr(map_query, "MOST_OF_ALL", 120)
    monkeypatch.setattr(map_query, "FEWEST_OF_LABEL", 20)
    few = recall_py.tl.map_query(*halves, "group", copy=True)
    assert read[0].shape[0] == 3 * 40
    assert (few.obs["mapped"].astype(str) == mapped.obs["mapped"].astype(str)).mean() > 0.95


def test_what_differs_in_every_label_is_of_the_platform(cells):
    query, reference = cells[:120].copy(), cells[120:].copy()
    thin = thinned(query, np.arange(0, 240, 6), 0.35)
    recall_py.tl.map_query(thin, reference, "group")
    table = recall_py.get.mapping(thin).query("kind == 'label'")
    assert set(table["verdict"]) <= {"alike", "platform"}
    assert "platform" in set(table["verdict"])
    changed = set(cells.var_names[::6])
    assert len(changed & set(thin.uns["mapped"]["mapping"]["platform_genes"])) > len(changed) / 2


def test_label_that_differs_alone_is_told(cells):
    query, reference = cells[:120].copy(), cells[120:].copy()
    counts = query.X.toarray()
    changed = (query.obs["group"] == "group0").to_numpy()
    counts[np.ix_(changed, np.arange(200, 230))] += np.random.default_rng(1).poisson(8, (changed.sum(), 30))
    query.X = sparse.csr_matrix(counts.astype(np.float32))
    recall_py.tl.map_query(query, reference, "group", same_platform=True)
    table = recall_py.get.mapping(query)
    own = table[table["nearest"] == "group0"]
    assert {"differs", "new"} & set(own["verdict"])
    assert set(table[table["nearest"] != "group0"]["verdict"]) <= {"alike", "not told apart"}
    top = own[own["verdict"].isin(["differs", "new"])]["genes"].iloc[0]
    assert set(top[:5]) <= set(cells.var_names[200:230])


def test_twenty_cells_are_mapped(halves):
    query, reference = halves
    few = query[:20].copy()
    recall_py.tl.map_query(few, reference, "group")
    assert (few.obs["mapped"].astype(str) == few.obs["group"].astype(str)).mean() > 0.9


@pytest.mark.parametrize(
    ("change", "given", "error", "says"),
    [
        (None, {"groupby": "type"}, KeyError, "obs\\['type'\\] does not exist"),
        ("names", {}, ValueError, "share 0 genes by name; 50 are needed"),
        ("logarithms", {}, ValueError, "raw integer counts are needed"),
        ("few", {}, ValueError, "The reference has 12 cells with a label"),
        ("empty", {}, ValueError, "1 of the 40 cells of the query without a count in the 240 shared genes"),
        ("column", {}, ValueError, "obs\\['mapped'\\] of the query is there already"),
        ("entry", {}, ValueError, "uns\\['mapped'\\] holds something that is not a mapping"),
        (None, {"genes": ["nothing"]}, KeyError, "1 of the 1 genes are not in both"),
        (None, {"programmes": ["luck"]}, ValueError, "luck"),
    ],
)
def test_what_cannot_be_mapped_is_refused_with_the_reason(cells, change, given, error, says):
    query, reference = cells[:40].copy(), cells[120:].copy()
    if change == "names":
        query.var_names = [f"ENSG{i}" for i in range(query.n_vars)]
    elif change == "logarithms":
        query.X = query.X.log1p()
    elif change == "few":
        reference = reference[:12].copy()
    elif change == "empty":
        query.X = sparse.csr_matrix(query.X.multiply((np.arange(40) > 0)[:, None]))
    elif change == "column":
        query.obs["mapped"] = "mine"
    elif change == "entry":
        query.uns["mapped"] = {"mine": 1}
    with pytest.raises(error, match=says):
        recall_py.tl.map_query(query, reference, **{"groupby": "group", **given})
    assert "mapped_p" not in query.obs


def test_mapping_is_asked_of_what_has_one(cells):
    with pytest.raises(KeyError, match="holds no mapping"):
        recall_py.get.mapping(cells)
