"""Embeddings without batches; null genes beside the real ones, as AnnData, and how well they fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.labels import read_batches
from recall_py.adata.read import read_counts, refuse_empty_cells, refuse_small_batches
from recall_py.method.params import resolve_seed
from recall_py.method.threads import resolve_n_jobs
from recall_py.run.options import with_option_docs
from recall_py.words import listed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from anndata import AnnData

    from recall_py.method.params import Rng
    from recall_py.method.results import NullFit

__all__ = ["embed", "for_geneformer", "knockoffs", "null_misfit"]


def embed(
    adata: AnnData,
    method: str,
    *,
    batch_key: str,
    key_added: str | None = None,
    random_state: int | np.random.RandomState | None = 0,
    **kwargs: Any,
) -> None:
    """Embed cells without what their batches differ by, for a graph on which clusters hold cells of all batches.

    One face of packages that exist; ``sc.pp.neighbors(adata, use_rep="X_harmony")`` goes on from there, and
    :func:`recall_py.tl.leiden` with the same `batch_key`. Any other embedding in ``obsm`` does as well.

    Parameters
    ----------
    adata
        Annotated data.
    method
        ``"harmony"``: Harmony on ``obsm["X_pca"]``, by harmonypy 2 (``pip install 'recall-py[harmony]'``). ``"scvi"``:
        a variational autoencoder of the raw counts, by scvi-tools (``pip install 'recall-py[scvi]'``). ``"cvae"``: a
        smaller one of the same kind, which takes further covariates, and new cells and batches into a trained model
        (``pip install 'recall-py[torch]'``).
    batch_key
        Column of ``obs`` with the batches; every cell needs one.
    key_added
        Slot of ``obsm``, ``"X_"`` and the name of the method by default. What is there is replaced.
    random_state
        Seed.
    **kwargs
        Of ``"harmony"``: ``use_rep``, another slot of components, and what ``harmonypy.run_harmony`` takes. Of
        ``"scvi"``: ``layer`` with the counts, ``n_top_genes`` where none are marked as highly variable, ``train`` (what
        ``scvi.model.SCVI.train`` takes, such as ``{"max_epochs": 100}``), and what ``scvi.model.SCVI`` takes. Of
        ``"cvae"``: ``covariates``, further columns of ``obs`` whose differences are taken out; ``layer``,
        ``n_top_genes``; ``save``, a file for the trained model; ``model``, such a file, by which cells are embedded
        without training, or with that of the weights of new batches alone; ``loader``, an ``annbatch.Loader`` or an
        ``AnnLoader`` of anndata that gives the raw counts of the same cells, by the same names, to train on; and
        ``n_latent`` (10), ``n_hidden`` (128), ``max_epochs`` (400, fewer of more than 20,000 cells), ``batch_size``
        (128), ``learning_rate`` (.001), ``warm_up`` (.25, the share of epochs over which the prior gains weight),
        ``held_out`` (.1, the share of cells by which training is stopped), ``patience`` (30 epochs).

    Returns
    -------
    None. ``obsm[key_added]`` becomes the (n_obs, n_components) embedding, as float32.

    Raises
    ------
    ImportError
        If the package of the method is not installed.
    KeyError
        If the column, or the components that Harmony starts from, do not exist.
    ValueError
        If the method is unknown, or cells have no batch, or all have the same.

    Examples
    --------
    >>> import recall_py, scanpy as sc
    >>> adata = recall_py.datasets.simulate(200, 300, n_batches=2, batch_sd=0.5)
    >>> sc.pp.log1p(adata)
    >>> sc.pp.pca(adata, n_comps=10)
    >>> recall_py.pp.embed(adata, "harmony", batch_key="batch")  # doctest: +SKIP
    >>> adata.obsm["X_harmony"].shape  # doctest: +SKIP
    (200, 10)
    """
    from recall_py.embedding.autoencoder import cvae
    from recall_py.embedding.harmony import harmony
    from recall_py.embedding.scvi import scvi
    from recall_py.method.params import one_of

    methods = {"harmony": harmony, "scvi": scvi, "cvae": cvae}
    one_of("method", method, tuple(methods))
    batches = read_batches(adata, batch_key, None)
    if (batches is None or batches.cat.categories.size < 2) and "model" not in kwargs:
        one = "" if batches is None else listed(batches.cat.categories)
        msg = f"obs[{batch_key!r}] has one value, {one}: there are no batches to bring together."
        raise ValueError(msg)
    found = methods[method](adata, batch_key, resolve_seed(random_state, None), **kwargs)
    adata.obsm[f"X_{method}" if key_added is None else key_added] = found


def for_geneformer(
    adata: AnnData,
    *,
    ensembl_ids: str | None = None,
    layer: str | None = None,
    orthologs: Mapping[str, str] | str | Path | None = None,
    medians: Mapping[str, float] | str | Path | None = None,
    tokens: Mapping[str, int] | str | Path | None = None,
    max_tokens: int = 4096,
) -> AnnData:
    """Write counts as Geneformer and encoders like it take them: raw, of all genes, by Ensembl id.

    What such a model makes of them goes into ``obsm`` and is the graph: ``sc.pp.neighbors(adata, use_rep="X_model")``,
    then :func:`recall_py.tl.leiden`, which compares the clusters by the counts. No model and no table is downloaded.

    Parameters
    ----------
    adata
        Annotated data with raw counts. Nothing is written to it.
    ensembl_ids
        Column of ``var`` with the ids, by default ``"ensembl_id"``, ``"gene_ids"``, or the names of the genes. What
        follows a dot, the version, is left out; genes without an id too.
    layer
        Layer with the counts, looked for as everywhere by default.
    orthologs
        Ids of the genes of another organism and those of their human orthologs: a dictionary, or a .csv, .tsv or .json
        file. Other genes are left out; counts of genes with the same ortholog are summed.
    medians
        Median of each gene among the cells that have it, at 10,000 counts a cell, by id; a dictionary or a file.
    tokens
        Number of each gene in the model's dictionary, by id; a dictionary or a file.
    max_tokens
        Genes of a cell at most, with ``<cls>`` and ``<eos>`` where `tokens` has both.

    Returns
    -------
    An AnnData of the same cells and ``obs``, with raw counts in ``X``, ``var["ensembl_id"]`` and ``obs["n_counts"]``,
    the counts of all genes. With `medians` and `tokens` also ``obsm["input_ids"]``, the rank value encoding,
    (n_obs, longest) and filled up with ``<pad>``, and ``obs["length"]``.

    Raises
    ------
    KeyError
        If the column or the layer does not exist.
    ValueError
        If there are no raw counts or no Ensembl ids, no gene is in a table, or one of `medians` and `tokens` is given
        without the other.

    Examples
    --------
    >>> import recall_py
    >>> adata = recall_py.datasets.simulate(50, 3)
    >>> adata.var["ensembl_id"] = ["ENSG00000000003.15", "ENSG00000000005", "ENSG00000000419"]
    >>> recall_py.pp.for_geneformer(adata).var_names.tolist()
    ['ENSG00000000003', 'ENSG00000000005', 'ENSG00000000419']
    """
    from recall_py.embedding.geneformer import encoder_counts, ranked_tokens

    if (medians is None) != (tokens is None):
        msg = "medians and tokens go together: genes are ranked by the one and numbered by the other. Pass both."
        raise ValueError(msg)
    found = encoder_counts(adata, layer=layer, ensembl_ids=ensembl_ids, orthologs=orthologs)
    if medians is not None and tokens is not None:
        n_counts = found.obs["n_counts"].to_numpy()
        input_ids, length = ranked_tokens(found.X, n_counts, found.var_names, medians, tokens, max_tokens)
        found.obsm["input_ids"], found.obs["length"] = input_ids, length
    return found


@with_option_docs("recall")
def knockoffs(
    adata: AnnData,
    *,
    null_method: str = "ZIP",
    batch_key: str | None = None,
    layer: str | None = None,
    n_top_genes: int = 2000,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    n_jobs: int | None = None,
) -> AnnData:
    """Selected genes and one knockoff for each, as raw counts: what :func:`recall_py.tl.recall` clusters.

    The same seed gives the knockoffs that the clustering functions draw.

    Parameters
    ----------
    {adata}
    {options}

    Returns
    -------
    A new AnnData of n_obs x 2 n_genes with raw counts in ``X`` and ``obs`` of `adata`. Columns 0..p-1 are the real
    genes, column p + j is the knockoff of column j. ``var["knockoff"]`` tells them apart, ``var["real_gene"]`` names
    the real gene, and ``var`` holds the fitted parameters, such as ``var["ZIP_lambda"]``, or
    ``var["ZIP_lambda_<batch>"]`` for each batch. Names of knockoffs are for reading only: nulls are known by position.

    {null_raises}

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> augmented = recall_py.pp.knockoffs(ad.read_h5ad("data/pbmc68k.h5ad"))
    >>> augmented.shape, int(augmented.var["knockoff"].sum())
    ((700, 1530), 765)
    """
    import anndata as ad

    from recall_py.method.nulls import null_model
    from recall_py.method.pipeline import draw_knockoffs

    null_model(null_method)
    data = read_counts(adata, layer=layer, n_top_genes=n_top_genes, batch_key=batch_key)
    refuse_empty_cells(data, adata.obs_names)
    refuse_small_batches(data)
    augmented = draw_knockoffs(data.read(), null_method, resolve_seed(random_state, rng), resolve_n_jobs(n_jobs))
    names = [*data.genes, *_knockoff_names(data.genes)]
    var = pd.DataFrame(
        {
            keys.KNOCKOFF: np.repeat([False, True], data.genes.size),
            keys.REAL_GENE: np.tile(data.genes, 2).astype(object),
            **_fitted_columns(augmented.fits, data.batch_names if batch_key is not None else None),
        },
        index=pd.Index(names, dtype=object),
    )
    return ad.AnnData(sparse.csr_matrix(augmented.counts), obs=adata.obs.copy(), var=var)


@with_option_docs("recall")
def null_misfit(
    adata: AnnData,
    *,
    null_method: str = "ZIP",
    batch_key: str | None = None,
    layer: str | None = None,
    n_top_genes: int = 2000,
) -> pd.DataFrame:
    """Compare each selected gene with the null distribution fitted to it.

    Nothing is drawn: the moments are those of the distribution that :func:`knockoffs` draws from. A knockoff that
    varies less than its real gene is beaten too easily, and clusters without markers may pass.

    Parameters
    ----------
    {adata}
    {options}

    Returns
    -------
    One row for each selected gene, by name: ``observed_mean``, ``fitted_mean``, ``observed_variance``,
    ``fitted_variance`` (ddof 0), ``variance_ratio`` (fitted over observed, NaN for a constant gene), ``observed_zeros``
    and ``fitted_zeros`` (shares).

    {null_raises}

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> misfit = recall_py.pp.null_misfit(ad.read_h5ad("data/pbmc68k.h5ad"))
    >>> round(float(misfit["variance_ratio"].median()), 2)
    0.92
    """
    from recall_py.method.nulls import null_model
    from recall_py.method.nulls.batches import cells_of_batches, fit_within, moments_within
    from recall_py.method.nulls.moments import observed_moments

    model = null_model(null_method)
    data = read_counts(adata, layer=layer, n_top_genes=n_top_genes, batch_key=batch_key)
    refuse_empty_cells(data, adata.obs_names)
    refuse_small_batches(data)
    counts, depth = data.read().counts, data.depth
    members = cells_of_batches(data.batches, counts.shape[0])
    fitted = moments_within(model, fit_within(model, counts, depth, members), depth, members)
    observed = observed_moments(counts)
    variance = np.where(observed.variance > 0, observed.variance, np.nan)
    return pd.DataFrame(
        {
            "observed_mean": observed.mean,
            "fitted_mean": fitted.mean,
            "observed_variance": observed.variance,
            "fitted_variance": fitted.variance,
            "variance_ratio": fitted.variance / variance,
            "observed_zeros": observed.zeros,
            "fitted_zeros": fitted.zeros,
        },
        index=pd.Index(data.genes, dtype=object),
    )


def _fitted_columns(fits: tuple[NullFit, ...], batch_names: tuple[str, ...] | None) -> dict[str, Any]:
    """Parameters of real genes and knockoffs alike, with the name of the batch if there are any."""
    suffixes = [""] if batch_names is None else [f"_{name}" for name in batch_names]
    return {
        f"{fit.family}_{name}{suffix}": np.tile(value, 2)
        for fit, suffix in zip(fits, suffixes, strict=True)
        for name, value in fit.parameters.items()
    }


def _knockoff_names(genes: np.ndarray[Any, Any]) -> list[str]:
    """``knockoff_<gene>``, lengthened until no real gene has that name."""
    prefix = "knockoff_"
    while any(f"{prefix}{gene}" in set(genes) for gene in genes):
        prefix = f"_{prefix}"
    return [f"{prefix}{gene}" for gene in genes]
