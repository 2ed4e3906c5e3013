"""Features that are no genes, by ``var["feature_types"]``, take part in nothing and are named."""

import io

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from command import recall as command
from scipy import sparse

import recall_py
from recall_py.adata.read import read_counts

pytestmark = pytest.mark.filterwarnings("ignore:.*default backend for leiden:FutureWarning", "ignore:.*too coarse")
TOLD = "30 features that are no genes were left out: Antibody Capture"


def of_genes(seed=0, n_cells=240, n_genes=150):
    """Counts of three clear groups, with a graph."""
    rng = np.random.default_rng(seed)
    group = np.arange(n_cells) % 3
    mean = np.where(np.arange(n_genes) // 50 == group[:, None], 4.0, 1.0)
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(mean).astype(np.float32)))
    adata.obs_names = [f"cell{i}" for i in range(n_cells)]
    adata.var_names = [f"gene{i}" for i in range(n_genes)]
    adata.obs["group"] = pd.Categorical.from_codes(group, ["a", "b", "c"])
    embed = adata.copy()
    sc.pp.normalize_total(embed, target_sum=1e4)
    sc.pp.log1p(embed)
    sc.pp.pca(embed, n_comps=10)
    sc.pp.neighbors(embed)
    adata.obsm["X_pca"], adata.obsm["X_umap"] = embed.obsm["X_pca"], embed.obsm["X_pca"][:, :2]
    adata.obsp, adata.uns["neighbors"] = embed.obsp, embed.uns["neighbors"]
    return adata


def with_others(adata, kinds=("Antibody Capture",) * 30):
    """The same with abundant features of other kinds before, among and behind the genes."""
    names = [f"other{i}" for i in range(len(kinds))]
    counts = np.random.default_rng(1).poisson(400, (adata.n_obs, len(kinds))).astype(np.float32)
    both = ad.AnnData(sparse.hstack([adata.X, sparse.csr_matrix(counts)]).tocsr(), obs=adata.obs)
    both.var_names = [*adata.var_names, *names]
    both.var["feature_types"] = ["Gene Expression"] * adata.n_vars + list(kinds)
    genes = list(adata.var_names)
    both = both[:, names[:10] + genes[:60] + names[10:20] + genes[60:] + names[20:]].copy()
    both.obsm, both.obsp, both.uns = adata.obsm, adata.obsp, adata.uns
    return both


@pytest.fixture(scope="module")
def genes():
    return of_genes()


@pytest.fixture(scope="module")
def both(genes):
    return with_others(genes)


@pytest.fixture
def log():
    """What scanpy logs at its default verbosity."""
    sc.settings.logfile = io.StringIO()
    yield sc.settings.logfile
    sc.settings.logfile = ""


