"""A pair of clusters against its null genes, and how good the nulls are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from recall_py.adata.stored import read_run
from recall_py.arguments import ArgumentError
from recall_py.pl._figure import FAILING, NULL, PASSING, hand_over, say_instead, with_plot_docs
from recall_py.words import percent, shortened

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes

    from recall_py.adata.recomputed import PairDetail

PANELS = ("filter", "variance", "zeros")
_NAMED = 8


@with_plot_docs
def knockoffs(
    adata: AnnData,
    key: str = "leiden",
    pair: tuple[str, str] | None = None,
    *,
    panels: Sequence[Literal["filter", "variance", "zeros"]] = PANELS,  # type: ignore[assignment]
    n_jobs: int | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Any:
    """Every gene against its null in one pair of clusters, and how well the nulls fit.

    The null genes are drawn again from the recorded seed, which for knockoffs costs as much as the stages
    ``knockoffs``, ``normalise`` and ``sort`` in ``adata.uns[key]["recall"]["seconds"]`` together, and for synthetic
    nulls some seconds. ``adata`` must still hold the counts.

    Parameters
    ----------
    {adata}
    pair
        Two labels that were tested against each other; by default the pair with the fewest selected genes.
    panels
        ``"filter"``: -log10 p of each gene against that of its null, with the threshold of W. ``"variance"``: mean and
        variance of real and null counts. ``"zeros"``: share of zeros of each gene and of its null. The counts are those
        of all cells for knockoffs, and those of the pair for synthetic nulls. A sound null lies where the real genes
        lie, apart from what the clusters themselves add.
    n_jobs
        Number of threads.
    ax
        Axes to draw on, one for each panel.
    {show}

    {returns}

    Raises
    ------
    KeyError
        If there is no such result or pair, or its counts are gone.
    ValueError
        If labels or counts have changed since.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.leiden(adata, 4, method="knockoffs")
    >>> axes = recall_py.pl.knockoffs(adata, pair=("0", "1"), show=False)
    >>> axes[0].get_title()
    '0 and 1: 182 genes selected'
    """
    import matplotlib.pyplot as plt

    from recall_py.adata.recomputed import pair_detail, weakest_pair

    unknown = [name for name in panels if name not in PANELS]
    if unknown:
        text = "Unknown {panels} {unknown}. Available: {available}."
        raise ArgumentError(text, unknown=", ".join(unknown), available=", ".join(PANELS))
    run = read_run(adata, key)
    if ax is None:
        axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 4.2), layout="constrained", squeeze=False)[1][0]
    else:
        axes = np.atleast_1d(np.asarray(ax, dtype=object))
    chosen = pair or weakest_pair(run)
    if chosen is None:
        for axis in axes:
            say_instead(axis, "One cluster: there is no pair to show.")
    else:
        detail = pair_detail(adata, run, chosen, n_jobs=n_jobs)
        null = "knockoff" if run.takes_knockoffs else "null"
        drawn: dict[str, Any] = {
            "filter": partial(_filter, target=run.filter.fdr),
            "variance": _variance,
            "zeros": _zeros,
        }
        for axis, name in zip(axes, panels, strict=True):
            drawn[name](axis, detail, null)
    shown = axes[0] if ax is not None and not isinstance(ax, Sequence | np.ndarray) else axes
    return hand_over(axes[0].figure, shown, given=ax is not None, show=show, save=save, return_fig=return_fig)


def _filter(axis: Axes, detail: PairDetail, null: str, *, target: float) -> None:
    real, of_null = -detail.log10_p, -detail.log10_p_null
    chosen = detail.selected
    axis.scatter(of_null[~chosen], real[~chosen], s=9, color=NULL, marker="o", label="not selected", rasterized=True)
    if chosen.any():
        axis.scatter(
            of_null[chosen], real[chosen], s=20, color=PASSING, marker="^", label="selected", lw=0, rasterized=True
        )
    limit = max(of_null.max(), 1.0) * 1.08
    x = np.array([0.0, limit])
    axis.plot(x, x, color="0.3", lw=0.8, ls=":", label="W = 0")
    if np.isfinite(detail.threshold):
        axis.plot(x, x + detail.threshold, color=FAILING, lw=1.2, label=f"W = {detail.threshold:.2g}, the threshold")
    best = np.flatnonzero(chosen)[np.argsort(-detail.w[chosen], kind="stable")[:_NAMED]]
    _name_genes(axis, of_null[best], real[best], detail.genes[best], limit, max(real.max(), 1.0) * 1.08)
    axis.set(xlim=(-0.02 * limit, limit), ylim=(-0.02 * real.max(), max(real.max(), limit * 0.5, 1.0) * 1.08))
    axis.set(xlabel=f"-log10 p of its {null} gene", ylabel="-log10 p of the gene")
    n_selected = int(chosen.sum())
    names = " and ".join(shortened(name) for name in (detail.group, detail.reference))
    title = f"{names}: {n_selected or 'no'} genes selected"
    if not n_selected:
        title += f"\nat best {percent(detail.false_share)} of genes would be false; {percent(target)} at most may be"
    axis.set_title(title, size=None if n_selected else 10)
    axis.legend(frameon=False, fontsize=7, loc="upper right")
    axis.spines[["top", "right"]].set_visible(False)


def _name_genes(axis: Axes, x: Any, y: Any, genes: Any, width: float, height: float) -> None:
    """Names in a column beside the marks, one below the other."""
    free = np.inf
    for i in np.argsort(-y, kind="stable"):
        level = min(y[i], free)
        free = level - 0.045 * height
        line = {"arrowstyle": "-", "lw": 0.4, "color": "0.5"}
        axis.annotate(genes[i], (x[i], y[i]), (0.36 * width, level), size=7, va="center", arrowprops=line)


def _variance(axis: Axes, detail: PairDetail, null: str) -> None:
    floor = 0.5 / max(detail.n_cells, 1)
    for moments, name, colour, marker in (
        (detail.real, "real", PASSING, "^"),
        (detail.null, null, FAILING, "."),
    ):
        present = moments.mean > 0
        mean, variance = moments.mean[present], np.maximum(moments.variance[present], floor / detail.n_cells)
        axis.scatter(mean, variance, s=12, alpha=0.5, color=colour, marker=marker, lw=0, label=name, rasterized=True)
    axis.set(xscale="log", yscale="log", xlabel="mean count", ylabel="variance")
    ends = np.array([detail.real.mean[detail.real.mean > 0].min(), detail.real.mean.max()])
    axis.plot(ends, ends, color="0.3", lw=0.8, ls=":", label="Poisson")
    axis.legend(frameon=False, fontsize=8, loc="upper left")
    axis.set_title(f"counts of {detail.n_cells:,} cells")
    axis.spines[["top", "right"]].set_visible(False)


def _zeros(axis: Axes, detail: PairDetail, null: str) -> None:
    axis.plot([0, 1], [0, 1], color="0.3", lw=0.8, ls=":", label="the same", zorder=3)
    axis.scatter(detail.real.zeros, detail.null.zeros, s=10, alpha=0.5, color=PASSING, lw=0, rasterized=True)
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axis.set(xlabel="share of zeros of the gene", ylabel=f"share of zeros of its {null} gene")
    axis.legend(frameon=False, fontsize=8, loc="upper left")
    axis.set_title(f"zeros, {len(detail.genes):,} genes")
    axis.spines[["top", "right"]].set_visible(False)
