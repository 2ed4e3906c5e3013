"""What an editor sees: a user's script with wrong and right calls, by mypy --strict."""

import subprocess
import sys

import pytest

pytest.importorskip("mypy", reason="mypy is not installed: pip install 'recall-py[lint]'")

SCRIPT = """
import anndata as ad
import pandas as pd

import recall_py
from recall_py import CalibrationWarning

adata: ad.AnnData = recall_py.datasets.simulate(200, 100, group_shares=(0.5, 0.5))
recall_py.tl.leiden(adata, "auto", batch_key="batch")
recall_py.tl.merge_clusters(adata, "group", all_pairs=True)
merges: pd.DataFrame = recall_py.get.merges(adata, "group_merged")
text: str = recall_py.get.methods_text(adata)
version: str = recall_py.__version__
warning: type[UserWarning] = CalibrationWarning
"""
WRONG = """
import recall_py

adata = recall_py.datasets.pbmc68k()
recall_py.tl.leiden(adata, "automatic")
recall_py.tl.leiden(adata, batchkey=3, method="other")
number: int = recall_py.get.methods_text(adata)
"""


CONFIG = """
[mypy]
strict = true
follow_imports = silent
[mypy-anndata.*,dask.*,h5py.*,igraph.*,matplotlib.*,numba.*,numpy.*,pandas.*,scanpy.*,scipy.*,sklearn.*,typer.*]
follow_imports = skip
ignore_missing_imports = true
[mypy-mudata.*,rpy2.*,leidenalg.*,pynndescent.*,skmisc.*,threadpoolctl.*,distributed.*,zarr.*,natsort.*,rich.*]
follow_imports = skip
ignore_missing_imports = true
"""
"""What other packages say of themselves is not read, which would take a minute."""


def test_users_script_is_typed(tmp_path):
    (tmp_path / "mypy.ini").write_text(CONFIG)
    (tmp_path / "right.py").write_text(SCRIPT)
    (tmp_path / "wrong.py").write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--config-file=mypy.ini", "--cache-dir=cache", "right.py", "wrong.py"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert "right.py" not in said, said
    assert 'wrong.py:5: error: Argument 2 to "leiden"' in said
    assert 'Argument "method" to "leiden"' in said
    assert "wrong.py:7: error: Incompatible types" in said
