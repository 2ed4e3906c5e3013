"""The report in a real browser: no error, tables sort, phone width, light and dark."""

import html
import json
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import recall_py
from recall_py import CalibrationWarning
from recall_py.report.page import write_report

PBMC = Path(__file__).parents[2] / "data" / "pbmc68k.h5ad"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"),
]

PROBE = """
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {
  const page = frame.contentDocument, found = {};
  const column = (table, i) => [...table.tBodies[0].rows].map(row => row.cells[i].textContent);
  found.width = frame.clientWidth;
  found.overflow = page.documentElement.scrollWidth - page.documentElement.clientWidth;
  found.ground = frame.contentWindow.getComputedStyle(page.body).backgroundColor;
  found.text = frame.contentWindow.getComputedStyle(page.body).color;
  found.pictures = [...page.images].map(image => image.complete && image.naturalWidth > 0);
  const table = page.querySelector("#table-pairs"), button = table.tHead.rows[0].cells[4].firstElementChild;
  found.before = column(table, 4);
  button.click();
  found.descending = column(table, 4);
  found.aria = table.tHead.rows[0].cells[4].getAttribute("aria-sort");
  button.click();
  found.ascending = column(table, 4);
  const markers = page.querySelector("#table-markers");
  markers.tHead.rows[0].cells[1].firstElementChild.click();
  found.genes = column(markers, 1);
  found.rows = markers.tBodies[0].rows.length;
  document.title = "done";
  document.body.dataset.found = JSON.stringify(found);
});
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    adata = ad.read_h5ad(PBMC)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        recall_py.tl.leiden(adata, 4, method="knockoffs")
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(adata.n_obs, 2))
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(adata, path)
    return path.read_text(encoding="utf-8")


def look(page, folder, *, width=1100, dark=False):
    """What a page shows in a frame of `width` pixels, and what the browser wrote to its console."""
    frame = f'<iframe width="{width}" height="900" style="border:0" srcdoc="{html.escape(page)}"></iframe>'
    (folder / "probe.html").write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">{frame}<script>{PROBE}</script>', encoding="utf-8"
    )
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=10000",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--dump-dom", (folder / "probe.html").as_uri(),
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    said = re.search(r'data-found="([^"]*)"', run.stdout)
    found = json.loads(html.unescape(said[1])) if said else None
    return found, [line for line in run.stderr.splitlines() if "CONSOLE" in line]


def luminance(colour):
    return sum(float(part) for part in re.findall(r"\d+", colour)[:3]) / 3


@pytest.mark.parametrize(("width", "dark"), [(1100, False), (375, True)])
def test_page_works_on_desktop_and_phone_in_light_and_dark(page, tmp_path, width, dark):
    found, console = look(page, tmp_path, width=width, dark=dark)
    assert console == []
    assert found["pictures"] == [True] * 6
    assert (found["width"], found["overflow"]) == (width, 0)
    assert (luminance(found["ground"]) < 60) == dark
    assert abs(luminance(found["ground"]) - luminance(found["text"])) > 150
    numbers = [int(text) for text in found["before"]]
    assert [int(text) for text in found["descending"]] == sorted(numbers, reverse=True) != sorted(numbers)
    assert [int(text) for text in found["ascending"]] == sorted(numbers)
    assert found["aria"] == "descending"
    folded = [gene.lower() for gene in found["genes"]]
    assert len(folded) == found["rows"] > 50
    assert folded[0] > folded[-1]


def test_errors_on_the_page_would_be_seen(page, tmp_path):
    broken = page.replace('"use strict";', '"use strict"; undefinedFunction();')
    _, console = look(broken, tmp_path)
    assert any("undefinedFunction" in line for line in console)


def test_network_would_be_refused(page, tmp_path):
    reaching = page.replace("<main>", '<main><img src="https://example.org/x.png">')
    _, console = look(reaching, tmp_path)
    assert any("Content Security Policy" in line for line in console)
