"""What a user owns is never lost: inputs, finished work, other files beside, whatever ends a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from unittest.mock import patch

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from command import obey_interrupts, recall
from scipy import sparse

from recall_py.cli import check
from recall_py.cli import cluster as commands
from recall_py.files.atomic import write_atomically


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    rng = np.random.default_rng(4)
    group = np.arange(90) % 3
    adata = ad.AnnData(
        sparse.csr_matrix(rng.poisson(np.where(np.arange(60) // 20 == group[:, None], 9.0, 1.0)).astype(np.float32))
    )
    adata.obs_names = [f"cell{i}" for i in range(90)]
    adata.var_names = [f"gene{i}" for i in range(60)]
    adata.obs["group"] = pd.Categorical.from_codes(group, ["a", "b", "c"])
    adata.obsm["X_umap"] = rng.normal(size=(90, 2))
    path = tmp_path_factory.mktemp("source") / "in.h5ad"
    adata.write_h5ad(path)
    return path


def merge(source, target, *options):
    return recall("merge", source, "-o", target, "--groupby", "group", *options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_names_of_cells_as_pandas_3_has_them_are_kept(source, tmp_path):
    adata = ad.read_h5ad(source)
    adata.obs.index = adata.obs.index.astype("string")
    with ad.settings.override(allow_write_nullable_strings=True):
        adata.write_h5ad(tmp_path / "in.h5ad")
    run = merge(tmp_path / "in.h5ad", tmp_path / "out.h5ad")
    assert run.returncode == 0, run.stderr
    found = ad.read_h5ad(tmp_path / "out.h5ad")
    assert found.obs_names.tolist() == adata.obs_names.tolist()
    assert found.obs["group_merged"].notna().all()


def test_what_cannot_be_written_is_named_before_anything_is_computed(source, tmp_path):
    adata = ad.read_h5ad(source)
    adata.obs["plain"] = 1
    adata.write_h5ad(tmp_path / "in.h5ad")
    with h5py.File(tmp_path / "in.h5ad", "a") as file:
        file["obs"].move("plain", "a_index")
        file["obs"].attrs["column-order"] = ["group", "_index"]
    with patch("recall_py.tl.merge_clusters", side_effect=AssertionError("computed")):
        run = merge(tmp_path / "in.h5ad", tmp_path / "out.h5ad")
    assert run.returncode == 2
    assert "obs can be read, and cannot be written" in run.stderr
    assert names(tmp_path) == ["in.h5ad"]


def test_labels_are_rescued_where_the_result_cannot_be_written(source, tmp_path):
    with patch.object(commands, "write_result", side_effect=OSError(28, "No space left on device")):
        run = merge(source, tmp_path / "out.h5ad")
    assert run.returncode == 2
    assert "No space left on device" in run.stderr
    rescued = tmp_path / "out.group_merged.labels.csv"
    assert str(rescued) in run.stderr
    labels = pd.read_csv(rescued, index_col=0)
    assert labels.index.tolist() == ad.read_h5ad(source).obs_names.tolist()
    assert labels["group_merged"].notna().all()


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_names_of_files_need_not_be_utf_8(source, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.h5ad")
    path.write_bytes(source.read_bytes())
    page = tmp_path / "page.html"
    run = merge(path, tmp_path / "out.h5ad", "--report", page, "--json", tmp_path / "out.json", "-q")
    assert run.returncode == 0, run.stderr
    assert b"caf\xe9.h5ad" in page.read_bytes()


def test_pairs_are_rescued_where_a_test_cannot_be_written(source, tmp_path):
    with patch.object(check, "write_result", side_effect=OSError(28, "No space left on device")):
        run = recall("test", source, "-o", tmp_path / "out.h5ad", "--groupby", "group")
    assert run.returncode == 2
    assert "No space left on device" in run.stderr
    rescued = tmp_path / "out.recall_test.pairs.csv"
    assert str(rescued) in run.stderr
    assert len(pd.read_csv(rescued)) == 3
    assert names(tmp_path) == [rescued.name]


def test_input_that_is_replaced_during_the_run_is_noticed(source, tmp_path):
    path = tmp_path / "in.h5ad"
    path.write_bytes(source.read_bytes())
    apply = commands.Request.apply

    def replaced(*arguments, **options):
        (tmp_path / "new").write_bytes(source.read_bytes())
        os.replace(tmp_path / "new", path)
        return apply(*arguments, **options)

    with patch.object(commands.Request, "apply", replaced):
        run = recall("merge", path, "--in-place", "--groupby", "group")
    assert run.returncode == 2
    assert "was changed or replaced while it was read" in run.stderr
    assert path.read_bytes() == source.read_bytes()
    assert names(tmp_path) == ["in.group_merged.labels.csv", "in.h5ad"]


def test_second_command_over_the_same_file_is_refused(source, tmp_path):
    path = tmp_path / "in.h5ad"
    path.write_bytes(source.read_bytes())
    with commands.alone_with(path):
        run = recall("merge", path, "--in-place", "--groupby", "group")
    assert run.returncode == 2
    assert "Another recall-py is about to write over" in run.stderr
    assert recall("merge", path, "--in-place", "--groupby", "group").returncode == 0
    assert names(tmp_path) == ["in.h5ad"]


def test_half_written_files_are_nobody_elses_to_see_or_to_foresee(tmp_path):
    seen = []
    for _ in range(2):
        write_atomically(tmp_path / "out.txt", lambda partial: (seen.append(partial.parent), partial.write_text("x")))
        assert names(tmp_path) == ["out.txt"]
    first, second = seen
    assert first.parent == second.parent == tmp_path
    assert first != second
    write_atomically(
        tmp_path / "out.txt", lambda partial: partial.write_text(oct(partial.parent.stat().st_mode & 0o777))
    )
    assert (tmp_path / "out.txt").read_text() == "0o700"


STOPPED = """
import sys, time
from recall_py.cli import main
from recall_py.files import store

def stop(*_):
    print("writing", flush=True)
    time.sleep(3600)

writes = store._write
tried = lambda group: getattr(getattr(group, "file", None), "filename", "") == "tried.h5ad"
store._write = lambda group, *what: writes(group, *what) if tried(group) else stop()
sys.argv[1:] = ["merge", sys.argv[1], "--in-place", "--groupby", "group", "-q"]
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "suffix"),
    [
        (signal.SIGTERM, -15, ".h5ad"),
        (signal.SIGKILL, -9, ".h5ad"),
        (signal.SIGKILL, -9, ".zarr"),
        (signal.SIGINT, 130, ".zarr"),
    ],
)
def test_ended_command_leaves_the_input_and_nothing_else(number, code, suffix, source, tmp_path):
    path = tmp_path / f"in{suffix}"
    if suffix == ".h5ad":
        path.write_bytes(source.read_bytes())
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ad.read_h5ad(source).write_zarr(path)
    command = [sys.executable, "-W", "ignore", "-c", STOPPED, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=obey_interrupts)
    assert process.stdout.readline() == b"writing\n"
    process.send_signal(number)
    assert process.wait() == code
    process.stdout.close()
    until = time.monotonic() + 1200
    while names(tmp_path) != [path.name] and time.monotonic() < until:
        time.sleep(0.1)
    assert names(tmp_path) == [path.name]
    assert "group_merged" not in (ad.read_zarr if suffix == ".zarr" else ad.read_h5ad)(path).obs
