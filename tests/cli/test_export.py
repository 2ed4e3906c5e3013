"""``recall-py export``: what other tools ask for is in the file."""

from __future__ import annotations

import json

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from command import recall

import recall_py


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A labelled file with all that the tool must not get."""
    adata = recall_py.datasets.simulate(200, 200, group_shares=(0.5, 0.5), n_markers=40, log2_fold_change=3)
    adata.obs["part"] = adata.obs["group"].astype(str) + np.where(np.arange(200) % 2, "a", "b")
    recall_py.tl.merge_clusters(adata, "part")
    adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X.log1p()
    adata.obs["gaps"] = np.where(np.arange(200) < 5, np.nan, 1.5)
    adata.obs["text"] = pd.Categorical(np.where(np.arange(200) < 5, None, "x"))
    adata.var["gene_symbols"] = [f"SYMBOL{i}" for i in range(200)]
    adata.obsm["X_umap"] = np.zeros((200, 2))
    path = tmp_path_factory.mktemp("export") / "in.h5ad"
    adata.write_h5ad(path)
    return adata, path


def test_file_for_cellwhisperer_has_what_it_asks_for(labelled, tmp_path):
    adata, path = labelled
    out = tmp_path / "out.h5ad"
    run = recall("export", path, "--cellwhisperer", "-o", out, "--json", tmp_path / "out.json")
    assert "labels: part_merged; counts from layers['counts']" in run.stdout
    assert "obs position, gaps" in run.stdout
    made = ad.read_h5ad(out)
    assert made.X.dtype == np.int32
    np.testing.assert_array_equal(made.X.toarray(), adata.layers["counts"].toarray())
    assert made.uns["cluster_fields"].tolist() == ["part_merged"]
    assert made.obs["part_merged"].astype(str).tolist() == adata.obs["part_merged"].astype(str).tolist()
    assert made.var["gene_name"].tolist() == adata.var["gene_symbols"].tolist()
    assert not made.obs.isna().any(axis=None)
    assert "gaps" not in made.obs
    assert set(made.obs["text"]) == {"x", "unknown"}
    assert made.obs_names.is_unique
    assert made.var_names.is_unique
    assert set(made.obsm) == {"X_umap"}
    assert json.loads((tmp_path / "out.json").read_text())["n_genes"] == 200


def test_genes_of_one_name_are_written_under_names_of_their_own(labelled, tmp_path):
    adata = labelled[0].copy()
    adata.var_names = ["twice", "twice", *adata.var_names[2:]]
    adata.write_h5ad(tmp_path / "in.h5ad")
    recall("export", tmp_path / "in.h5ad", "--cellwhisperer", "-o", tmp_path / "out.h5ad", "--quiet")
    made = ad.read_h5ad(tmp_path / "out.h5ad")
    assert made.var_names[:2].tolist() == ["twice", "twice-1"]
    assert made.var["gene_name"].tolist() == adata.var["gene_symbols"].tolist()


def test_file_has_only_encodings_that_older_readers_know(labelled, tmp_path):
    out = tmp_path / "out.h5ad"
    recall("export", labelled[1], "--cellwhisperer", "-o", out, "--quiet")
    found = set()
    with h5py.File(out) as file:
        file.visititems(
            lambda _, item: found.add((item.attrs.get("encoding-type"), item.attrs.get("encoding-version")))
        )
    assert found <= {
        *[(None, None), ("csr_matrix", "0.1.0"), ("dataframe", "0.2.0"), ("array", "0.2.0"), ("dict", "0.1.0")],
        *[("categorical", "0.2.0"), ("string-array", "0.2.0"), ("string", "0.2.0")],
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Name one tool: --cellwhisperer or --cellxgene"),
        (["--cellwhisperer", "--cellxgene"], "Name one tool"),
        (["--cellwhisperer"], "holds no calibrated labels"),
        (["--cellxgene"], "var_names holds no Ensembl ids but gene0"),
        (["--cellwhisperer", "--terms", "terms.json"], "--terms goes with --cellxgene"),
    ],
)
def test_what_cannot_be_exported_is_refused(labelled, tmp_path, arguments, says):
    path = tmp_path / "plain.h5ad"
    recall_py.datasets.simulate(20, 30).write_h5ad(path)
    run = recall("export", path, *arguments, "-o", tmp_path / "out.h5ad")
    assert run.returncode == 2
    assert says in run.stderr


TERMS = {
    "title": "Two kinds of cells",
    "organism_ontology_term_id": "NCBITaxon:9606",
    "assay_ontology_term_id": "EFO:0009922",
    "cell_type_ontology_term_id": "CL:0000084",
    "development_stage_ontology_term_id": "unknown",
    "disease_ontology_term_id": "PATO:0000461",
    "donor_id": "one",
    "is_primary_data": True,
    "self_reported_ethnicity_ontology_term_id": "unknown",
    "sex_ontology_term_id": "unknown",
    "suspension_type": "cell",
    "tissue_ontology_term_id": "UBERON:0000178",
    "tissue_type": "tissue",
}


@pytest.fixture
def with_ids(labelled, tmp_path):
    adata = labelled[0].copy()
    adata.var["gene_ids"] = [f"ENSG{n:011d}.{n}" for n in range(198)] + ["", "ERCC-1"]
    adata.write_h5ad(tmp_path / "ids.h5ad")
    return adata, tmp_path / "ids.h5ad"


def test_file_for_cellxgene_has_the_terms_and_counts_by_id(with_ids, tmp_path):
    adata, path = with_ids
    kinds = adata.obs["part"].unique()
    terms = TERMS | {"cell_type_ontology_term_id": {"part": {kind: f"CL:{kind}" for kind in kinds}}}
    (tmp_path / "terms.json").write_text(json.dumps(terms))
    out = tmp_path / "out.h5ad"
    run = recall("export", path, "--cellxgene", "--terms", tmp_path / "terms.json", "-o", out)
    assert "198 of 200 genes have an Ensembl id" in run.stdout
    assert "missing" not in run.stdout.replace("numbers that are missing", "")
    made = ad.read_h5ad(out)
    assert made.X.dtype == np.float32
    np.testing.assert_array_equal(made.X.toarray(), adata.layers["counts"][:, :198].toarray())
    assert made.var_names[1] == "ENSG00000000001"
    assert made.uns["title"] == "Two kinds of cells"
    assert made.obs["is_primary_data"].dtype == bool
    assert made.obs["cell_type_ontology_term_id"].astype(str).tolist() == [f"CL:{kind}" for kind in adata.obs["part"]]


def test_what_cellxgene_asks_for_and_the_file_lacks_is_named(with_ids, tmp_path):
    run = recall("export", with_ids[1], "--cellxgene", "-o", tmp_path / "out.h5ad")
    (said,) = [line for line in run.stdout.splitlines() if line.startswith("missing")]
    for name in TERMS:
        assert name in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1]", "holds no names with their terms"),
        ("{", "cannot be read as JSON"),
        ('{"donor_id": {"part": {"x": "one"}}}', "The terms of 'donor_id' have none for"),
        ('{"donor_id": {"x": "one"}}', "where a text or {'leiden'"),
    ],
)
def test_terms_that_do_not_fit_are_refused(with_ids, tmp_path, text, says):
    (tmp_path / "terms.json").write_text(text)
    run = recall("export", with_ids[1], "--cellxgene", "--terms", tmp_path / "terms.json", "-o", tmp_path / "out.h5ad")
    assert run.returncode == 2
    assert says in run.stderr
    assert not (tmp_path / "out.h5ad").exists()
