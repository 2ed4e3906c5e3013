"""Estimates of the null models, against the original and an independent optimiser."""

from __future__ import annotations

import numpy as np
import pytest
from golden import edge_cases, numbers
from scipy import optimize, sparse, stats

from recall_py.method.nulls import NULL_MODELS, augment, null_model
from recall_py.method.results import Cells, NullFit

NOT_NELDER_MEAD = ("mme-w", "other")
"""Stages of the original that are no maximum: moments (only the likelihood is compared), or no estimate at all."""


def column(counts: np.ndarray) -> sparse.csc_array:
    return sparse.csc_array(np.asarray(counts, dtype=np.float64)[:, None])


def fit_model(name: str, counts: sparse.csc_array, depth: np.ndarray | None = None) -> NullFit:
    return NULL_MODELS[name].fit(counts, np.ones(counts.shape[0]) if depth is None else depth)


def nb_log_likelihood(counts: np.ndarray, size: float, mu: float) -> float:
    if np.isinf(size):
        return stats.poisson.logpmf(counts, mu).sum()
    return stats.nbinom.logpmf(counts, size, size / (size + mu)).sum()


def edge_vectors() -> dict[str, np.ndarray]:
    table = edge_cases("vectors.tsv")
    # The file has no header: its first line became the names of the columns.
    lines = [(table.index.name, table.columns[0]), *table.iloc[:, 0].items()]
    return {str(name): numbers(str(values)) for name, values in lines}


def test_zip_estimates_are_the_originals(dataset):
    golden = dataset.table("estimates.tsv.gz")
    found = fit_model("ZIP", dataset.counts).parameters
    several = (golden["max"] > 1).to_numpy()  # elsewhere g = 1: rounding noise, and pi of order 1e13
    assert several.sum() > 400
    np.testing.assert_allclose(found["lambda"][several], golden["zip_lambda"][several], rtol=1e-6)
    np.testing.assert_allclose(found["pi"][several], golden["zip_pi"][several], rtol=1e-6, atol=1e-6)


def test_zip_estimates_of_the_edge_cases_are_the_originals():
    golden = edge_cases("estimates.tsv")
    compared = []
    for name, counts in edge_vectors().items():
        if counts.sum() <= np.count_nonzero(counts):
            continue  # every non-zero is 1: the original returns rounding noise, and pi of order 1e13 or infinite
        found = fit_model("ZIP", column(counts)).parameters
        assert found["lambda"][0] == pytest.approx(float(golden.loc[name, "zip_lambda"]), rel=1e-6)
        assert found["pi"][0] == pytest.approx(float(golden.loc[name, "zip_pi"]), rel=1e-6, abs=1e-6)
        compared.append(name)
    assert set(golden.index) - set(compared) == {
        "all_zero", "ones_3_of_100", "ones_1_of_100", "ones_5_of_137", "half_ones", "all_ones",
    }  # fmt: skip


def test_zip_estimate_is_the_maximum_of_the_likelihood(rng):
    counts = rng.poisson(2.5, 400) * (rng.random(400) < 0.6)

    def loss(at: np.ndarray) -> float:
        rate, inflation = np.exp(at[0]), 1 / (1 + np.exp(-at[1]))
        p = (1 - inflation) * stats.poisson.pmf(counts, rate) + inflation * (counts == 0)
        return -np.log(p).sum()

    best = optimize.minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12})
    found = fit_model("ZIP", column(counts)).parameters
    assert found["lambda"][0] == pytest.approx(np.exp(best.x[0]), rel=1e-5)
    assert found["pi"][0] == pytest.approx(1 / (1 + np.exp(-best.x[1])), rel=1e-5)


def test_nb_likelihood_is_at_least_the_originals(dataset):
    golden = dataset.table("estimates.tsv.gz")
    found = fit_model("NB", dataset.counts).parameters
    for gene, row in golden.iterrows():
        counts = dataset.counts[:, [gene]].toarray().ravel()
        if np.isnan(row["nb_size"]):
            # Every non-zero is 1: no finite maximum, and nothing of the original to compare with.
            assert counts.max() == 1
            assert np.isinf(found["size"][gene])
            continue
        ours = nb_log_likelihood(counts, found["size"][gene], found["mu"][gene])
        theirs = nb_log_likelihood(counts, row["nb_size"], row["nb_mu"])
        assert ours >= theirs - 1e-9 * abs(theirs), row["gene"]


def test_nb_estimates_are_the_originals_where_it_maximised_the_likelihood(dataset):
    golden = dataset.table("estimates.tsv.gz")
    stage = golden["nb_stage"]
    assert set(stage) <= {"MASS-NM", *NOT_NELDER_MEAD}
    maximised = (stage == "MASS-NM").to_numpy()
    assert maximised.sum() > 350
    found = fit_model("NB", dataset.counts).parameters
    np.testing.assert_allclose(found["size"][maximised], golden["nb_size"][maximised], rtol=0.01)
    np.testing.assert_allclose(found["mu"][maximised], golden["nb_mu"][maximised], rtol=0.01)


@pytest.mark.parametrize("name", sorted(edge_vectors()))
def test_nb_estimates_of_the_edge_cases(name):
    golden, counts = edge_cases("estimates.tsv").loc[name], edge_vectors()[name]
    found = {key: value[0] for key, value in fit_model("NB", column(counts)).parameters.items()}
    assert found["mu"] == pytest.approx(counts.mean())
    if golden["nb_stage"] == "FAIL":
        # The original stops with an error: no finite maximum, the limit is Poisson.
        assert counts.var() <= counts.mean() * (1 + 1e-12)
        assert np.isinf(found["size"])
        return
    ours = nb_log_likelihood(counts, found["size"], found["mu"])
    theirs = nb_log_likelihood(counts, float(golden["nb_size"]), float(golden["nb_mu"]))
    assert ours >= theirs - 1e-9 * abs(theirs)
    if golden["nb_stage"] == "MASS-NM":
        assert found["size"] == pytest.approx(float(golden["nb_size"]), rel=0.01)


