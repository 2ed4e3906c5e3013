"""Counts for encoders like Geneformer, and the rank value encoding by an example computed by hand."""

from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import recall_py

COUNTS = np.array([[4, 2, 0, 1], [0, 5, 5, 0]])
IDS = ["ENSG01.2", "ENSG02", "ENSG03", None]
MEDIANS = {"ENSG01": 8.0, "ENSG02": 2.0, "ENSG03": 5.0}
TOKENS = {"<pad>": 0, "<cls>": 1, "<eos>": 2, "ENSG01": 10, "ENSG02": 11, "ENSG03": 12}


@pytest.fixture
def cells():
    adata = ad.AnnData(sparse.csr_matrix(COUNTS.astype(np.float32)))
    adata.var["gene_ids"] = IDS
    return adata


def test_all_counts_are_written_by_id_without_version(cells):
    found = recall_py.pp.for_geneformer(cells)
    assert found.var["ensembl_id"].tolist() == found.var_names.tolist() == ["ENSG01", "ENSG02", "ENSG03"]
    np.testing.assert_array_equal(found.X.toarray(), COUNTS[:, :3])
    np.testing.assert_array_equal(found.obs["n_counts"], [7, 10])
    assert list(cells.obs) == []


def test_genes_are_ranked_beside_their_medians(cells):
    # The first cell: 4/8 = .5 of the first gene, 2/2 = 1 of the second. The second: 5/2 = 2.5, 5/5 = 1.
    found = recall_py.pp.for_geneformer(cells, medians=MEDIANS, tokens=TOKENS)
    np.testing.assert_array_equal(found.obsm["input_ids"], [[1, 11, 10, 2], [1, 11, 12, 2]])
    np.testing.assert_array_equal(found.obs["length"], [4, 4])


def test_long_cells_are_cut_and_short_ones_filled_up(cells, tmp_path):
    cells.X[1, 2] = 0
    cells.X.eliminate_zeros()
    for name, table in (("medians", MEDIANS), ("tokens", {key: n for key, n in TOKENS.items() if key[0] != "<"})):
        (tmp_path / f"{name}.json").write_text(json.dumps(table))
    files = {"medians": tmp_path / "medians.json", "tokens": str(tmp_path / "tokens.json")}
    np.testing.assert_array_equal(recall_py.pp.for_geneformer(cells, **files).obsm["input_ids"], [[11, 10], [11, 0]])
    cut = recall_py.pp.for_geneformer(cells, **files, max_tokens=1)
    np.testing.assert_array_equal(cut.obsm["input_ids"], [[11], [11]])


def test_genes_of_one_ortholog_are_summed_and_others_left_out(tmp_path):
    fly = ad.AnnData(sparse.csr_matrix(COUNTS.astype(np.float32)))
    fly.var_names = ["FBgn01", "FBgn02", "FBgn03", "FBgn04"]
    (tmp_path / "orthologs.csv").write_text("fly,human\nFBgn01,ENSG07\nFBgn02,ENSG08\nFBgn04,ENSG07\n")
    found = recall_py.pp.for_geneformer(fly, orthologs=tmp_path / "orthologs.csv")
    assert found.var_names.tolist() == ["ENSG07", "ENSG08"]
    np.testing.assert_array_equal(found.X.toarray(), [[5, 2], [0, 5]])
    np.testing.assert_array_equal(found.obs["n_counts"], [7, 10])


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"medians": MEDIANS}, ValueError, "medians and tokens go together"),
        ({"ensembl_ids": "ids"}, KeyError, "var['ids'] does not exist. Columns of var: gene_ids"),
        ({"layer": "raw"}, KeyError, "layers['raw'] does not exist"),
        ({"orthologs": {"x": "y"}}, ValueError, "The table of orthologs has no gene of adata"),
        ({"medians": {"x": 1.0}, "tokens": TOKENS}, ValueError, "No gene has both a median and a token"),
        ({"medians": "m.pkl", "tokens": TOKENS}, ValueError, "medians is m.pkl; .json, .csv or .tsv is read"),
    ],
)
def test_what_cannot_be_written_is_refused(cells, options, error, says):
    with pytest.raises(error) as caught:
        recall_py.pp.for_geneformer(cells, **options)
    assert says in str(caught.value)


def test_names_are_no_ids_and_normalised_values_no_counts(cells):
    cells.var["gene_ids"] = ["CD3D", "CD8A", "NKG7", "GNLY"]
    with pytest.raises(ValueError, match=r"var\['gene_ids'\] holds no Ensembl ids but CD3D, CD8A"):
        recall_py.pp.for_geneformer(cells)
    cells.X = cells.X * 0.3
    with pytest.raises(ValueError, match="raw integer counts"):
        recall_py.pp.for_geneformer(cells)


def test_ids_are_those_of_the_table_beside_the_counts(cells):
    both = cells[:, :2].copy()
    both.raw = cells
    both.X = np.log1p(both.X.toarray()) * 0.9
    found = recall_py.pp.for_geneformer(both)
    assert found.var_names.tolist() == ["ENSG01", "ENSG02", "ENSG03"]
    np.testing.assert_array_equal(found.X.toarray(), COUNTS[:, :3])
