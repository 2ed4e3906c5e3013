"""Calibrated clustering from counts to labels, on the cells that ship with the package."""

import warnings

# Loaded here, before asv forks a process for each benchmark, rather than by each of them.
import scanpy
import umap  # noqa: F401

import recall_py
from recall_py import CalibrationWarning

METHODS = ("pairs", "knockoffs")


class Calibrate:
    """``tl.leiden`` on 300 PBMC."""

    timeout = 600

    params = METHODS
    param_names = ("method",)

    def setup(self, method):
        """Read, and make the graph."""
        self.adata = recall_py.datasets.pbmc68k()[:300].copy()
        self.adata.layers["counts"] = self.adata.X.copy()
        scanpy.pp.log1p(self.adata)
        scanpy.pp.neighbors(self.adata, use_rep="X")
        self.adata.uns["neighbors"]["params"]["use_rep"] = "X_pca"  # knockoffs take no other

    def time_leiden(self, method):
        """From a start that is too fine."""
        self._cluster(method)

    def peakmem_leiden(self, method):
        """From a start that is too fine."""
        self._cluster(method)

    def _cluster(self, method):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)
            recall_py.tl.leiden(self.adata, 2, flavor="igraph", n_iterations=2, method=method)
