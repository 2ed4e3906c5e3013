"""An .h5mu file is clustered, merged and tested as a MuData in Python is, and written as .h5mu."""

import warnings
from pathlib import Path

import pytest
from command import recall

import recall_py

mudata = pytest.importorskip("mudata")
SOURCE = Path(__file__).parents[1] / "data" / "graphs" / "muon.h5mu"


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mudata.read_h5mu(path)


@pytest.fixture(scope="module")
def in_python():
    mdata = read(SOURCE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recall_py.tl.leiden(mdata, 2, modality="rna")
    return mdata


def test_cluster_gives_what_python_gives(in_python, tmp_path):
    words = ("--modality", "rna", "--resolution", 2, "--report", "page.html", "--json", "out.json")
    run = recall("cluster", SOURCE, "-o", "out.h5mu", *words, "--markers", "markers.csv", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    found = read(tmp_path / "out.h5mu")
    assert found.obs["leiden"].astype(str).tolist() == in_python.obs["leiden"].astype(str).tolist()
    assert list(found.mod) == ["rna", "other"]
    assert (found["rna"].X != in_python["rna"].X).sum() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["markers.csv", "out.h5mu", "out.json", "page.html"]
    for words in (("merge", "-o", "merged.h5mu"), ("test", "-o", "tested.h5mu"), ("test",)):
        line = (*words[1:], "--groupby", "leiden_start", "--modality", "rna")
        run = recall(words[0], "out.h5mu", *line, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
    assert "leiden_start_merged" in read(tmp_path / "merged.h5mu").obs
    told = recall("info", "merged.h5mu", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "rna (100 features), other (30 features)" in told.stdout
    assert "all 100" in told.stdout
    assert "leiden: " in told.stdout


def test_modality_is_asked_for_by_name(tmp_path):
    for words in ((), ("--modality", "protein")):
        run = recall("cluster", SOURCE, "-o", tmp_path / "out.h5mu", *words)
        assert run.returncode == 2
        assert "The file has rna, other: pass --modality rna" in run.stderr


def test_graph_of_the_mudata_is_asked_for_with_a_line_that_gives_one_modality(tmp_path, monkeypatch):
    mdata = read(SOURCE)
    del mdata.uns["neighbors"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata.write_h5mu(tmp_path / "in.h5mu")
    run = recall("cluster", tmp_path / "in.h5mu", "-o", tmp_path / "out.h5mu", "--modality", "rna")
    assert run.returncode == 2
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(run.stderr.partition("one modality: ")[2].strip(), {"mudata": mudata})
    assert recall("cluster", "rna.h5ad", "-o", "out.h5ad", "-q").returncode == 0


def test_what_is_written_is_an_h5mu_file_and_what_is_read_is_one(tmp_path):
    run = recall("cluster", SOURCE, "-o", tmp_path / "out.h5ad", "--modality", "rna")
    assert run.returncode == 2
    assert "out.h5mu" in run.stderr
    (tmp_path / "bad.h5mu").write_bytes(b"nothing")
    for words in (("info", "bad.h5mu"), ("cluster", "bad.h5mu", "-o", "out.h5mu", "--modality", "rna")):
        run = recall(*words, cwd=tmp_path)
        assert run.returncode == 2
        assert "bad.h5mu is not a readable .h5mu file" in run.stderr
