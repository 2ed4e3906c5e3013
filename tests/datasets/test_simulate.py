"""Shipped and simulated counts: simulated ones follow the stated model within sampling error."""

from __future__ import annotations

import runpy
import tomllib

import anndata as ad
import numpy as np
import pytest
from golden import REPOSITORY
from scipy import sparse

from recall_py.datasets import pbmc68k, simulate
from recall_py.datasets._datasets import _FOLDERS

SIMULATED = runpy.run_path(str(REPOSITORY / "benchmarks" / "calibration" / "split.py"))["SIMULATED"]
SCENARIOS = {name: arguments for half in SIMULATED.values() for name, arguments in half.items()}
FIVE = 5.0
"""Standard errors: what a test allows between a sample and the model."""


def dense(adata):
    return adata.X.toarray().astype(np.float64)


def log2_means(adata, cells):
    """Log2 of the mean of each gene per expected count over the chosen cells, and its standard error."""
    scaled = dense(adata)[cells] / adata.obs["depth"].to_numpy()[cells, None]
    mean, error = scaled.mean(axis=0), scaled.std(axis=0) / np.sqrt(scaled.shape[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log2(mean), error / mean / np.log(2)


def residuals(adata, dispersion):
    """Pearson residuals given each cell's depth and the base shares, for genes of 1 count or more on average."""
    share = adata.var["share"].to_numpy()
    genes = np.flatnonzero(share * adata.obs["depth"].mean() > 1)
    mean = adata.obs["depth"].to_numpy()[:, None] * share[genes]
    return genes, (dense(adata)[:, genes] - mean) / np.sqrt(mean + dispersion * mean**2)


def assert_close_to(sample, expected):
    """Compare the mean of a sample with what is expected."""
    assert abs(np.mean(sample) - expected) < FIVE * np.std(sample) / np.sqrt(np.size(sample))


# -- marginals ------------------------------------------------------------------------------------------------------


def test_depth_is_log_normal_with_the_stated_mean_and_spread():
    depth = simulate(20_000, 5, mean_depth=3000, depth_spread=0.5).obs["depth"].to_numpy()
    assert_close_to(depth, 3000)
    assert np.log(depth).std() == pytest.approx(0.5, abs=FIVE * 0.5 / np.sqrt(2 * depth.size))


def test_totals_follow_the_expected_depth():
    adata = simulate(3000, 500, dispersion=0.0)
    total, depth = dense(adata).sum(axis=1), adata.obs["depth"].to_numpy()
    z = (total - depth) / np.sqrt(depth)
    assert_close_to(z, 0)
    assert_close_to(z**2, 1)


def test_base_shares_are_log_normal():
    share = simulate(2, 20_000, mean_depth=50_000).var["share"].to_numpy()
    assert share.sum() == pytest.approx(1)
    assert np.log(share).std() == pytest.approx(1.5, abs=FIVE * 1.5 / np.sqrt(2 * share.size))


@pytest.mark.parametrize("dispersion", [0.0, 0.2, 0.6])
def test_genes_have_the_mean_and_negative_binomial_variance_of_the_model(dispersion):
    genes, z = residuals(simulate(4000, 300, dispersion=dispersion), dispersion)
    assert genes.size > 100
    assert_close_to(z**2, 1)
    # Every gene on its own: the mean of n standardised residuals is a standard normal over the root of n.
    assert np.abs(z.mean(axis=0)).max() < FIVE / np.sqrt(z.shape[0])
    assert (z.mean(axis=0) * np.sqrt(z.shape[0])).std() == pytest.approx(1, abs=FIVE / np.sqrt(2 * genes.size))


def test_genes_are_independent_without_modules_and_gradient():
    genes, z = residuals(simulate(2000, 300), 0.2)
    upper = np.corrcoef(z.T)[np.triu_indices(genes.size, 1)]
    assert upper.std() == pytest.approx(1 / np.sqrt(2000), rel=0.1)
    assert abs(upper.mean()) < 0.003


# -- groups ---------------------------------------------------------------------------------------------------------


def test_markers_have_their_fold_changes():
    adata = simulate(4000, 1000, group_shares=(0.5, 0.3, 0.2), n_markers=60, mean_depth=20_000)
    group, var = adata.obs["group"].to_numpy(), adata.var
    marker_of, folds = var["marker_of"].to_numpy(), var["log2_fold_change"].to_numpy()
    assert ((folds > 0) == (marker_of != "")).all()
    for name in ("group0", "group1", "group2"):
        inside, error_in = log2_means(adata, group == name)
        outside, error_out = log2_means(adata, group != name)
        error = np.hypot(error_in, error_out)
        seen = (var["share"] * adata.obs["depth"].mean() > 0.5).to_numpy()
        plain, own = seen & (marker_of == ""), seen & (marker_of == name)
        # Genes without a role all fall by the same factor, which the markers share.
        shift = np.median((inside - outside)[plain])
        z = (inside - outside - shift - np.where(marker_of == name, folds, 0.0)) / error
        assert own.sum() > 40
        assert np.abs(z[own]).max() < FIVE
        assert np.abs(z[plain]).max() < FIVE
        assert abs(shift) < 0.5
        assert (marker_of == name).sum() == 60
        fold = folds[marker_of == name] / 1.5
        assert fold.mean() == pytest.approx(1, abs=FIVE * 0.25 / np.sqrt(60))
        assert fold.std() == pytest.approx(0.25, abs=FIVE * 0.25 / np.sqrt(2 * 60))


@pytest.mark.parametrize(
    ("shares", "n_cells", "sizes"),
    [((1.0,), 7, [7]), ((0.57, 0.4, 0.03), 800, [456, 320, 24]), ((0.34, 0.33, 0.33), 10, [4, 3, 3])],
)
def test_group_sizes_are_exact(shares, n_cells, sizes):
    adata = simulate(n_cells, 400, group_shares=shares)
    assert adata.obs["group"].value_counts(sort=False).tolist() == sizes
    assert adata.obs["group"].cat.categories.tolist() == [f"group{k}" for k in range(len(sizes))]


def test_cells_come_in_random_order():
    codes = simulate(1000, 200, group_shares=(0.5, 0.5)).obs["group"].cat.codes.to_numpy()
    assert abs(codes[:500].mean() - 0.5) < FIVE * 0.5 / np.sqrt(500)


def test_a_single_group_has_no_markers():
    var = simulate(20, 100).var
    assert (var["marker_of"] == "").all()
    assert not var["log2_fold_change"].any()


# -- modules, gradients, depth, batches -----------------------------------------------------------------------------


def test_module_genes_correlate_within_their_module_only():
    adata = simulate(2000, 1500, n_modules=2, module_genes=60, module_sd=0.6, mean_depth=20_000)
    genes, z = residuals(adata, 0.2)
    module, loading = (adata.var[name].to_numpy()[genes] for name in ("module", "module_loading"))
    correlation = np.corrcoef(z.T)
    np.fill_diagonal(correlation, np.nan)
    first, second, none = (module == name for name in ("module0", "module1", ""))
    assert first.sum() > 30
    assert np.nanmean(correlation[np.ix_(first, first)]) > 0.3
    assert np.nanmean(correlation[np.ix_(second, second)]) > 0.3
    assert abs(np.nanmean(correlation[np.ix_(first, second)])) < 0.1
    assert abs(np.nanmean(correlation[np.ix_(none, none)])) < 0.05
    assert (loading[first] >= 0.3).all()
    assert (loading[first] <= 0.9).all()
    assert not loading[none].any()


def test_a_module_gives_its_genes_the_stated_spread_and_keeps_their_mean():
    adata = simulate(8000, 400, n_modules=1, module_genes=5, module_sd=0.3, mean_depth=200_000, dispersion=0.0)
    gene = int(np.argmax(adata.var["share"] * (adata.var["module"] != "")))
    loading = adata.var["module_loading"].iloc[gene]
    share = dense(adata)[:, gene] / adata.obs["depth"].to_numpy()
    counts = adata.var["share"].iloc[gene] * 200_000
    assert counts > 100
    assert share.mean() / adata.var["share"].iloc[gene] == pytest.approx(1, abs=0.02)
    # Variance of a log-normal with mean 1, and of the Poisson count on it.
    expected = np.expm1(loading**2) + np.mean(1 / adata.obs["depth"]) / adata.var["share"].iloc[gene]
    assert share.var() / share.mean() ** 2 == pytest.approx(expected, rel=0.1)


def test_line_moves_half_of_its_genes_up_and_half_down():
    adata = simulate(4000, 500, gradient="line", gradient_genes=100, gradient_strength=2.0, mean_depth=20_000)
    position, slope = adata.obs["position"].to_numpy(), adata.var["gradient"].to_numpy()
    assert [(slope == value).sum() for value in (2.0, -2.0, 0.0)] == [50, 50, 400]
    assert position.min() >= 0
    assert position.max() < 1
    assert position.mean() == pytest.approx(0.5, abs=FIVE * np.sqrt(1 / 12 / 4000))
    low, error_low = log2_means(adata, position < 0.1)
    high, error_high = log2_means(adata, position > 0.9)
    seen = (adata.var["share"] * 20_000 > 1).to_numpy()
    change = (high - low - np.median((high - low)[slope == 0]))[seen]
    error = np.hypot(error_low, error_high)[seen]
    # The two ends are 0.9 of the line apart.
    assert np.abs((change - 0.9 * slope[seen]) / np.hypot(error, 0.02)).max() < FIVE


def test_circle_gives_each_gene_a_cosine_with_its_peak():
    adata = simulate(4000, 500, gradient="circle", gradient_genes=100, gradient_strength=2.0, mean_depth=50_000)
    var, position = adata.var, adata.obs["position"].to_numpy()
    amplitude, peak = var["gradient"].to_numpy(), var["gradient_phase"].to_numpy()
    on = amplitude != 0
    assert (amplitude[on] == 1.0).all()
    assert on.sum() == 100
    assert np.isnan(peak[~on]).all()
    assert peak[on].std() == pytest.approx(np.sqrt(1 / 12), abs=0.06)
    strong = np.flatnonzero(on & (var["share"] * 50_000 > 20).to_numpy())
    # Relative to genes off the circle: the sum that shares are divided by follows the position too.
    share = dense(adata)[:, strong] / dense(adata)[:, ~on].sum(axis=1, keepdims=True)
    assert strong.size > 30
    for gene, values in zip(strong, share.T, strict=True):
        found = np.angle(np.sum(values * np.exp(2j * np.pi * position))) / (2 * np.pi)
        assert abs((found - peak[gene] + 0.5) % 1 - 0.5) < 0.03
        # Trough to peak, from the tenths of the turn around them; a tenth flattens a cosine by 2 %.
        near = [values[np.abs((position - at + 0.5) % 1 - 0.5) < 0.05].mean() for at in (peak[gene], peak[gene] + 0.5)]
        assert np.log2(near[0] / near[1]) == pytest.approx(2.0, abs=0.3)


def test_position_is_absent_without_a_gradient():
    adata = simulate(20, 100)
    assert adata.obs["position"].isna().all()
    assert not adata.var["gradient"].any()


@pytest.mark.parametrize("growth", [1.0, -0.7])
def test_depth_grows_along_the_position_and_keeps_its_mean(growth):
    adata = simulate(20_000, 5, depth_gradient=growth, depth_spread=0.2, mean_depth=1000)
    position, depth = adata.obs["position"].to_numpy(), adata.obs["depth"].to_numpy()
    slope, _ = np.polyfit(position, np.log(depth), 1)
    assert slope == pytest.approx(growth, abs=FIVE * 0.2 / np.sqrt(20_000 / 12))
    assert_close_to(depth, 1000)


def test_depth_gradient_alone_leaves_the_shares_alone():
    genes, z = residuals(simulate(3000, 200, depth_gradient=1.5), 0.2)
    assert genes.size > 50
    assert_close_to(z**2, 1)


def test_depth_and_genes_share_the_position_of_a_line():
    both = simulate(500, 300, gradient="line", depth_gradient=1.0)
    line = simulate(500, 300, gradient="line")
    assert (both.obs["position"] == line.obs["position"]).all()
    assert np.corrcoef(both.obs["position"], np.log(both.obs["depth"]))[0, 1] > 0.4
    assert abs(np.corrcoef(line.obs["position"], np.log(line.obs["depth"]))[0, 1]) < 0.2


def test_batches_shift_every_gene_by_the_stated_spread():
    adata = simulate(4000, 1000, n_batches=2, batch_sd=0.3, mean_depth=20_000)
    batch = adata.obs["batch"].to_numpy()
    assert adata.obs["batch"].value_counts().to_dict() == {"batch0": 2000, "batch1": 2000}
    first, error_first = log2_means(adata, batch == "batch0")
    second, error_second = log2_means(adata, batch == "batch1")
    seen = (adata.var["share"] * 20_000 > 1).to_numpy()
    difference = np.log(2) * (first - second)[seen]
    noise = np.mean((np.log(2) * np.hypot(error_first, error_second)[seen]) ** 2)
    spread = np.sqrt(difference.var() - noise)
    assert spread == pytest.approx(0.3 * np.sqrt(2), abs=FIVE * 0.3 / np.sqrt(seen.sum()))


def test_one_batch_has_no_effect():
    assert (simulate(50, 100, batch_sd=3.0).X != simulate(50, 100, batch_sd=0.0).X).nnz == 0


def test_batches_and_groups_are_independent():
    obs = simulate(4000, 300, group_shares=(0.5, 0.5), n_batches=2).obs
    both = ((obs["group"] == "group0") & (obs["batch"] == "batch0")).mean()
    assert both == pytest.approx(0.25, abs=FIVE * np.sqrt(0.25 * 0.75 / 4000))


# -- form and seed --------------------------------------------------------------------------------------------------


def test_counts_are_csr_float32_with_string_names():
    adata = simulate(30, 400, group_shares=(0.5, 0.5), n_modules=1, gradient="line")
    assert isinstance(adata.X, sparse.csr_matrix)
    assert adata.X.dtype == np.float32
    assert (adata.X.data == np.rint(adata.X.data)).all()
    assert (adata.X.data > 0).all()
    assert adata.obs_names[[0, -1]].tolist() == ["cell0", "cell29"]
    assert adata.var_names[[0, -1]].tolist() == ["gene0", "gene399"]


def test_each_gene_has_one_role_at_most():
    adata = simulate(
        20,
        400,
        group_shares=(0.5, 0.5),
        n_markers=50,
        n_modules=3,
        module_genes=50,
        gradient="line",
        gradient_genes=150,
    )
    var = adata.var
    roles = (var["marker_of"] != "").astype(int) + (var["module"] != "") + (var["gradient"] != 0)
    assert (roles == 1).all()


def test_same_seed_gives_the_same_counts_and_another_seed_others():
    first, again, other = simulate(300, 200), simulate(300, 200), simulate(300, 200, random_state=1)
    assert (first.X != again.X).nnz == 0
    assert (first.X != other.X).nnz > 1000
    assert not (first.var["share"] == other.var["share"]).any()


@pytest.mark.parametrize("change", [{"group_shares": (0.2, 0.2, 0.6)}, {"group_shares": (0.5, 0.5), "n_markers": 20}])
def test_number_of_groups_changes_nothing_but_groups_and_counts(change):
    common = {"n_modules": 2, "gradient": "circle", "n_batches": 3, "depth_gradient": 0.5}
    one, more = simulate(100, 600, **common), simulate(100, 600, **common, **change)
    for column in ("share", "module", "module_loading", "gradient", "gradient_phase"):
        np.testing.assert_array_equal(one.var[column], more.var[column])
    for column in ("batch", "position", "depth"):
        np.testing.assert_array_equal(one.obs[column], more.obs[column])


@pytest.mark.parametrize("gradient", [None, "line"])
def test_recorded_arguments_repeat_the_data_after_a_file(gradient, tmp_path):
    adata = simulate(60, 400, group_shares=(0.7, 0.3), n_modules=1, gradient=gradient, random_state=5)
    adata.write_h5ad(tmp_path / "simulated.h5ad")
    read = ad.read_h5ad(tmp_path / "simulated.h5ad")
    again = simulate(**read.uns["simulate"])
    assert (again.X != adata.X).nnz == 0
    assert again.obs["group"].tolist() == read.obs["group"].tolist()
    assert again.var["marker_of"].tolist() == read.var["marker_of"].tolist()


def test_random_state_may_be_a_generator_of_numpy():
    states = [np.random.RandomState(3) for _ in range(2)]
    assert (simulate(20, 100, random_state=states[0]).X != simulate(20, 100, random_state=states[1]).X).nnz == 0


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_of_the_benchmark_run(name):
    arguments = SCENARIOS[name]
    adata = simulate(**arguments)
    shares = arguments.get("group_shares", (1.0,))
    assert adata.shape == (arguments["n_cells"], 2000)
    sizes = adata.obs["group"].value_counts(sort=False).to_numpy()
    assert np.abs(sizes - np.asarray(shares) * adata.n_obs).max() < 1
    assert dense(adata).sum(axis=1).mean() == pytest.approx(arguments["mean_depth"], rel=0.15)


# -- refused input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_cells": 0}, "n_cells is 0; a whole number from 1 on"),
        ({"n_genes": 10.5}, "n_genes is 10.5; a whole number"),
        ({"n_cells": True}, "n_cells is True; a whole number"),
        ({"n_batches": 0}, "n_batches is 0; a whole number from 1 on"),
        ({"n_markers": -1}, "n_markers is -1; a whole number from 0 on"),
        ({"mean_depth": 0}, "mean_depth is 0; a number above 0"),
        ({"mean_depth": float("nan")}, "mean_depth is nan; a number above 0"),
        ({"dispersion": -0.1}, "dispersion is -0.1; a number from 0 on"),
        ({"depth_spread": float("inf")}, "depth_spread is inf; a number from 0 on"),
        ({"depth_gradient": float("nan")}, "depth_gradient is nan; a finite number"),
        ({"gradient": "spiral"}, "Unknown gradient 'spiral'. Available: line, circle"),
        ({"group_shares": (0.5, 0.4)}, r"sum to 0.9; they must sum to 1. In the same proportions: 0.5556, 0.4444"),
        ({"group_shares": ()}, r"group_shares is \[\]; a list of numbers above 0"),
        ({"group_shares": 1.0}, "group_shares is 1.0; a list of numbers above 0"),
        ({"group_shares": (1.5, -0.5)}, r"group_shares is \[1.5, -0.5\]; a list of numbers above 0"),
        ({"group_shares": (float("nan"), 1.0)}, "a list of numbers above 0"),
        ({"group_shares": (0.999, 0.001)}, "group1 would have no cell: its share is 0.001 of 100. Raise n_cells"),
        ({"n_cells": 2, "n_batches": 3}, "batch2 would have no cell"),
        (
            {"group_shares": (0.5, 0.5), "n_modules": 1, "gradient": "line"},
            "150 gradient genes, 50 module genes and 100 markers are 300 genes.* n_genes is 200. Raise n_genes to 300",
        ),
        ({"mean_depth": 1}, r"of 100 cells have no counts, the first is cell\d+. Raise mean_depth \(now 1\)"),
        ({"mean_depth": 1e9}, "Lower mean_depth"),
        ({"depth_spread": 2.0, "mean_depth": 8e6}, r"Lower mean_depth \(now 8e\+06\), depth_spread \(2\)"),
        ({"depth_gradient": 900.0}, r"have no counts.*depth_gradient \(now 900\)"),
        ({"random_state": -1}, "The seed -1 is negative"),
    ],
)
def test_bad_arguments_are_refused_with_what_mends_them(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate(**{"n_cells": 100, "n_genes": 200, **arguments})


def test_all_genes_may_have_a_role():
    assert simulate(20, 150, gradient="line").var["gradient"].all()


def test_strong_effects_do_not_overflow():
    adata = simulate(20, 200, n_modules=1, module_sd=2000.0, mean_depth=1000)
    assert np.isfinite(adata.X.data).all()


# -- shipped cells --------------------------------------------------------------------------------------------------


def test_pbmc68k_is_the_file_of_the_repository():
    found, expected = pbmc68k(), ad.read_h5ad(REPOSITORY / "data" / "pbmc68k.h5ad")
    assert found.shape == (700, 765)
    assert (found.X != expected.X).nnz == 0
    assert found.obs["annotation"].tolist() == expected.obs["annotation"].tolist()


def test_pbmc68k_is_taken_from_the_package_first(tmp_path, monkeypatch):
    simulate(10, 50).write_h5ad(tmp_path / "pbmc68k.h5ad")
    monkeypatch.setattr("recall_py.datasets._datasets._FOLDERS", (tmp_path, REPOSITORY / "data"))
    assert pbmc68k().shape == (10, 50)


def test_missing_pbmc68k_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("recall_py.datasets._datasets._FOLDERS", (tmp_path / "a", tmp_path / "b"))
    with pytest.raises(FileNotFoundError, match=r"pbmc68k.h5ad is in none of: .*a, .*b. It comes with recall-py"):
        pbmc68k()


def test_wheels_hold_the_file_where_it_is_looked_for():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included["data/pbmc68k.h5ad"] == "recall_py/_data/pbmc68k.h5ad"
    assert all((REPOSITORY / source).is_file() for source in included)
    assert _FOLDERS[0].parts[-2:] == ("recall_py", "_data")
