"""The command line, as a user starts it."""

import json
import os
import shlex
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from command import recall

import recall_py
from recall_py.adata.stored import read_merging
from recall_py.report.merging_command import repeat

PBMC = Path(__file__).parents[2] / "data" / "pbmc68k.h5ad"


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """The cells with coordinates to plot, so that no command computes them."""
    adata = ad.read_h5ad(PBMC)
    adata.obsm["X_umap"] = np.zeros((adata.n_obs, 2))
    path = tmp_path_factory.mktemp("embedded") / "pbmc.h5ad"
    adata.write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    run = recall(
        *("cluster", PBMC, "-o", folder / "out.h5ad", "--resolution", 2, "--seed", 1, "--json", folder / "out.json"),
        *("--markers", folder / "markers.csv", "--merges", folder / "merges.csv"),
    )
    return run, folder


def test_cluster_makes_a_graph_where_there_is_none_and_writes_a_file_ready_to_plot(labelled):
    run, folder = labelled
    assert run.returncode == 0, run.stderr
    (made,) = [line for line in run.stdout.splitlines() if line.startswith("the file has no neighbour graph")]
    assert "765 genes (all genes), totals to 10,000, log1p, 50 components, 15 neighbours" in made
    assert "layers['log_normalised'], obsm['X_pca'], obsm['X_umap']" in made
    adata = ad.read_h5ad(folder / "out.h5ad")
    assert {"X_pca", "X_umap"} <= set(adata.obsm)
    assert "log_normalised" in adata.layers
    assert "connectivities" in adata.obsp
    assert adata.uns["neighbors"]["params"]["n_neighbors"] == 15
    assert {"leiden", "leiden_start"} <= set(adata.obs)
    assert (adata.X != ad.read_h5ad(PBMC).X).nnz == 0
    assert sorted(path.name for path in folder.iterdir()) == ["markers.csv", "merges.csv", "out.h5ad", "out.json"]


def test_command_makes_the_graph_that_scanpy_makes_by_the_same_steps(labelled):
    adata = ad.read_h5ad(PBMC)
    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=50, random_state=1)
    sc.pp.neighbors(adata, n_neighbors=15, random_state=1)
    recall_py.tl.leiden(adata, 2, random_state=1, flavor="igraph", n_iterations=2)
    found = ad.read_h5ad(labelled[1] / "out.h5ad")
    assert found.obs["leiden_start"].tolist() == adata.obs["leiden_start"].tolist()
    assert found.obs["leiden"].tolist() == adata.obs["leiden"].tolist()
    pd.testing.assert_frame_equal(recall_py.get.merges(found), recall_py.get.merges(adata))


def test_resolution_may_be_auto(labelled, tmp_path):
    run = recall("cluster", labelled[1] / "out.h5ad", "-o", tmp_path / "auto.h5ad", "--resolution", "auto", "--quiet")
    assert run.returncode == 0, run.stderr
    adata = ad.read_h5ad(labelled[1] / "out.h5ad")
    recall_py.tl.leiden(adata, "auto")
    assert ad.read_h5ad(tmp_path / "auto.h5ad").obs["leiden"].equals(adata.obs["leiden"])
    refused = recall("cluster", PBMC, "-o", tmp_path / "x.h5ad", "--resolution", "high")
    assert "--resolution is 'high'; pass a number, or auto." in refused.stderr


def test_command_and_library_give_the_same_answer_on_the_graph_in_the_file(labelled, tmp_path):
    found = ad.read_h5ad(labelled[1] / "out.h5ad")
    adata = found.copy()
    recall_py.tl.leiden(adata, 2, random_state=1, flavor="igraph", n_iterations=2)
    for table in (recall_py.get.merges, recall_py.get.pairs, recall_py.get.clusters):
        pd.testing.assert_frame_equal(table(found), table(adata))
    options = ("--resolution", 2, "--seed", 1, "--flavor", "igraph", "--n-iterations", 2)
    run = recall("cluster", labelled[1] / "out.h5ad", "-o", tmp_path / "again.h5ad", *options)
    assert "the neighbour graph of the file is used" in run.stdout
    again = ad.read_h5ad(tmp_path / "again.h5ad")
    assert again.obs["leiden"].equals(found.obs["leiden"])


