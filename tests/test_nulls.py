"""Estimates of the null models, against the original and an independent optimiser."""

from __future__ import annotations

import numpy as np
import pytest
from golden import edge_cases, numbers
from scipy import optimize, sparse, stats

from recall_py.nulls import NULL_MODELS, augment, null_model

NOT_NELDER_MEAD = ("mme-w", "other")
"""Stages of the original that are no maximum: moments (only the likelihood is compared), or no estimate at all."""


def column(counts: np.ndarray) -> sparse.csc_array:
    return sparse.csc_array(np.asarray(counts, dtype=np.float64)[:, None])


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
    found = NULL_MODELS["ZIP"].fit(dataset.counts).parameters
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
        found = NULL_MODELS["ZIP"].fit(column(counts)).parameters
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
    found = NULL_MODELS["ZIP"].fit(column(counts)).parameters
    assert found["lambda"][0] == pytest.approx(np.exp(best.x[0]), rel=1e-5)
    assert found["pi"][0] == pytest.approx(1 / (1 + np.exp(-best.x[1])), rel=1e-5)


def test_nb_likelihood_is_at_least_the_originals(dataset):
    golden = dataset.table("estimates.tsv.gz")
    found = NULL_MODELS["NB"].fit(dataset.counts).parameters
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
    found = NULL_MODELS["NB"].fit(dataset.counts).parameters
    np.testing.assert_allclose(found["size"][maximised], golden["nb_size"][maximised], rtol=0.01)
    np.testing.assert_allclose(found["mu"][maximised], golden["nb_mu"][maximised], rtol=0.01)


@pytest.mark.parametrize("name", sorted(edge_vectors()))
def test_nb_estimates_of_the_edge_cases(name):
    golden, counts = edge_cases("estimates.tsv").loc[name], edge_vectors()[name]
    found = {key: value[0] for key, value in NULL_MODELS["NB"].fit(column(counts)).parameters.items()}
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
    found = {key: value[0] for key, value in NULL_MODELS["NB"].fit(column(counts)).parameters.items()}

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
    found = [NULL_MODELS["NB"].fit(column(counts)).parameters["size"][0] for counts in (even, above)]
    assert np.isinf(found[0])
    assert np.isfinite(found[1])


@pytest.mark.parametrize("name", ["ZIP", "NB"])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64, np.uint16])
def test_estimates_do_not_depend_on_the_dtype_of_the_counts(rng, name, dtype):
    """Counts above 46,340 have squares beyond int32; sums above 2^24 are beyond float32."""
    large = rng.normal(55_000, 3000, 400).round().clip(0, 65_535)
    counts = np.column_stack([large, rng.poisson(3, 400), rng.negative_binomial(2, 0.01, 400)])
    expected = NULL_MODELS[name].fit(sparse.csc_array(counts.astype(np.float64))).parameters
    found = NULL_MODELS[name].fit(sparse.csc_array(counts.astype(dtype))).parameters
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-9, err_msg=key)


def test_unknown_null_model_is_refused_with_the_list_of_those_that_exist():
    with pytest.raises(ValueError, match=r"'zip'.*ZIP, NB"):
        null_model("zip")
    with pytest.raises(ValueError, match="Available: ZIP, NB"):
        augment(column(np.ones(5)), "Gauss", np.random.SeedSequence(0))
