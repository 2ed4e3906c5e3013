"""Bad input gets a clear error and nothing is changed; counts and genes are found by the stated rule."""

import anndata as ad
import leidenalg
import numpy as np
import pandas as pd
import pytest
import searches
from scipy import sparse

import recall_py
from recall_py.adata.neighbours import read_graph_params
from recall_py.adata.read import read_counts
from recall_py.method.results import Cells


def make_adata(n_cells=60, n_genes=80, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.0, (n_cells, n_genes)).astype(np.float32)
    return ad.AnnData(
        sparse.csr_matrix(counts),
        obs=pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)]),
    )


def snapshot(adata):
    return (
        adata.X.toarray().copy() if sparse.issparse(adata.X) else np.array(adata.X),
        sorted(adata.obs),
        sorted(adata.var),
        sorted(adata.uns),
        set(adata.layers),
    )


def log_normalised(adata):
    adata = adata.copy()
    adata.X = adata.X.log1p()
    return adata


def with_value(value):
    adata = make_adata()
    adata.X[3, 4] = value
    return adata


def with_layer(name, transform):
    adata = make_adata()
    adata.layers[name] = transform(adata.X.copy())
    return adata


def with_empty_cells():
    adata = make_adata()
    counts = adata.X.toarray()
    counts[[2, 5]] = 0
    adata.X = sparse.csr_matrix(counts)
    return adata


def with_duplicate_genes():
    adata = make_adata()
    adata.var_names = ["gene0", *adata.var_names[:-1]]
    return adata


def with_duplicate_cells():
    adata = make_adata()
    adata.obs_names = ["cell0", *adata.obs_names[:-1]]
    return adata


def with_marks(value):
    adata = make_adata()
    adata.var["highly_variable"] = value
    return adata


def with_duplicate_raw():
    adata = make_adata()
    adata.raw = with_duplicate_genes()
    return log_normalised(adata)


def with_neighbours():
    adata = make_adata()
    adata.uns["neighbors"] = {"params": {"n_neighbors": 10}, "connectivities_key": "connectivities"}
    return adata


def with_types():
    adata = make_adata()
    adata.obs["type"] = np.resize([1, 2], 60)
    return adata