def test_command_that_the_report_names_gives_the_same_answer(labelled, tmp_path):
    found = ad.read_h5ad(labelled[1] / "out.h5ad")
    command = shlex.split(repeat(read_merging(found, "leiden"), str(PBMC), str(tmp_path / "again.h5ad")))
    assert command[:3] == ["recall-py", "cluster", str(PBMC)]
    assert recall(*command[1:], "--quiet").returncode == 0
    again = ad.read_h5ad(tmp_path / "again.h5ad")
    for column in ("leiden", "leiden_start"):
        assert again.obs[column].equals(found.obs[column])


def test_cluster_takes_a_graph_of_anything_and_makes_no_picture_beside_it(labelled, tmp_path):
    adata = ad.read_h5ad(labelled[1] / "out.h5ad")
    del adata.obsm["X_umap"], adata.obsm["X_pca"]
    adata.uns["neighbors"]["params"]["use_rep"] = "X_pca_harmony"
    adata.write_h5ad(tmp_path / "in.h5ad")
    options = ("--resolution", 2, "--seed", 1, "--flavor", "igraph", "--n-iterations", 2, "--quiet")
    run = recall("cluster", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad", *options)
    assert run.returncode == 0, run.stderr
    found = ad.read_h5ad(tmp_path / "out.h5ad")
    assert found.obs["leiden"].equals(adata.obs["leiden"])
    assert not len(found.obsm)
    recorded = adata.copy()
    del recorded.uns["neighbors"]
    recorded.write_h5ad(tmp_path / "in.h5ad")
    run = recall("cluster", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad", *options)
    assert run.returncode == 2
    assert "obsp has distances, connectivities: name it, --obsp ..." in run.stderr or "name it" in run.stderr


def test_json_summary_says_what_was_found(labelled):
    summary = json.loads((labelled[1] / "out.json").read_text())
    adata = ad.read_h5ad(labelled[1] / "out.h5ad")
    sizes = adata.obs["leiden"].value_counts().to_dict()
    assert {row["cluster"]: row["n_cells"] for row in summary["clusters"]} == sizes
    assert len(summary["start_clusters"]) == len(sizes) + len(summary["merges"])
    assert summary["params"]["seed"] == 1
    assert summary["clustering"]["flavor"] == "igraph"
    assert all(pair["passes"] for pair in summary["pairs"])


def test_plain_lines_are_printed_where_there_is_no_terminal(labelled):
    run = labelled[0]
    assert "pairs of clusters with null cells" in run.stderr
    assert "times the lead that is needed, threshold 1" in run.stderr
    assert "\x1b" not in run.stdout + run.stderr
    assert "at the start, " in run.stdout


def test_genes_may_come_from_a_file(labelled, tmp_path):
    (tmp_path / "genes.txt").write_text("CD79A\nMS4A1\n\nCD3D\nLYZ\n")
    arguments = ("--groupby", "leiden_start", "--genes", tmp_path / "genes.txt", "--quiet")
    run = recall("merge", labelled[1] / "out.h5ad", "-o", tmp_path / "merged.h5ad", *arguments)
    assert run.returncode == 0, run.stderr
    adata = ad.read_h5ad(tmp_path / "merged.h5ad")
    assert set(adata.uns["leiden_start_merged"]["recall"]["genes"]) == {"CD79A", "MS4A1", "CD3D", "LYZ"}
    assert "leiden_start_merged" in adata.obs


@pytest.mark.parametrize(
    ("command", "option", "said"),
    [
        ("cluster", "--preset", "leave it out"),
        ("cluster", "--null-method", "recall-py recall ... --null-method"),
        ("cluster", "--strategy", "recall-py recall ... --strategy"),
        ("test", "--pair-test", "leave it out"),
        ("test", "--fdr", "leave it out"),
    ],
)
def test_old_options_say_where_they_went(command, option, said, tmp_path):
    run = recall(command, PBMC, option, "x")
    assert run.returncode == 2
    assert said in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cluster", "absent.h5ad", "-o", "x.h5ad"], "absent.h5ad does not exist"),
        (["cluster", "broken.h5ad", "-o", "x.h5ad"], "not a readable .h5ad file"),
        (["cluster", PBMC], "Pass -o OUT, or --in-place"),
        (["cluster", PBMC, "-o", PBMC], "is the input file itself"),
        (["cluster", PBMC, "-o", "absent/x.h5ad"], "The folder absent does not exist. Make it: mkdir -p absent"),
        (["cluster", PBMC, "-o", "."], "is a folder"),
        (["recall", PBMC, "-o", "x.h5ad", "--null-method", "Weibull"], "Available: ZIP, NB"),
        (["cluster", PBMC, "-o", "x.h5ad", "--algorithm", "dbscan"], "Available: leiden, louvain."),
        (["recall", PBMC, "-o", "x.h5ad", "--algorithm", "dbscan"], "Available: leiden, louvain, kmeans, ward"),
        (["cluster", PBMC, "-o", "x.h5ad", "--genes", "absent.txt"], "--genes is absent.txt, which is no file"),
        (["cluster", PBMC, "-o", "x.h5ad", "--obsp", "wnn"], "obsp['wnn'] does not exist"),
        (
            ["cluster", PBMC, "-o", "x.h5ad", "--method", "magic"],
            "Unknown --method 'magic'. Available: pairs",
        ),
        (["cluster", PBMC, "-o", "x.h5ad", "--n-orders", "3"], "--n-orders means nothing to --algorithm leiden"),
        (
            ["cluster", PBMC, "-o", "x.h5ad", "--algorithm", "louvain", "--n-iterations", "3"],
            "--n-iterations means nothing to --algorithm louvain",
        ),
        (["merge", PBMC, "-o", "x.h5ad", "--groupby", "type"], "Columns of obs: annotation"),
        (["cluster", PBMC, "-o", "x.h5ad", "--restrict-to", "annotation"], "a column and its labels"),
        (["cluster", PBMC, "-o", "x.h5ad", "--layer", "raw"], "Layers of adata: none"),
        (["cluster", PBMC, "-o", "x.h5ad", "--no-such-option"], "--no-such-option"),
        (["clusterr", PBMC], "No such command 'clusterr'."),
        (
            ["cluster", PBMC, "-o", "x.h5ad", "--json", "absent/x.json"],
            "The folder absent does not exist. Make it: mkdir -p absent",
        ),
        (["recall", PBMC, "-o", "x.h5ad", "--algorithm", "ward", "--graph", "snn"], "--graph means nothing"),
        (["cluster", PBMC, "-o", "x.h5ad", "--partition-type", "Best"], "Available: CPMVertexPartition"),
        (["cluster", "cut.h5ad", "-o", "x.h5ad"], "It may be cut off or of another format: copy or download it again"),
        (["cluster", ".", "-o", "x.h5ad"], ". is a folder; the path of an .h5ad file or a .zarr store is"),
        (["recall", PBMC, "-o", "x.h5ad", "--n-draws", "0"], "error: --n-draws is 0; a whole number from 1 on"),
        (
            ["recall", PBMC, "-o", "x.h5ad", "--n-draws", "two"],
            "parse string as an integer. See recall-py recall --help",
        ),
        (["recall", PBMC, "-o", "x.h5ad", "--min-auc", "2"], "error: --min-auc is 2.0; it must be from 0.5"),
        (
            ["cluster", PBMC, "-o", "x.h5ad", "--batch-key", "donor"],
            "obs['donor'] does not exist. Columns of obs: anno",
        ),
        (["cluster", PBMC, "-o", "x.h5ad", "--resolution=-1"], "error: --resolution is -1.0; a finite number from 0"),
        (["cluster", PBMC, "-o", "x.h5ad", "--alpha", "2"], "error: --alpha is 2.0; a share between 0 and 1"),
        (["cluster", PBMC, "-o", "x.h5ad", "--flavor", "best"], "Unknown --flavor 'best'. Available: leidenalg"),
        (["test", PBMC], "Missing option '--groupby'. See recall-py test --help.\n"),
        (["recall", PBMC, "-o", "x.h5ad", "--dims", "0"], "error: --dims is 0; a number of components from 2 on"),
        (["recall", PBMC, "-o", "x.h5ad", "--dims", "5000"], "Pass fewer: --dims 350."),
        (["cluster", PBMC, "-o", "x.h5ad", "--restrict-to", "annotation:"], "a column and its labels"),
        (["cluster", PBMC, "-o", "x.h5ad", "--algorithm", "louvain", "--n-orders", "0"], "error: --n-orders is 0"),
        (["knockoffs", PBMC], "Pass -o OUT.\n"),
        (["test", PBMC, "--groupby", "type", "--external"], "Columns of obs: annotation"),
        (["knockoffs", PBMC, "-o", PBMC], "is the input file itself"),
        (["cluster", PBMC, "-o", "x.csv"], "x.csv is to be an .h5ad file. Name it so: x.h5ad."),
        (["cluster", PBMC, "-o", "x.h5ad", "--report", "x.pdf"], "x.pdf is to be an .html file. Name it so: x.html."),
    ],
)
def test_bad_arguments_give_one_line_and_exit_code_2(arguments, message, tmp_path):
    (tmp_path / "broken.h5ad").write_text("not an h5ad file")
    (tmp_path / "cut.h5ad").write_bytes(PBMC.read_bytes()[:1000])
    run = recall(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert message in run.stderr
    assert run.stderr.count("\n") == 1, run.stderr
    assert run.stdout == ""
    assert "?." not in run.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.h5ad", "cut.h5ad"]


def test_warnings_name_options_too(embedded, tmp_path):
    arguments = ("--resolution", 4, "--max-iterations", 1, "--quiet")
    run = recall("recall", embedded, "-o", tmp_path / "out.h5ad", *arguments)
    assert run.returncode == 0, run.stderr
    assert "warning: NOT CALIBRATED" in run.stderr
    assert "Raise --max-iterations, or pass --strategy merge." in run.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--version"], 0, f"recall-py {recall_py.__version__}"),
        (["cluster", "absent.h5ad", "-o", "x.h5ad"], 2, "error: absent.h5ad does not exist"),
        (["cluster", "absent.h5ad", "-o", "x.h5ad", "--debug"], 2, "Traceback"),
    ],
)
def test_process_ends_with_the_code_of_its_command(arguments, code, said, tmp_path):
    command = [sys.executable, "-c", "from recall_py.cli import main; main()", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert (done.stderr if code else done.stdout).startswith(said)


def test_error_of_the_program_has_a_code_of_its_own(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("recall_py.cli.commands.knockoffs_command.knockoffs_file", fail)
    run = recall("knockoffs", PBMC, "-o", tmp_path / "out.h5ad")
    assert run.returncode == 1
    assert run.stderr == "internal error: ZeroDivisionError: by zero (--debug)\n"


def test_test_command_says_what_is_not_supported(labelled, tmp_path):
    arguments = ("--groupby", "leiden_start", "--json", tmp_path / "pairs.json", "-o", tmp_path / "tested.h5ad")
    run = recall("test", labelled[1] / "out.h5ad", *arguments, "--seed", 1)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "pairs.json").read_text())
    failing = [cluster for cluster in found["clusters"] if cluster["merge_with"]]
    assert failing
    for cluster in failing:
        said = f"{cluster['cluster']} is not supported: it would be merged with {cluster['merge_with']}\n"
        assert said in run.stdout
    expected = ad.read_h5ad(labelled[1] / "out.h5ad")
    recall_py.tl.test_clusters(expected, "leiden_start", random_state=1)
    tested = ad.read_h5ad(tmp_path / "tested.h5ad")
    pairs = recall_py.get.pairs(tested, "recall_test")
    assert pairs.equals(recall_py.get.pairs(expected, "recall_test"))
    assert len(pairs) == len(found["pairs"])


