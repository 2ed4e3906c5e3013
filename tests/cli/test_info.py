"""``recall-py info`` says what ``recall-py cluster`` will do."""

from __future__ import annotations

import shlex

import anndata as ad
import numpy as np
import pytest
from command import recall
from scipy import sparse

from recall_py.cli.describe import describe_file


def make_adata():
    rng = np.random.default_rng(4)
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(3.0, (60, 40)).astype(np.float32)))
    adata.obs_names = [f"cell{i}" for i in range(60)]
    adata.var_names = [f"gene{i}" for i in range(40)]
    adata.obsm["X_umap"] = adata.obsm["X_pca"] = rng.normal(size=(60, 2))
    return adata


def with_neighbours_of_no_number(adata):
    with_graphs(adata)
    adata.uns["neighbors"] = {"connectivities_key": "wnn", "params": {"n_neighbors": {"many": 1}}}


def doubled(axis):
    def change(adata):
        names = list(getattr(adata, f"{axis}_names"))
        setattr(adata, f"{axis}_names", [names[1], *names[1:]])

    return change


def with_graphs(adata):
    adata.obsp["wnn"] = sparse.csr_matrix(np.kron(np.eye(2), np.ones((30, 30))) - np.eye(60))


def with_no_edge(adata):
    adata.obsp["connectivities"] = sparse.csr_matrix((60, 60))
    adata.uns["neighbors"] = {"connectivities_key": "connectivities", "params": {}}


CHANGES = {
    "nothing": lambda adata: None,
    "doubled cells": doubled("obs"),
    "doubled genes": doubled("var"),
    "no counts": lambda adata: setattr(adata, "X", adata.X.log1p()),
    "no marked gene": lambda adata: adata.var.__setitem__("highly_variable", False),
    "graph that is gone": lambda adata: adata.uns.__setitem__("neighbors", {"connectivities_key": "connectivities"}),
    "graph without a record": with_graphs,
    "graph without an edge": with_no_edge,
    "two genes": lambda adata: adata._inplace_subset_var(slice(0, 2)),
    "neighbours of no number": with_neighbours_of_no_number,
    "labels of another": lambda adata: adata.obs.__setitem__("leiden", "mine"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_info_gives_the_command_line_that_works_or_what_cluster_will_say(change, tmp_path):
    adata = make_adata()
    with np.errstate(all="ignore"):
        CHANGES[change](adata)
    adata.write_h5ad(tmp_path / "in put.h5ad")
    told = recall("info", "in put.h5ad", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    line = next(line for line in told.stdout.splitlines() if line.startswith("clustering"))
    said = line.removeprefix("clustering").strip()
    if said.startswith("recall-py "):
        run = recall(*shlex.split(said)[1:], "-q", cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        assert (tmp_path / "labelled.h5ad").exists()
    else:
        run = recall("cluster", "in put.h5ad", "-o", "out.h5ad", "-q", cwd=tmp_path)
        assert run.returncode == 2
        assert said.startswith("CANNOT BE DONE YET. ")
        assert said[20:60] in run.stderr


def test_info_names_another_output_and_takes_no_measurement_for_labels(tmp_path):
    adata = make_adata()
    adata.obs["score"] = np.repeat([0.1, 0.2, 0.3], 20)
    adata.obs["kind"] = np.repeat(["a", "b"], 30)
    path = tmp_path / "labelled.h5ad"
    adata.write_h5ad(path)
    told = dict(describe_file(path, layer=None, n_top_genes=2000))
    assert told["labels"] == "kind (2)"
    assert told["clustering"] == f"recall-py cluster {path} -o labelled_again.h5ad --resolution auto"


def test_commands_that_take_no_mudata_name_what_makes_an_h5ad_file_of_one(tmp_path):
    (tmp_path / "cells.h5mu").write_bytes(b"")
    for words in (("recall", "-o", "out.h5ad"), ("knockoffs", "-o", "out.h5ad"), ("report", "-o", "page.html")):
        run = recall(words[0], "cells.h5mu", *words[1:], cwd=tmp_path)
        assert run.returncode == 2
        assert "mudata.read_h5ad('cells.h5mu', mod='rna').write_h5ad('rna.h5ad')" in run.stderr
