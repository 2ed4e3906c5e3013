"""Counts in dask arrays: the same labels as in memory, on threads and on worker processes."""

from __future__ import annotations

import os
import signal
import time

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import searches
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import recall_py
from recall_py.counts.matrix import CountMatrix
from recall_py.counts.selection import most_variable
from recall_py.counts.source import count_matrix
from recall_py.datasets import pbmc68k
from recall_py.method.params import RunParams, SearchParams

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

from recall_py.counts.dask_array import DaskCounts  # noqa: E402  needs dask
from recall_py.run.workers import cluster_distributed, fits_workers  # noqa: E402

OPTIONS = {"resolution": 2, "flavor": "igraph", "n_iterations": 2, "dims": 10}
FORMS = {
    "CSR": sparse.csr_matrix,
    "CSC": sparse.csc_matrix,
    "sparse array": sparse.csr_array,
    "dense": np.asarray,
}


def in_batches(adata):
    adata.obs["batch"] = pd.Categorical(np.where(np.arange(adata.n_obs) % 3, "a", "b"))
    return adata


@pytest.fixture(scope="module")
def adata():
    return in_batches(pbmc68k()[::2].copy())


@pytest.fixture(scope="module")
def in_memory(adata):
    """What a run with the settings of `many_cells` finds of counts in memory, by its options."""
    found = {}

    def once(**options):
        if str(options) not in found:
            found[str(options)] = searches.leiden(adata, copy=True, **options)
        return found[str(options)]

    return once