def test_second_opinion_by_count_splitting_is_written_and_reports_itself(labelled, tmp_path):
    out, page = tmp_path / "tested.h5ad", tmp_path / "report.html"
    arguments = ("--groupby", "leiden", "--method", "countsplit", "-o", out, "--report", page)
    recall("test", labelled[1] / "out.h5ad", *arguments)
    expected = ad.read_h5ad(labelled[1] / "out.h5ad")
    with pytest.warns(recall_py.CalibrationWarning, match=r"\d of \d+ labels have no cluster of their own"):
        recall_py.tl.test_clusters(expected, "leiden", method="countsplit")
    tested = ad.read_h5ad(out)
    assert recall_py.get.pairs(tested, "recall_test").equals(recall_py.get.pairs(expected, "recall_test"))
    assert tested.obs["recall_test_again"].equals(expected.obs["recall_test_again"])
    assert "--groupby leiden --method countsplit" in page.read_text()


def test_knockoffs_command_writes_both_halves(tmp_path):
    run = recall("knockoffs", PBMC, "-o", tmp_path / "augmented.h5ad", "--null-method", "NB", "--seed", 3)
    assert run.returncode == 0, run.stderr
    augmented = ad.read_h5ad(tmp_path / "augmented.h5ad")
    expected = recall_py.pp.knockoffs(ad.read_h5ad(PBMC), null_method="NB", random_state=3)
    assert (augmented.X != expected.X).nnz == 0
    assert augmented.var["knockoff"].sum() == 765


