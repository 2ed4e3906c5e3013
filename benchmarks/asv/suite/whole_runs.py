"""Calibrated clustering from counts to labels, on the cells that ship with the package."""

import warnings

# Loaded here, before asv forks a process for each benchmark, rather than by each of them.
import scanpy  # noqa: F401
import umap  # noqa: F401

import recall_py
from recall_py import CalibrationWarning

SETTINGS = {
    "resolution": {"strategy": "resolution"},
    "calibrated": {"preset": "calibrated"},
}


class Calibrate:
    """``tl.leiden`` on 300 PBMC."""

    timeout = 600

    params = tuple(SETTINGS)
    param_names = ("setting",)

    def setup(self, setting):
        """Read."""
        self.adata = recall_py.datasets.pbmc68k()[:300].copy()

    def time_leiden(self, setting):
        """From a start that is too fine."""
        self._cluster(setting)

    def peakmem_leiden(self, setting):
        """From a start that is too fine."""
        self._cluster(setting)

    def _cluster(self, setting):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)
            recall_py.tl.leiden(self.adata, 2, flavor="igraph", n_iterations=2, **SETTINGS[setting])