@pytest.fixture(scope="module")
def workers():
    with (
        dask.config.set({f"distributed.comm.timeouts.{kind}": "1800s" for kind in ("connect", "tcp")}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def many_cells(monkeypatch):
    """The few cells of the tests count as many: the workers make the run, and the other engine does what it would."""
    monkeypatch.setattr("recall_py.method.clustering.components.MANY_CELLS", 100)
    monkeypatch.setattr("recall_py.run.workers.MANY_CELLS", 100)
    for module in ("method.clustering.components", "run.workers"):
        monkeypatch.setattr(f"recall_py.{module}.GROUP", 128)
    monkeypatch.setattr("recall_py.counts.dask_array._MOST_GENES", 300)


@pytest.fixture
def made_by_workers(monkeypatch):
    """Runs that the workers made."""
    made = []

    def noted(*args, **kwargs):
        made.append(args)
        return cluster_distributed(*args, **kwargs)

    monkeypatch.setattr("recall_py.run.workers.cluster_distributed", noted)
    return made


def in_dask(adata, chunks=(100, -1), form=sparse.csr_matrix):
    """The same cells with counts in a dask array."""
    whole = ad.AnnData(obs=adata.obs.copy(), var=adata.var.copy())
    whole.X = da.from_array(adata.X.toarray(), chunks=chunks).map_blocks(form, dtype=np.float32)
    return whole


def same_result(found, expected, key="leiden"):
    assert found.obs[key].equals(expected.obs[key])
    for table in (recall_py.get.markers, recall_py.get.pairs, recall_py.get.iterations):
        pd.testing.assert_frame_equal(table(found, key), table(expected, key))


@pytest.mark.parametrize(
    ("form", "chunks"),
    [("CSR", (100, -1)), ("CSC", (-1, 100)), ("sparse array", (130, 333)), ("dense", (130, 333)), ("dense", (-1, -1))],
)
def test_labels_and_markers_are_those_of_counts_in_memory(adata, in_memory, form, chunks, many_cells, made_by_workers):
    expected = in_memory(**OPTIONS)
    found = in_dask(adata, chunks, FORMS[form])
    searches.leiden(found, **OPTIONS)
    assert len(made_by_workers) == 1
    assert expected.obs["leiden"].nunique() > 2
    same_result(found, expected)


@pytest.mark.parametrize(
    "options",
    [
        {"null_method": "NB"},
        {"null_method": "NB-depth", "batch_key": "batch"},
        {"null_method": "permutation", "n_draws": 2},
        {"n_top_genes": 300},
        {"strategy": "merge", "exact_below": 8},
        {"restrict_to": ("batch", ["a"]), "key_added": "leiden_R"},
    ],
    ids=str,
)
def test_every_kind_of_run_is_the_same_as_in_memory(adata, in_memory, options, many_cells, made_by_workers):
    expected = in_memory(**OPTIONS | options)
    found = in_dask(adata)
    searches.leiden(found, **OPTIONS | options)
    assert len(made_by_workers) == 1
    same_result(found, expected, options.get("key_added", "leiden"))


@pytest.mark.parametrize(
    "options",
    [{"null_method": "ZIP-copula"}, {"dims": "auto"}],
    ids=str,
)
def test_other_runs_gather_the_selected_counts(adata, options, many_cells, made_by_workers):
    expected = searches.leiden(adata, copy=True, **OPTIONS | options)
    found = in_dask(adata)
    searches.leiden(found, **OPTIONS | options)
    assert not made_by_workers
    same_result(found, expected)


def test_few_cells_are_gathered(adata, made_by_workers):
    expected = searches.leiden(adata, copy=True, **OPTIONS)
    found = in_dask(adata)
    searches.leiden(found, **OPTIONS)
    assert not made_by_workers
    same_result(found, expected)


def test_two_worker_processes_give_the_same_labels(adata, in_memory, workers, many_cells, made_by_workers):
    expected = in_memory(**OPTIONS)
    found = in_dask(adata)
    searches.leiden(found, **OPTIONS)
    assert len(made_by_workers) == 1
    same_result(found, expected)


def test_a_killed_worker_is_survived(adata, in_memory, workers, many_cells, monkeypatch):
    """It dies in the search, after the first step, with all that it held."""
    from recall_py.method import calibrate

    options = {"null_method": "NB-depth", "batch_key": "batch"}
    expected = in_memory(**OPTIONS | options)
    workers.wait_for_workers(2)
    killed = []

    def kill_then_compare(before, after):
        if not killed:
            victim = sorted(running())[0]
            killed.append((victim, len(workers.has_what()[victim])))
            os.kill(workers.run(os.getpid)[victim], signal.SIGKILL)
            while victim in running():
                time.sleep(0.05)
        return in_common(before, after)

    def running():
        return workers.scheduler_info(n_workers=-1)["workers"]

    in_common = calibrate.cells_in_common
    monkeypatch.setattr(calibrate, "cells_in_common", kill_then_compare)
    found = in_dask(adata)
    searches.leiden(found, **OPTIONS | options)
    assert killed[0][1] > 0
    same_result(found, expected)


def with_graph(adata):
    """The cells with a graph of their log-normalised values."""
    log = adata.copy()
    sc.pp.normalize_total(log, target_sum=1e4)
    sc.pp.log1p(log)
    sc.pp.pca(log, n_comps=10)
    sc.pp.neighbors(log, method="gauss", transformer="sklearn")
    return {"obsp": dict(log.obsp), "uns": {"neighbors": log.uns["neighbors"]}}


@pytest.fixture
def few_cells_of_a_cluster(monkeypatch):
    for module in ("outcomes", "table"):
        monkeypatch.setattr(f"recall_py.method.pairs.{module}.MAX_CELLS", 60)


def test_pairs_are_compared_by_two_worker_processes_with_the_same_bits(
    workers, few_cells_of_a_cluster, monkeypatch, tmp_path
):
    adata = in_batches(pbmc68k())
    graph = with_graph(adata)
    expected = ad.AnnData(adata.X.copy(), obs=adata.obs.copy(), var=adata.var.copy(), **graph)
    found = in_dask(adata)
    found.obsp.update(graph["obsp"])
    found.uns.update(graph["uns"])
    options = {"resolution": 1.5, "flavor": "igraph", "n_iterations": 2, "batch_key": "batch"}
    options["programmes"] = "cycle_macosko"
    recall_py.tl.leiden(expected, **options)
    assert recall_py.get.merges(expected)["evidence_with_programmes"].notna().any()
    monkeypatch.setattr("recall_py.method.merging.each_done", None)
    recall_py.tl.leiden(found, **options)
    assert expected.obs["leiden_start"].nunique() > expected.obs["leiden"].nunique() > 1
    same_merges(found, expected)


def same_merges(found, expected):
    assert found.obs[["leiden", "leiden_start"]].equals(expected.obs[["leiden", "leiden_start"]])
    for table in (recall_py.get.merges, recall_py.get.pairs, recall_py.get.markers):
        pd.testing.assert_frame_equal(table(found), table(expected))


def test_blocks_without_a_sampled_cell_are_not_computed_and_others_once(adata):
    from recall_py.adata.read import read_counts

    computed = []

    def noted(block, block_info=None):
        computed.append(block_info[0]["chunk-location"])
        return sparse.csr_matrix(block)

    found = ad.AnnData(obs=adata.obs.copy(), var=adata.var.copy())
    found.X = da.from_array(adata.X.toarray(), chunks=(100, 400)).map_blocks(noted, dtype=np.float32, meta=found.X)
    cells = np.array([3, 99, 250, 299])
    with dask.config.set(scheduler="threads"):
        data = read_counts(found, sampled=cells, n_top_genes=50)
        rows = data.rows(cells)
    np.testing.assert_array_equal(rows.toarray(), adata[cells, np.asarray(data.genes)].X.toarray())
    assert sorted(computed) == [(i, j) for i in (0, 2) for j in range(-(-adata.n_vars // 400))]


def test_what_workers_run_depends_on_the_kind_of_run(many_cells):
    search = SearchParams(start=1)
    assert fits_workers(RunParams(search=search), 101)
    assert not fits_workers(RunParams(search=search), 100)
    assert not fits_workers(RunParams(search=search, pair_test="synthetic"), 101)
    assert not fits_workers(RunParams(search=search, null_method="NB-copula"), 101)
    assert not fits_workers(RunParams(search=search, dims=None), 101)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(2, 12), st.integers(1, 12)),
    chunk=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    form=st.sampled_from(sorted(FORMS)),
    share=st.floats(0, 1),
)
def test_sums_and_genes_are_those_of_the_matrix_in_memory(seed, shape, chunk, form, share):
    rng = np.random.default_rng(seed)
    dense = rng.poisson(0.5, shape).astype(np.float64)
    cells = rng.random(shape[0]) < share
    lazy = DaskCounts(da.from_array(dense, chunks=chunk).map_blocks(FORMS[form], dtype=np.float64), cells)
    plain = CountMatrix(dense, cells)
    for name in ("totals", "stored", "sums", "squares", "largest"):
        np.testing.assert_array_equal(getattr(lazy.survey, name), getattr(plain.survey, name))
    chosen = rng.permutation(shape[1])[: rng.integers(1, shape[1] + 1)]
    found, expected = lazy.columns(chosen), plain.columns(chosen)
    assert found.dtype == expected.dtype
    assert found.has_canonical_format
    np.testing.assert_array_equal(found.toarray(), expected.toarray())
    np.testing.assert_array_equal(lazy.totals_over(chosen), plain.totals_over(chosen))
    ceiling = rng.random(shape[1]) * 2
    np.testing.assert_array_equal(lazy.sums_below(ceiling), plain.sums_below(ceiling))
    parts, widths = lazy.gene_blocks(chosen)
    assert sum(widths) == chosen.size
    np.testing.assert_array_equal(np.hstack([part.toarray() for part in dask.compute(*parts)]), expected.toarray())


def test_genes_are_those_that_scanpy_selects(adata):
    lazy = count_matrix(in_dask(adata, (77, 200)).X)
    expected = sc.pp.highly_variable_genes(
        ad.AnnData(adata.X.copy()), flavor="seurat_v3", n_top_genes=300, inplace=False
    )
    assert most_variable(lazy, 300)[0].tolist() == expected["highly_variable"].tolist()


@pytest.mark.parametrize("value", [-1.0, 0.5, np.nan])
def test_values_that_are_no_counts_are_refused(adata, value):
    bad = adata.X.toarray()
    bad[330, 3] = value
    lazy = ad.AnnData(obs=adata.obs.copy(), var=adata.var.copy())
    lazy.X = da.from_array(bad, chunks=(200, -1)).map_blocks(sparse.csr_matrix, dtype=np.float32)
    with pytest.raises(ValueError, match=r"X holds .*but raw integer counts are needed"):
        searches.leiden(lazy)


def test_chunks_without_genes_or_cells_are_passed_over(adata):
    dense = adata.X.toarray()
    stored = da.concatenate([da.from_array(dense, chunks=(300, 500)), da.zeros((adata.n_obs, 0))], axis=1)
    lazy = DaskCounts(da.concatenate([stored, da.zeros((0, adata.n_vars))], axis=0))
    np.testing.assert_array_equal(lazy.survey.totals, dense.sum(axis=1))
    np.testing.assert_array_equal(lazy.columns(np.arange(adata.n_vars)).toarray(), dense)


def test_unknown_sizes_of_chunks_are_refused(adata):
    lazy = in_dask(adata).X
    unknown = lazy[da.from_array(np.arange(adata.n_obs) < 300, chunks=200)]
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        count_matrix(unknown)


def test_a_file_opened_lazily_gives_the_same_labels(adata, in_memory, tmp_path, many_cells, made_by_workers):
    import h5py
    from anndata.experimental import read_elem_lazy

    adata.write_h5ad(tmp_path / "cells.h5ad")
    with h5py.File(tmp_path / "cells.h5ad") as file:
        found = ad.AnnData(read_elem_lazy(file["X"], chunks=(300, adata.n_vars)), obs=adata.obs.copy(), var=adata.var)
        searches.leiden(found, **OPTIONS)
    assert len(made_by_workers) == 1
    same_result(found, in_memory(**OPTIONS))


def test_blocks_of_genes_get_narrower_as_cells_grow(adata, monkeypatch):
    lazy = count_matrix(in_dask(adata).X)
    everything = np.ones(adata.n_vars, dtype=bool)
    wide = lazy.gene_blocks(everything)[1]
    monkeypatch.setattr("recall_py.counts.dask_array._BLOCK_BYTES", 200_000)
    narrow = lazy.gene_blocks(everything)[1]
    assert sum(wide) == sum(narrow) == adata.n_vars
    assert max(narrow) < max(wide) <= 64
