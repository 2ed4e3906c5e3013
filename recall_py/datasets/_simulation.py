"""Simulated counts and what is known about them, as plain tables; :func:`recall_py.datasets.simulate` says how."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.params import one_of

_LOG_SHARE_SD = 1.5
_STREAMS = (
    "share",
    "role",
    "marker",
    "loading",
    "activity",
    "phase",
    "group",
    "batch",
    "shift",
    "place",
    "depth",
    "count",
)
"""What is drawn, each from its own spawned generator. New names go to the end: the order decides the numbers."""
_BLOCK = 256
"""Cells drawn together. Each block has its own generator, so this number decides the counts."""
_LARGEST_DEPTH = 2**23
"""float32 holds whole numbers up to 2^24 exactly."""

Streams = dict[str, np.random.SeedSequence]


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """The arguments of :func:`recall_py.datasets.simulate`, checked."""

    n_cells: int
    n_genes: int
    group_shares: NDArray[np.float64]
    n_markers: int
    log2_fold_change: float
    mean_depth: float
    depth_spread: float
    dispersion: float
    n_modules: int
    module_genes: int
    module_sd: float
    gradient: str | None
    gradient_genes: int
    gradient_strength: float
    depth_gradient: float
    n_batches: int
    batch_sd: float
    random_state: int

    def __post_init__(self) -> None:
        for name in ("n_cells", "n_genes", "module_genes", "gradient_genes", "n_batches"):
            _whole(name, getattr(self, name), least=1)
        for name in ("n_markers", "n_modules"):
            _whole(name, getattr(self, name), least=0)
        for name in ("log2_fold_change", "depth_spread", "dispersion", "module_sd", "gradient_strength", "batch_sd"):
            if not (math.isfinite(value := getattr(self, name)) and value >= 0):
                msg = f"{name} is {value}; a number from 0 on is needed."
                raise ValueError(msg)
        if not (math.isfinite(self.mean_depth) and self.mean_depth > 0):
            msg = f"mean_depth is {self.mean_depth}; a number above 0 is needed."
            raise ValueError(msg)
        if not math.isfinite(self.depth_gradient):
            msg = f"depth_gradient is {self.depth_gradient}; a finite number is needed, 0 for none."
            raise ValueError(msg)
        if self.gradient is not None:
            one_of("gradient", self.gradient, ("line", "circle"))
        self._check_shares()
        self._check_roles()

    def _check_shares(self) -> None:
        shares = self.group_shares
        if shares.ndim != 1 or not shares.size or not (shares > 0).all():
            msg = f"group_shares is {shares.tolist()}; a list of numbers above 0 is needed, one for each group."
            raise ValueError(msg)
        if abs(shares.sum() - 1) > 1e-6:
            scaled = ", ".join(f"{share:.4g}" for share in shares / shares.sum())
            msg = f"group_shares sum to {shares.sum():.6g}; they must sum to 1. In the same proportions: {scaled}."
            raise ValueError(msg)

    def _check_roles(self) -> None:
        gradient, modules, markers = self.roles
        if (needed := gradient + modules + markers) > self.n_genes:
            msg = (
                f"{gradient} gradient genes, {modules} module genes and {markers} markers are {needed} genes, and a "
                f"gene has one role at most, but n_genes is {self.n_genes}. Raise n_genes to {needed} or more."
            )
            raise ValueError(msg)

    @property
    def groups(self) -> list[str]:
        """Names of the groups."""
        return [f"group{k}" for k in range(self.group_shares.size)]

    @property
    def batches(self) -> list[str]:
        """Names of the batches."""
        return [f"batch{k}" for k in range(self.n_batches)]

    @property
    def roles(self) -> tuple[int, int, int]:
        """Number of gradient genes, of module genes and of markers, each over all."""
        return (
            self.gradient_genes if self.gradient else 0,
            self.n_modules * self.module_genes,
            len(self.groups) * self.n_markers if len(self.groups) > 1 else 0,
        )


def draw(asked: Simulation) -> tuple[sparse.csr_matrix, pd.DataFrame, pd.DataFrame]:
    """Counts (n_cells, n_genes), ``obs`` and ``var``."""
    streams = dict(zip(_STREAMS, np.random.SeedSequence(asked.random_state).spawn(len(_STREAMS)), strict=True))
    obs, var = _draw_cells(asked, streams), _draw_genes(asked, streams)
    return _draw_counts(asked, obs, var, streams), obs, var


def _whole(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        msg = f"{name} is {value!r}; a whole number from {least} on is needed."
        raise ValueError(msg)


def _draw_cells(asked: Simulation, streams: Streams) -> pd.DataFrame:
    """``obs``: group, batch, position and depth of each cell."""
    n = asked.n_cells
    position = np.full(n, np.nan)
    log_depth = math.log(asked.mean_depth) - asked.depth_spread**2 / 2 + np.zeros(n)
    log_depth += asked.depth_spread * np.random.default_rng(streams["depth"]).normal(size=n)
    if asked.gradient or asked.depth_gradient:
        position = np.random.default_rng(streams["place"]).random(n)
    if growth := asked.depth_gradient:
        # Less the log of the mean of exp(growth * position), written so that nothing overflows.
        log_depth += growth * position - max(growth, 0.0) - math.log(-math.expm1(-abs(growth)) / abs(growth))
    if log_depth.max() > math.log(_LARGEST_DEPTH):
        msg = (
            f"A cell would have e^{log_depth.max():.3g} counts, and {_LARGEST_DEPTH:,} is the most. Lower mean_depth "
            f"(now {asked.mean_depth:g}), depth_spread ({asked.depth_spread:g}) or depth_gradient "
            f"({asked.depth_gradient:g})."
        )
        raise ValueError(msg)
    group = _shuffled(asked.group_shares, n, asked.groups, streams["group"])
    batch = _shuffled(np.full(asked.n_batches, 1 / asked.n_batches), n, asked.batches, streams["batch"])
    columns = {"group": group, "batch": batch, "position": position, "depth": np.exp(log_depth)}
    return pd.DataFrame(columns, index=pd.Index([f"cell{i}" for i in range(n)], dtype=object))


def _shuffled(
    shares: NDArray[np.float64], n_cells: int, names: list[str], stream: np.random.SeedSequence
) -> pd.Categorical:
    """One of `names` for each cell in random order; sizes by largest remainder."""
    quotas = shares / shares.sum() * n_cells
    sizes = np.floor(quotas).astype(int)
    sizes[np.argsort(sizes - quotas, kind="stable")[: n_cells - sizes.sum()]] += 1
    if not sizes.all():
        k = int(np.argmin(sizes))
        msg = f"{names[k]} would have no cell: its share is {shares[k]:.3g} of {n_cells}. Raise n_cells or its share."
        raise ValueError(msg)
    codes = np.random.default_rng(stream).permutation(np.repeat(np.arange(sizes.size), sizes))
    return pd.Categorical.from_codes(codes.tolist(), categories=pd.Index(names, dtype=object))


def _draw_genes(asked: Simulation, streams: Streams) -> pd.DataFrame:
    """``var``: share of each gene, and what it takes part in."""
    n = asked.n_genes
    names = pd.Index([f"gene{j}" for j in range(n)], dtype=object)
    base = np.exp(_LOG_SHARE_SD * np.random.default_rng(streams["share"]).normal(size=n))
    marker_of, module = np.full(n, "", dtype=object), np.full(n, "", dtype=object)
    fold, loading, slope = np.zeros((3, n))
    phase = np.full(n, np.nan)
    order = np.random.default_rng(streams["role"]).permutation(n)
    # Markers last, so that the number of groups moves no other role.
    graded, in_modules, markers, _ = np.split(order, np.cumsum(asked.roles))
    if asked.gradient == "line":
        slope[graded] = asked.gradient_strength
        slope[graded[graded.size // 2 :]] *= -1
    if asked.gradient == "circle":
        slope[graded] = asked.gradient_strength / 2
        phase[graded] = np.random.default_rng(streams["phase"]).random(graded.size)
    for k, stream in enumerate(streams["loading"].spawn(asked.n_modules)):
        genes = in_modules[k * asked.module_genes :][: asked.module_genes]
        module[genes] = f"module{k}"
        loading[genes] = asked.module_sd * np.random.default_rng(stream).uniform(0.5, 1.5, genes.size)
    if markers.size:
        for k, stream in enumerate(streams["marker"].spawn(len(asked.groups))):
            genes = markers[k * asked.n_markers :][: asked.n_markers]
            marker_of[genes] = asked.groups[k]
            fold[genes] = asked.log2_fold_change * np.abs(np.random.default_rng(stream).normal(1, 0.25, genes.size))
    columns = {
        "share": base / base.sum(),
        "marker_of": marker_of,
        "log2_fold_change": fold,
        "module": module,
        "module_loading": loading,
        "gradient": slope,
        "gradient_phase": phase,
    }
    return pd.DataFrame(columns, index=names)


@dataclass(frozen=True)
class _Programme:
    """Genes whose log mean follows a score of the cells."""

    genes: NDArray[np.intp]
    loading: NDArray[np.float64]
    """(genes,) change of the natural log for each unit of the score."""
    score: NDArray[np.float64]
    """(n_cells,)"""


def _programmes(asked: Simulation, obs: pd.DataFrame, var: pd.DataFrame, streams: Streams) -> list[_Programme]:
    """The modules and the gradient."""
    found = []
    loading = var["module_loading"].to_numpy()
    for k, stream in enumerate(streams["activity"].spawn(asked.n_modules)):
        genes = np.flatnonzero(var["module"] == f"module{k}")
        found.append(_Programme(genes, loading[genes], np.random.default_rng(stream).normal(size=asked.n_cells)))
    position, genes = obs["position"].to_numpy(), np.flatnonzero(var["gradient"])
    slope = math.log(2) * var["gradient"].to_numpy()[genes]
    if asked.gradient == "line":
        found.append(_Programme(genes, slope, position - 0.5))
    if asked.gradient == "circle":  # cos(a - b) = cos a cos b + sin a sin b
        peak, angle = 2 * np.pi * var["gradient_phase"].to_numpy()[genes], 2 * np.pi * position
        found.append(_Programme(genes, slope * np.cos(peak), np.cos(angle)))
        found.append(_Programme(genes, slope * np.sin(peak), np.sin(angle)))
    return found


def _draw_counts(asked: Simulation, obs: pd.DataFrame, var: pd.DataFrame, streams: Streams) -> sparse.csr_matrix:
    """Counts, drawn in blocks of cells so that only one block is dense at a time."""
    # A log-normal factor has mean 1 if half its variance is taken off.
    log_share = np.log(var["share"].to_numpy()) - var["module_loading"].to_numpy() ** 2 / 2
    fold = math.log(2) * var["log2_fold_change"].to_numpy()
    by_group = np.stack([np.where(var["marker_of"] == name, fold, 0.0) for name in asked.groups])
    by_batch = np.zeros((asked.n_batches, asked.n_genes))
    if asked.n_batches > 1:
        normals = [
            np.random.default_rng(one).normal(size=asked.n_genes) for one in streams["shift"].spawn(len(by_batch))
        ]
        by_batch += asked.batch_sd * np.stack(normals)
    group, batch, depth = obs["group"].cat.codes.to_numpy(), obs["batch"].cat.codes.to_numpy(), obs["depth"].to_numpy()
    programmes = _programmes(asked, obs, var, streams)
    blocks: list[Any] = []
    for k, stream in enumerate(streams["count"].spawn(math.ceil(asked.n_cells / _BLOCK))):
        cells, rng = slice(k * _BLOCK, (k + 1) * _BLOCK), np.random.default_rng(stream)
        mean = log_share + by_group[group[cells]] + by_batch[batch[cells]]
        for programme in programmes:
            mean[:, programme.genes] += np.outer(programme.score[cells], programme.loading)
        np.exp(mean - mean.max(axis=1, keepdims=True), out=mean)
        mean *= (depth[cells] / mean.sum(axis=1))[:, None]
        if asked.dispersion:
            mean *= rng.gamma(1 / asked.dispersion, asked.dispersion, size=mean.shape)
        blocks.append(sparse.csr_matrix(rng.poisson(mean), dtype=np.float32))
    counts = sparse.vstack(blocks, format="csr")
    _refuse_empty_cells(asked, np.flatnonzero(np.diff(counts.indptr) == 0))
    return counts


def _refuse_empty_cells(asked: Simulation, empty: NDArray[np.intp]) -> None:
    if empty.size:
        msg = (
            f"{empty.size} of {asked.n_cells} cells have no counts, the first is cell{empty[0]}. Raise mean_depth (now "
            f"{asked.mean_depth:g}), or lower depth_spread (now {asked.depth_spread:g}), dispersion (now "
            f"{asked.dispersion:g}) or the size of depth_gradient (now {asked.depth_gradient:g})."
        )
        raise ValueError(msg)