def test_demo_writes_file_and_picture(tmp_path):
    run = recall("demo", PBMC, "-o", tmp_path / "demo")
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "demo" / "pbmc68k_umap.png").stat().st_size > 20_000
    assert "strongest markers" in run.stdout
    adata = ad.read_h5ad(tmp_path / "demo" / "pbmc68k_labelled.h5ad")
    merges = recall_py.get.merges(adata)
    assert len(merges)
    for reason in merges["reason"]:
        assert f"merged: {reason}\n" in run.stdout
    assert {"leiden", "leiden_start"} <= set(ad.read_h5ad(tmp_path / "demo" / "pbmc68k_labelled.h5ad").obs)


def test_in_place_overwrites_the_input(embedded, tmp_path):
    path = tmp_path / "pbmc.h5ad"
    path.write_bytes(embedded.read_bytes())
    kmeans = ("--algorithm", "kmeans", "--num-clusters-start", 12, "--key-added", "kmeans", "--quiet")
    run = recall("recall", path, "--in-place", *kmeans)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert "kmeans" in ad.read_h5ad(path).obs


def test_labels_that_recall_did_not_write_are_not_replaced(embedded, tmp_path):
    path, kmeans = tmp_path / "in.h5ad", ("--algorithm", "kmeans", "--num-clusters-start", 8, "--quiet")
    path.write_bytes(embedded.read_bytes())
    for command in ("cluster", "recall"):
        run = recall(command, path, "--in-place", "--key-added", "annotation", "--quiet")
    assert run.returncode == 2
    assert "obs['annotation'] is there already" in run.stderr
    assert "--key-added annotation_recall" in run.stderr
    assert path.read_bytes() == embedded.read_bytes()
    for _ in range(2):  # its own result may be replaced
        assert recall("recall", path, "--in-place", *kmeans).returncode == 0
    adata = ad.read_h5ad(path)
    adata.obs["recall_clusters"] = adata.obs["recall_clusters"].cat.rename_categories({"0": "T cells"})
    adata.write_h5ad(path)
    run = recall("recall", path, "--in-place", *kmeans)
    assert run.returncode == 2
    assert "changed since" in run.stderr
    assert "T cells" in ad.read_h5ad(path).obs["recall_clusters"].cat.categories