FUNCTIONS = {
    "leiden": lambda adata: recall_py.tl.leiden(adata, key_added="found"),
    "merge": lambda adata: recall_py.tl.merge_clusters(adata, "group", key_added="found"),
    "test": lambda adata: recall_py.tl.test_clusters(adata, "group", key_added="found"),
    "recall": lambda adata: recall_py.tl.recall(adata, key_added="found", graph="snn", resolution_start=0.3),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_result_is_that_of_the_genes_alone_and_names_the_others_once(genes, both, function, log):
    alone, mixed = genes.copy(), both.copy()
    FUNCTIONS[function](alone)
    assert "left out" not in log.getvalue()
    FUNCTIONS[function](mixed)
    assert log.getvalue().count(TOLD) == 1
    if "found" in alone.obs:
        pd.testing.assert_series_equal(mixed.obs["found"], alone.obs["found"])
    pd.testing.assert_frame_equal(recall_py.get.pairs(mixed, "found"), recall_py.get.pairs(alone, "found"))
    before, after = (adata.uns["found"]["recall"] for adata in (alone, mixed))
    assert list(before["genes"]) == list(after["genes"])
    assert after["selection"] == f"{before['selection']}; {TOLD}"


def in_csc(adata, _):
    adata.X = adata.X.tocsc()
    return adata


def dense(adata, _):
    adata.X = adata.X.toarray()
    return adata


def in_dask(adata, _):
    adata.X = pytest.importorskip("dask.array").from_array(adata.X.toarray(), chunks=(77, 40))
    return adata


def backed(adata, folder):
    adata.write_h5ad(folder / "backed.h5ad")
    return ad.read_h5ad(folder / "backed.h5ad", backed="r")


def in_raw(adata, _):
    adata.raw = adata.copy()
    sc.pp.log1p(adata)
    return adata


def in_raw_that_knows_no_kinds(adata, folder):
    adata = in_raw(adata, folder)
    del adata.raw.var["feature_types"]
    return adata


PLACES = [in_csc, dense, in_dask, backed, in_raw, in_raw_that_knows_no_kinds]


@pytest.mark.parametrize("place", PLACES)
def test_totals_genes_and_their_selection_are_those_of_the_genes_alone(genes, both, place, tmp_path):
    mixed = place(both.copy(), tmp_path)
    for options in ({}, {"n_top_genes": 40}, {"sampled": np.arange(0, 240, 3)}, {"only": ["gene9", "gene70"]}):
        expected, found = read_counts(genes, **options), read_counts(mixed, **options)
        assert found.genes.tolist() == expected.genes.tolist()
        np.testing.assert_array_equal(found.totals, expected.totals)
        np.testing.assert_array_equal(found.read().counts.toarray(), expected.read().counts.toarray())
        assert found.others == TOLD
    if mixed.isbacked:
        mixed.file.close()


def test_marked_proteins_are_no_genes(both):
    adata = both.copy()
    adata.var["highly_variable"] = adata.var_names.isin(["gene3", "gene4", "other7"])
    assert read_counts(adata).genes.tolist() == ["gene3", "gene4"]


def test_proteins_named_as_genes_are_refused_as_what_they_are(both):
    with pytest.raises(KeyError, match=f"not in X: other3. {TOLD}"):
        read_counts(both, only=["gene3", "other3"])


def test_values_of_proteins_need_not_be_counts(both):
    adata = both.copy()
    adata.X = adata.X.toarray()
    adata.X[:, adata.var_names.get_loc("other3")] = -0.5
    assert read_counts(adata).others == TOLD


@pytest.mark.parametrize("kinds", [None, "Gene Expression", "gene expression", "protein_coding", np.nan])
def test_where_nothing_is_called_otherwise_all_are_genes(genes, kinds):
    adata = genes.copy()
    if kinds is not None:
        adata.var["feature_types"] = kinds
    data = read_counts(adata)
    assert data.matrix.genes is None
    assert data.others == ""


def test_each_kind_is_named(genes):
    kinds = ["Custom"] * 12 + ["CRISPR Guide Capture"]
    told = "13 features that are no genes were left out: Custom, CRISPR Guide Capture"
    assert read_counts(with_others(genes, kinds)).others == told
    told = "1 feature that is no gene was left out: Peaks"
    assert read_counts(with_others(genes, ["Peaks"])).others == told


def test_proteins_alone_are_refused_with_a_way_out(genes):
    adata = genes.copy()
    adata.var["feature_types"] = "Antibody Capture"
    with pytest.raises(ValueError, match=r"None of the 150 features is a gene: .*Antibody Capture.*del adata"):
        recall_py.tl.leiden(adata)
    del adata.var["feature_types"]
    recall_py.tl.leiden(adata)


def test_markers_expression_and_report_are_of_genes(genes, both, tmp_path):
    adata = both.copy()
    recall_py.tl.leiden(adata)
    markers = recall_py.get.markers(adata)
    assert len(markers)
    assert markers["gene"].str.startswith("gene").all()
    adata.write_h5ad(tmp_path / "in.h5ad")
    assert command("report", tmp_path / "in.h5ad", "-o", tmp_path / "page.html").returncode == 0
    assert TOLD in (tmp_path / "page.html").read_text()


def test_command_line_names_them_keeps_them_and_makes_its_graph_without_them(genes, both, log, tmp_path):
    for name, adata in (("alone", genes), ("mixed", both)):
        plain = ad.AnnData(adata.X, obs=adata.obs, var=adata.var)
        plain.write_h5ad(tmp_path / f"{name}.h5ad")
        run = command("cluster", tmp_path / f"{name}.h5ad", "-o", tmp_path / f"{name}_out.h5ad")
        assert run.returncode == 0, run.stderr
        assert log.getvalue().count(TOLD) == (name == "mixed")
    alone, mixed = (ad.read_h5ad(tmp_path / f"{name}_out.h5ad") for name in ("alone", "mixed"))
    assert mixed.obs["leiden"].tolist() == alone.obs["leiden"].tolist()
    np.testing.assert_array_equal(mixed.obsm["X_pca"], alone.obsm["X_pca"])
    assert (mixed.X != both.X).nnz == 0
    of_genes = mixed.var_names.str.startswith("gene")
    values = mixed.layers["log_normalised"].toarray()
    np.testing.assert_array_equal(values[:, of_genes], alone.layers["log_normalised"].toarray())
    assert not values[:, ~of_genes].any()
    told = command("info", tmp_path / "mixed.h5ad")
    assert f"all 150; {TOLD}" in told.stdout