BAD_INPUT = {
    "log-normalised X": (
        lambda: log_normalised(make_adata()),
        {},
        r"X holds values that are not integers.*before normalising: adata.layers\['counts'\] = adata.X.copy\(\)\. ",
    ),
    "fractions": (lambda: with_value(0.5), {}, "not integers, such as 0.5"),
    "negative": (lambda: with_value(-1), {}, "X holds negative values"),
    "NaN": (lambda: with_value(np.nan), {}, "X holds NaN"),
    "infinite": (lambda: with_value(np.inf), {}, "X holds infinite values"),
    "counts layer without counts": (
        lambda: with_layer("counts", lambda x: x.log1p()),
        {},
        r"layers\['counts'\] holds values that are not integers",
    ),
    "missing layer": (lambda: with_layer("spliced", lambda x: x), {"layer": "raw"}, "Layers of adata: spliced"),
    "no cells": (lambda: make_adata()[:0].copy(), {}, "0 cells"),
    "one cell": (lambda: make_adata()[:1].copy(), {}, "1 cells"),
    "fewer cells than neighbours": (lambda: make_adata(12), {}, "12 cells are too few for 15 neighbours"),
    "fewer genes than components": (lambda: make_adata(60, 40), {}, "40 genes and 60 cells are too few for 50"),
    "fewer genes than the floor": (lambda: make_adata(60, 15), {"dims": 5}, "15 genes are too few.*at least 20"),
    "duplicate genes": (with_duplicate_genes, {}, r"var_names are not unique: gene0\..*var_names_make_unique"),
    "duplicate cells": (with_duplicate_cells, {}, r"obs_names are not unique: cell0\..*obs_names_make_unique"),
    "unknown null": (make_adata, {"null_method": "Weibull"}, "Unknown null_method 'Weibull'. Available: ZIP, NB"),
    "unknown strategy": (make_adata, {"strategy": "split"}, "Unknown strategy 'split'. Available: resolution, merge"),
    "unknown graph": (make_adata, {"graph": "knn"}, "Unknown graph 'knn'. Available: umap, snn"),
    "unknown flavor": (make_adata, {"flavor": "rapids"}, "Unknown flavor 'rapids'. Available: leidenalg, igraph"),
    "unknown preset": (make_adata, {"preset": "seurat"}, "Unknown preset 'seurat'. Available: recall"),
    "no resolution": (make_adata, {"resolution": None}, "needs a resolution to start from"),
    "resolution 0": (make_adata, {"resolution": 0}, "above 0 is needed"),
    "fdr 1": (make_adata, {"fdr": 1.0}, "fdr is 1.0"),
    "offset 2": (make_adata, {"offset": 2}, "offset is 2"),
    "reduction 0": (make_adata, {"reduction": 0.0}, "reduction is 0.0"),
    "no iterations": (make_adata, {"max_iterations": 0}, "max_iterations is 0"),
    "no threads": (make_adata, {"n_jobs": 0}, "n_jobs is 0"),
    "unknown neighbours": (make_adata, {"neighbors_key": "nn"}, "uns.'nn'. does not exist"),
    "no marked gene": (lambda: with_marks(False), {}, "marks no gene"),
    "no top gene": (make_adata, {"n_top_genes": 0}, "n_top_genes is 0"),
    "raw with duplicate genes": (with_duplicate_raw, {}, "raw.var_names are not unique"),
    "dims 0": (make_adata, {"dims": 0}, "dims is 0"),
    "dims as in R": (make_adata, {"dims": range(1, 11)}, "10 for the 1:10 of R"),
    "a type without resolution": (
        make_adata,
        {"partition_type": leidenalg.ModularityVertexPartition},
        "ModularityVertexPartition takes no resolution",
    ),
    "neighbours as the key": (with_neighbours, {"key_added": "neighbors"}, "not a clustering. Pass another key_added"),
    "categories as one string": (with_types, {"restrict_to": ("type", "ab")}, "pass a list of strings"),
    "no categories": (with_types, {"restrict_to": ("type", [])}, "pass a list of strings"),
    "unknown category": (with_types, {"restrict_to": ("type", ["c"])}, "has no category c. It has: 1, 2"),
    "missing column": (make_adata, {"restrict_to": ("type", ["a"])}, "obs.'type'. does not exist"),
    "directed igraph": (make_adata, {"flavor": "igraph", "directed": True}, "undirected graphs only"),
    "seed out of range": (make_adata, {"random_state": -1}, "seed -1 is negative"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_refused_with_a_reason_and_changes_nothing(case):
    make, options, message = BAD_INPUT[case]
    adata = make()
    before = snapshot(adata)
    with pytest.raises((ValueError, KeyError), match=message):
        searches.leiden(adata, **options)
    after = snapshot(adata)
    np.testing.assert_array_equal(before[0], after[0])
    assert before[1:] == after[1:]


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"use_rep": "X_scVI"}, "X_scVI"),
        ({"use_rep": "X_pca_harmony"}, "X_pca_harmony"),
        ({"use_rep": "X_pca", "bbknn": {"trim": 10}}, "bbknn"),
        ({"n_pcs": 0}, "X"),
    ],
)
def test_graph_that_knockoffs_did_not_pass_through_is_refused(params, name):
    adata = make_adata()
    adata.uns["neighbors"] = {"params": {"n_neighbors": 10, **params}}
    with pytest.raises(ValueError, match=f"{name}.*Knockoff genes did not pass through it"):
        searches.leiden(adata)


def test_misspelt_argument_is_refused_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr("recall_py.run.cluster.read_counts", None)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'null_metod'.*initial_membership"):
        searches.leiden(make_adata(), null_metod="NB")


@pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")
def test_recorded_graph_does_not_matter_where_it_is_not_used():
    adata = make_adata()
    adata.uns["neighbors"] = {"params": {"use_rep": "X_scVI"}}
    recall_py.tl.recall(adata)
    recall_py.tl.recall(adata, algorithm="kmeans", num_clusters_start=2)
    searches.leiden(adata, preset="recall")
    assert {"recall_clusters", "leiden"} <= set(adata.obs)


def test_unknown_mark_is_no_mark():
    adata = make_adata()
    adata.var["highly_variable"] = np.resize(np.array([True, np.nan], dtype=object), 80)
    assert read_counts(adata).read().counts.shape[1] == 40


@pytest.mark.parametrize("n_cells", [86, 100, 257, 300])
def test_gene_of_zeros_and_ones_has_such_a_knockoff(n_cells):
    """The mean of its non-zeros is 1 exactly, whatever the rounding of the mean over all cells."""
    from recall_py.method.nulls import augment

    n_ones = np.arange(1, n_cells)
    counts = (np.arange(n_cells)[:, None] < n_ones).astype(np.float64)
    augmented = augment(Cells(sparse.csc_array(counts)), "ZIP", np.random.SeedSequence(1))
    assert augmented.counts.max() == 1