@pytest.mark.parametrize(("size", "mean"), [(0.05, 0.3), (0.8, 2.0), (3.0, 50.0), (50.0, 5.0)])
def test_nb_estimate_is_the_maximum_of_the_likelihood(rng, size, mean):
    counts = rng.negative_binomial(size, size / (size + mean), 500)
    found = {key: value[0] for key, value in fit_model("NB", column(counts)).parameters.items()}

    def loss(log_size: float) -> float:
        return -nb_log_likelihood(counts, np.exp(log_size), counts.mean())

    best = optimize.minimize_scalar(loss, bounds=(-10, 12), method="bounded", options={"xatol": 1e-9})
    assert found["size"] == pytest.approx(np.exp(best.x), rel=1e-4)
    ours = nb_log_likelihood(counts, found["size"], found["mu"])
    assert ours >= -best.fun - 1e-9 * abs(best.fun)


def test_nb_of_variance_just_above_and_not_above_the_mean():
    even = np.array([0] * 5 + [2] * 5)  # mean 1, variance 1
    above = np.array([0] * 6 + [2] * 4 + [3])
    assert above.var() > above.mean()
    found = [fit_model("NB", column(counts)).parameters["size"][0] for counts in (even, above)]
    assert np.isinf(found[0])
    assert np.isfinite(found[1])


@pytest.mark.parametrize("name", NULL_MODELS)
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64, np.uint16])
def test_estimates_do_not_depend_on_the_dtype_of_the_counts(rng, name, dtype):
    """Counts above 46,340 have squares beyond int32; sums above 2^24 are beyond float32."""
    large = rng.normal(55_000, 3000, 400).round().clip(0, 65_535)
    counts = np.column_stack([large, rng.poisson(3, 400), rng.negative_binomial(2, 0.01, 400)])
    expected = fit_model(name, sparse.csc_array(counts.astype(np.float64))).parameters
    found = fit_model(name, sparse.csc_array(counts.astype(dtype))).parameters
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-9, err_msg=key)


def slow_depth_estimates(x: np.ndarray, depth: np.ndarray) -> tuple[float, float]:
    mean = x.sum() / depth.sum()
    mu = mean * depth
    return mean, max(0.0, ((x - mu) ** 2 - mu).sum() / (mu**2).sum())


def test_depth_estimates_are_those_of_the_formula(rng):
    depth = rng.lognormal(0, 0.6, 300)
    mu = depth[:, None] * np.array([0.01, 0.3, 2.0, 400.0, 5.0])
    counts = np.column_stack([rng.negative_binomial(0.7, 0.7 / (0.7 + mu[:, :4])), rng.binomial(8, 0.6, 300)])
    found = fit_model("NB-depth", sparse.csc_array(counts), depth).parameters
    expected = np.array([slow_depth_estimates(x, depth) for x in counts.T]).T
    np.testing.assert_allclose(found["mean"], expected[0], rtol=1e-12)
    np.testing.assert_allclose(found["overdispersion"], expected[1], rtol=1e-9, atol=1e-12)


def test_depth_estimates_find_the_truth(rng):
    depth = rng.lognormal(0, 0.6, 50_000)
    mu = 3.0 * depth
    counts = np.column_stack([rng.negative_binomial(2.0, 2.0 / (2.0 + mu)), rng.poisson(mu)])
    found = fit_model("NB-depth", sparse.csc_array(counts), depth).parameters
    np.testing.assert_allclose(found["mean"], 3.0, rtol=0.03)
    np.testing.assert_allclose(found["overdispersion"], [0.5, 0.0], atol=0.03)


def test_gaussian_estimates_are_the_moments_of_the_counts(rng):
    counts = np.column_stack([rng.poisson(0.2, 100), rng.poisson(5e6, 100), np.full(100, 3_000_001)])
    found = fit_model("Gaussian-copula", sparse.csc_array(counts.astype(np.float32).astype(np.float64))).parameters
    np.testing.assert_allclose(found["mean"], counts.astype(np.float32).mean(axis=0, dtype=float), rtol=1e-12)
    np.testing.assert_allclose(found["sd"], counts.astype(np.float32).std(axis=0, dtype=float), rtol=1e-9)
    assert found["sd"][2] == 0


@pytest.mark.parametrize("name", ["ZIP", "NB", "Poisson"])
def test_copula_has_the_estimates_of_its_marginal(rng, name):
    counts = sparse.csc_array(rng.negative_binomial(0.5, 0.3, (200, 6)))
    found = fit_model(f"{name}-copula", counts).parameters
    expected = {"mean": counts.mean(axis=0)} if name == "Poisson" else fit_model(name, counts).parameters
    assert set(found) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-12)


def test_unknown_null_model_is_refused_with_the_list_of_those_that_exist():
    names = "ZIP, NB, ZIP-copula, NB-copula, Poisson-copula, Gaussian-copula, permutation, NB-depth"
    with pytest.raises(ValueError, match=rf"'zip'\. Available: {names}\.$"):
        null_model("zip")
    with pytest.raises(ValueError, match=f"Available: {names}"):
        augment(Cells(column(np.ones(5))), "Gauss", np.random.SeedSequence(0))


@pytest.mark.parametrize("name", NULL_MODELS)
def test_fit_records_the_name_in_the_registry(rng, name):
    assert fit_model(name, sparse.csc_array(rng.poisson(1.0, (50, 3)))).family == name
