"""The report has no barrier that axe-core finds: for keyboards and screen readers, in light and dark."""

import html
import json
import re
import shutil
import subprocess
import warnings
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
import scanpy as sc

import recall_py
from recall_py import CalibrationWarning
from recall_py.report.page import report_page

pytest.importorskip("axe_core_python", reason="axe-core is not installed: pip install axe-core-python")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")

PROBE = """
const frame = document.querySelector("iframe");
frame.addEventListener("load", async () => {
  for (const body of frame.contentDocument.querySelectorAll("tbody"))
    while (body.rows.length > 12) body.deleteRow(-1);  // rows are alike, and axe looks at each
  const found = await frame.contentWindow.axe.run(frame.contentDocument);
  const told = found.violations.map(one => [one.id, one.help, one.nodes.slice(0, 3).map(node => node.html)]);
  document.body.dataset.found = JSON.stringify({ told, n_passes: found.passes.length });
});
"""


@pytest.fixture(scope="module")
def cells():
    """A clustering, merged labels and tests of labels; 100 labels with long names too."""
    adata = recall_py.datasets.pbmc68k()
    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.pca(adata)
    sc.pp.neighbors(adata)
    adata.obsm["X_umap"] = adata.obsm["X_pca"][:, :2].copy()
    group = np.random.default_rng(0).integers(0, 10, adata.n_obs)
    adata.obs["many"] = pd.Categorical(
        [f"{name}, a long name, part {i}" for name, i in zip(adata.obs["annotation"], group, strict=True)]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        recall_py.tl.leiden(adata, "auto")
        recall_py.tl.merge_clusters(adata, "annotation")
        recall_py.tl.test_clusters(adata, "many", key_added="many_tested")
        recall_py.tl.leiden(adata, 4, method="knockoffs", key_added="search")
    return adata


def barriers(page, folder, *, width, dark):
    """What axe finds in a page, in a frame of `width` pixels."""
    axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    axe = axe.replace("</script", "<\\/script")
    page = page.replace("</body>", f"<script>{axe}</script></body>")
    frame = f'<iframe title="page" width="{width}" height="900" srcdoc="{html.escape(page)}"></iframe>'
    (folder / "probe.html").write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><body>{frame}<script>{PROBE}</script>', encoding="utf-8"
    )
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=300000", "--timeout=300000",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--dump-dom", (folder / "probe.html").as_uri(),
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    said = re.search(r'data-found="([^"]*)"', run.stdout)
    assert said is not None, run.stderr
    return json.loads(html.unescape(said[1]))


@pytest.mark.parametrize(
    ("key", "width", "dark"),
    [("annotation_merged", 1100, False), ("search", 380, True), ("many_tested", 1100, True), ("leiden", 380, False)],
)
def test_report_has_no_barriers(cells, key, width, dark, tmp_path):
    page = report_page(cells, key, source="in.h5ad", target="out.h5ad")
    assert len(page) < 5e6
    found = barriers(page, tmp_path, width=width, dark=dark)
    assert found["told"] == []
    assert found["n_passes"] > 10


def test_barriers_would_be_found(cells, tmp_path):
    page = report_page(cells, "annotation_merged", source="in.h5ad", target="out.h5ad")
    page = re.sub(r'alt="[^"]*"', "", page).replace("--quiet: #57606a", "--quiet: #ddd")
    found = {name for name, *_ in barriers(page, tmp_path, width=1100, dark=False)["told"]}
    assert {"image-alt", "color-contrast"} <= found
