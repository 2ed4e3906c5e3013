"""Real cells that come with the package, and simulated ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recall_py.datasets._simulation import Simulation, draw
from recall_py.method.params import resolve_seed

if TYPE_CHECKING:
    from anndata import AnnData

_FOLDERS = (Path(__file__).parents[1] / "_data", Path(__file__).parents[2] / "data")
"""Where files of counts are: in an installed wheel, and in a checkout."""


def pbmc68k() -> AnnData:
    """700 human peripheral blood mononuclear cells x 765 genes, raw counts.

    The cells that scanpy ships as ``sc.datasets.pbmc68k_reduced()``; the counts are recovered from its log-normalised
    values. They come with the package, nothing is downloaded.

    Returns
    -------
    A new AnnData with raw counts in ``X``. ``obs["annotation"]`` holds scanpy's ``bulk_labels``, a label from the
    correlation with sorted bulk profiles: a weak truth.

    Raises
    ------
    FileNotFoundError
        If the file is missing from the installation.

    Notes
    -----
    Origin: Zheng GXY et al., Massively parallel digital transcriptional profiling of single cells, Nat Commun 2017,
    doi 10.1038/ncomms14049. Licence: data 10x Genomics, CC BY 4.0; packaging scanpy, BSD-3-Clause.

    Examples
    --------
    >>> import recall_py
    >>> adata = recall_py.datasets.pbmc68k()
    >>> adata.shape, adata.obs["annotation"].nunique()
    ((700, 765), 10)
    """
    import anndata as ad

    name = "pbmc68k.h5ad"
    for folder in _FOLDERS:
        if (folder / name).is_file():
            return ad.read_h5ad(folder / name)
    msg = (
        f"{name} is in none of: {', '.join(map(str, _FOLDERS))}. It comes with recall-py: install it again, or run "
        "data/make_pbmc68k.py in a checkout"
    )
    raise FileNotFoundError(msg)


def simulate(
    n_cells: int = 1000,
    n_genes: int = 2000,
    *,
    group_shares: Sequence[float] = (1.0,),
    n_markers: int = 50,
    log2_fold_change: float = 1.5,
    mean_depth: float = 5000,
    depth_spread: float = 0.4,
    dispersion: float = 0.2,
    n_modules: int = 0,
    module_genes: int = 50,
    module_sd: float = 0.4,
    gradient: str | None = None,
    gradient_genes: int = 150,
    gradient_strength: float = 1.0,
    depth_gradient: float = 0.0,
    n_batches: int = 1,
    batch_sd: float = 0.2,
    random_state: int | np.random.RandomState | None = 0,
) -> AnnData:
    r"""Cells whose groups, co-expression and gradients are known.

    The count of gene j in cell i is Poisson with mean :math:`d_i s_{ij} g_{ij}`: the depth of the cell, the share of
    the gene in it (a row of shares sums to 1), and a gamma variable of mean 1 and variance `dispersion`. Shares start
    from one log-normal share per gene (sd 1.5, natural log). Groups, modules, the gradient and batches multiply them,
    and each row is divided by its sum: where some genes rise, the others fall a little. Groups, batches, position and
    depth of a cell are independent of each other unless `depth_gradient` is set.

    Parameters
    ----------
    n_cells, n_genes
        Size of the data.
    group_shares
        Share of the cells in each group; sums to 1. Sizes are exact, by largest remainder; cells come in random order.
    n_markers
        Genes that each group expresses more than all the others. A single group has none.
    log2_fold_change
        Mean log2 fold change of markers. Each has this times \|N(1, 0.25)\| (sd 0.25), always upwards.
    mean_depth, depth_spread
        Mean of the expected total count of a cell, which is log-normal, and sd of its natural log.
    dispersion
        Extra variance: a count of mean m has variance m + `dispersion` m². 0 for Poisson.
    n_modules, module_genes
        Co-expression programmes, and genes in each. A programme has a standard normal activity in every cell: it
        varies without making groups.
    module_sd
        Mean sd (natural log) of a gene that an activity gives; each gene has this times a uniform on [0.5, 1.5]. All
        genes of a module rise together, and their mean stays.
    gradient
        ``"line"``: cells have a uniform position on [0, 1], and half of the genes rise along it while half fall.
        ``"circle"``: the position is a share of a turn, as in the cell cycle, and each gene follows a cosine with a
        random phase. None for no gradient.
    gradient_genes
        Genes that follow the gradient.
    gradient_strength
        Change of these genes in log2 units: from end to end of a line, from trough to peak on a circle.
    depth_gradient
        Growth of the log (natural) of the depth from position 0 to 1; `mean_depth` stays. Without `gradient` the
        position has no other effect. With one, it is the same position: depth follows the line, or grows along the
        turn and falls back at its end, as at cell division.
    n_batches, batch_sd
        Batches of equal size, and the sd (natural log) of their effect: in each batch, every gene is multiplied by
        exp(N(0, `batch_sd`)). One batch has no effect.
    random_state
        Seed. What is drawn for one part does not depend on the others: another number of groups leaves shares,
        modules, gradient, depths and batches as they are, only the counts are drawn anew.

    Returns
    -------
    A new AnnData with raw counts (CSR, float32) in ``X``. A gene may have no counts; a cell has at least one.

    ``obs["group"]``, ``obs["batch"]``
        ``"group0"``, ``"batch0"`` and so on, categorical.
    ``obs["position"]``
        Position on the line or circle, or the one of `depth_gradient`, in [0, 1); NaN without either.
    ``obs["depth"]``
        Expected total count.
    ``var["share"]``
        Share of the gene before groups, modules, gradient and batches; sums to 1.
    ``var["marker_of"]``, ``var["log2_fold_change"]``
        Group that the gene marks (``""`` for none), and its fold change (0 for none).
    ``var["module"]``, ``var["module_loading"]``
        Module of the gene (``"module0"``; ``""`` for none), and sd of its natural log due to it (0 for none).
    ``var["gradient"]``, ``var["gradient_phase"]``
        Log2 change along the line, or amplitude on the circle (0 for none), and position of the peak on the circle
        (NaN elsewhere).
    ``uns["simulate"]``
        The arguments, so that ``simulate(**adata.uns["simulate"])`` gives the same data. `gradient` is left out if
        None.

    Raises
    ------
    ValueError
        For arguments out of range, shares that do not sum to 1, a group or batch without a cell, more markers, module
        and gradient genes than there are genes (a gene has one role at most), or a cell without counts.

    Examples
    --------
    >>> import recall_py
    >>> adata = recall_py.datasets.simulate(300, 500, group_shares=(0.7, 0.3), n_markers=20)
    >>> adata.obs["group"].value_counts().to_dict()
    {'group0': 210, 'group1': 90}
    >>> adata.var["marker_of"].value_counts().to_dict()
    {'': 460, 'group0': 20, 'group1': 20}
    """
    import anndata as ad

    asked = Simulation(
        n_cells=n_cells,
        n_genes=n_genes,
        group_shares=np.asarray(group_shares, dtype=np.float64),
        n_markers=n_markers,
        log2_fold_change=log2_fold_change,
        mean_depth=mean_depth,
        depth_spread=depth_spread,
        dispersion=dispersion,
        n_modules=n_modules,
        module_genes=module_genes,
        module_sd=module_sd,
        gradient=gradient,
        gradient_genes=gradient_genes,
        gradient_strength=gradient_strength,
        depth_gradient=depth_gradient,
        n_batches=n_batches,
        batch_sd=batch_sd,
        random_state=resolve_seed(random_state),
    )
    counts, obs, var = draw(asked)
    arguments = {name: value for name, value in asdict(asked).items() if value is not None}
    return ad.AnnData(counts, obs=obs, var=var, uns={"simulate": arguments})