def test_recorded_graph_parameters_are_used():
    adata = make_adata()
    # As an old h5ad file holds them: one-element arrays and NumPy strings.
    recorded = {
        "n_neighbors": np.array([7]),
        "method": np.str_("gauss"),
        "metric": "cosine",
        "n_pcs": 12,
        "use_rep": "X_pca",
    }
    adata.uns["neighbors"] = {"params": {**recorded, "random_state": 3}}
    params, n_pcs = read_graph_params(adata, None)
    assert (params.n_neighbors, params.method, params.metric, params.random_state, n_pcs) == (
        7,
        "gauss",
        "cosine",
        3,
        12,
    )


def test_counts_layer_wins_over_x_and_given_layer_over_both():
    adata = make_adata()
    adata.layers["counts"] = adata.X * 2
    adata.layers["other"] = adata.X * 3
    plain = adata.X.toarray()
    np.testing.assert_array_equal(read_counts(adata).read().counts.toarray(), plain * 2)
    np.testing.assert_array_equal(read_counts(adata, layer="other").read().counts.toarray(), plain * 3)


def test_raw_is_used_where_x_is_normalised():
    adata = make_adata()
    adata.raw = adata.copy()
    adata = log_normalised(adata)[:, :40].copy()
    data = read_counts(adata)
    assert data.source == "raw.X"
    assert data.read().counts.shape == (60, 80)


def test_highly_variable_genes_are_found_by_name_in_raw():
    adata = make_adata()
    adata.raw = adata.copy()
    adata = log_normalised(adata)[:, ::-1].copy()
    adata.var["highly_variable"] = adata.var_names.isin([f"gene{i}" for i in range(10, 40)])
    assert read_counts(adata).genes.tolist() == [f"gene{i}" for i in range(10, 40)]


def test_genes_are_selected_on_counts_where_none_are_marked():
    data = read_counts(make_adata(100, 120), n_top_genes=30)
    assert data.read().counts.shape == (100, 30)
    assert data.selection == "seurat_v3, 30 genes, loess span 0.3"


@pytest.mark.parametrize(
    "convert", [sparse.csc_matrix, sparse.csr_array, lambda x: x.toarray(), lambda x: x.astype(np.int64)]
)
def test_every_matrix_type_gives_the_same_counts(convert):
    adata = make_adata()
    expected = adata.X.toarray()
    adata.X = convert(adata.X)
    np.testing.assert_array_equal(read_counts(adata).read().counts.toarray(), expected)


def test_batch_of_one_cell_is_refused_by_its_name():
    adata = make_adata()
    adata.obs["donor"] = ["d1"] * 30 + ["d7"] + ["d2"] * 29
    adata.obs["sorted"] = adata.obs["donor"].where(adata.obs["donor"] != "d7", "d1")
    for run in (
        lambda: searches.leiden(adata, batch_key="donor"),
        lambda: searches.filter_tested(adata, "sorted", external=True, batch_key="donor"),
        lambda: recall_py.pp.knockoffs(adata, batch_key="donor"),
        lambda: recall_py.pp.null_misfit(adata, batch_key="donor"),
    ):
        with pytest.raises(ValueError, match="Batch 'd7' has 1 cell, but null genes need at least 2 in each batch"):
            run()


@pytest.mark.parametrize("convert", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
def test_depths_are_exact_in_any_block_size(convert, monkeypatch):
    counts = np.random.default_rng(0).integers(0, 2**23, (50, 400)).astype(np.float32)
    monkeypatch.setattr("recall_py.counts.blocks._BLOCK", 1000)
    totals = [sum(map(int, row)) for row in counts]
    expected = np.array(totals) / np.mean(totals)
    np.testing.assert_array_equal(read_counts(ad.AnnData(convert(counts))).depth, expected)


def test_gene_called_knockoff1_is_a_real_gene():
    adata = make_adata()
    adata.var_names = ["knockoff1", "knockoff_gene2", *adata.var_names[2:]]
    augmented = recall_py.pp.knockoffs(adata)
    assert not augmented.var.loc["knockoff1", "knockoff"]
    assert augmented.var_names.is_unique
    assert augmented.var["knockoff"].sum() == 80


def test_all_zero_gene_is_harmless():
    adata = make_adata()
    counts = adata.X.toarray()
    counts[:, 7] = 0
    adata.X = sparse.csr_matrix(counts)
    augmented = recall_py.pp.knockoffs(adata)
    assert augmented.X[:, [7, 87]].nnz == 0