HALF_WRITTEN = """
import sys, time
from pathlib import Path
from recall_py.files.atomic import write_atomically

def write(partial):
    partial.write_text("half")
    print("writing", flush=True)
    time.sleep(3600)

write_atomically(Path(sys.argv[1]), write)
"""


@pytest.mark.parametrize("existing", [None, "old"])
def test_kill_while_writing_leaves_the_output_absent_or_as_it_was(tmp_path, existing):
    path = tmp_path / "out.h5ad"
    if existing:
        path.write_text(existing)
    process = subprocess.Popen([sys.executable, "-c", HALF_WRITTEN, str(path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert (path.read_text() if path.exists() else None) == existing
    visible = [found.name for found in tmp_path.iterdir() if not found.name.startswith(".")]
    assert visible == (["out.h5ad"] if existing else [])


def test_link_is_followed_and_mode_is_kept(tmp_path):
    from recall_py.files.atomic import write_atomically

    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_atomically(link, lambda partial: partial.write_text("new"))
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_restricted_run_reports_itself_not_the_run_before(labelled, tmp_path):
    run = recall(
        *("cluster", labelled[1] / "out.h5ad", "-o", tmp_path / "r.h5ad", "--restrict-to", "leiden:0,1"),
        *("--flavor", "igraph", "--json", tmp_path / "r.json"),
    )
    assert run.returncode == 0, run.stderr
    summary = json.loads((tmp_path / "r.json").read_text())
    adata = ad.read_h5ad(tmp_path / "r.h5ad")
    assert summary["key"] == "leiden_R"
    among = adata.obs["leiden"].isin(["0", "1"])
    assert {row["cluster"] for row in summary["clusters"]} == set(adata.obs.loc[among, "leiden_R"])


def test_write_that_fails_leaves_the_old_file(tmp_path):
    from recall_py.files.atomic import write_atomically

    path = tmp_path / "kept.txt"
    path.write_text("old")

    def fail(partial):
        partial.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["kept.txt"]


def test_version_is_printed():
    run = recall("--version")
    first, others = run.stdout.strip().splitlines()
    assert first == f"recall-py {recall_py.__version__}"
    assert f"scanpy {version('scanpy')}, anndata {version('anndata')}, numpy {np.__version__}" in others
    assert np.all([part.isdigit() for part in recall_py.__version__.split(".")])


def test_empty_cells_can_be_dropped_and_json_goes_to_standard_output(embedded, tmp_path):
    adata = ad.read_h5ad(embedded)
    counts = adata.X.toarray()
    counts[3] = 0
    adata.X = counts
    adata.write_h5ad(tmp_path / "in.h5ad")
    arguments = ("recall", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad", "--algorithm", "kmeans", "--quiet")
    kept = recall(*arguments)
    assert kept.returncode == 0, kept.stderr
    assert "1 cells have no counts in the 765 genes that take part" in kept.stderr
    assert np.flatnonzero(ad.read_h5ad(tmp_path / "out.h5ad").obs["recall_clusters"].isna()).tolist() == [3]
    run = recall(*arguments, "--drop-empty-cells", "--json", "-")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["n_cells"] == 699
    assert ad.read_h5ad(tmp_path / "out.h5ad").n_obs == 699


def test_stores_go_in_and_out_and_are_never_written_into(embedded, tmp_path):
    adata = ad.read_h5ad(embedded)
    adata.write_h5ad(tmp_path / "in.h5ad")
    options = ("--algorithm", "kmeans", "--num-clusters-start", 12, "--key-added", "kmeans", "--quiet")
    for source, target in (("in.h5ad", "a.zarr"), ("a.zarr", "b.zarr"), ("b.zarr", "c.h5ad")):
        run = recall("recall", source, "-o", target, *options, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
    recall_py.tl.recall(adata, algorithm="kmeans", num_clusters_start=12, key_added="kmeans")
    assert ad.read_h5ad(tmp_path / "c.h5ad").obs["kmeans"].tolist() == adata.obs["kmeans"].tolist()
    told = recall("info", "b.zarr", cwd=tmp_path)
    assert "X: raw integer counts (csr, float32)" in told.stdout
    assert "kmeans: " in told.stdout
    for target, message in (
        ("a.zarr/x.h5ad", "-o a.zarr/x.h5ad lies in the input a.zarr. Pass a name outside it."),
        ("a.zarr", "is the input file itself. Pass another name, or --in-place to overwrite it"),
        ("taken.zarr", "taken.zarr is a file, and a .zarr store is a folder"),
        ("mine.zarr", "mine.zarr is a folder; a file name is needed"),
    ):
        (tmp_path / "taken.zarr").touch()
        (tmp_path / "mine.zarr").mkdir(exist_ok=True)
        run = recall("recall", "a.zarr", "-o", target, *options, cwd=tmp_path)
        assert run.returncode == 2
        assert message in run.stderr
