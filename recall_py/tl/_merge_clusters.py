"""Labels from anywhere, merged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recall_py.adata.programmes import USUAL
from recall_py.method.params import ALPHA
from recall_py.run.merge import merge_adata
from recall_py.run.options import with_option_docs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from anndata import AnnData

    from recall_py.method.params import Rng


@with_option_docs("merge_clusters")
def merge_clusters(
    adata: AnnData,
    groupby: str,
    *,
    key_added: str | None = None,
    batch_key: str | None = None,
    layer: str | None = None,
    genes: Sequence[str] | None = None,
    programmes: Sequence[str] = USUAL,
    alpha: float = ALPHA,
    external: bool = False,
    all_pairs: bool = False,
    neighbors_key: str | None = None,
    obsp: str | None = None,
    modality: str | None = None,
    merge_small: bool = False,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    n_jobs: int | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Merge labels that one population would explain as well; in place of `leiden` where you have labels already.

    Labels of k-means, Seurat, scVI or a colleague do. Each pair of neighbouring clusters is compared with null cells of
    its own: one population is fitted to the cells of both, drawn anew, and cut in two as a clustering would cut it. The
    pair stands if its genes lead their own nulls two to four times as far as null genes do; else it is merged, the
    nearest pair first, until every pair stands. Every cluster that comes out is a union of clusters that came in. At
    most 300 cells of a cluster take part in a test.

    Parameters
    ----------
    adata
        Cells x genes. Raw counts come from `layer`, ``layers["counts"]``, ``raw`` or ``X``, the first that applies.
    {options}

    Returns
    -------
    None, or the changed copy. Read why with :func:`recall_py.get.merges`, and what holds the rest apart with
    :func:`recall_py.get.pairs`. Sets:

    ``adata.obs[key_added]`` : categories
        Merged labels, named ``"CD4 naive + CD4 memory"``. Order and colours of what stays are kept.
    ``adata.uns[key_added]["params"]`` : dict
        ``groupby``, ``batch_key``, ``layer``, ``connectivities`` (where the graph was found), ``external``,
        ``all_pairs``, ``merge_small``, ``random_state``.
    ``adata.uns[key_added]["recall"]`` : dict of arrays
        Every merge, every pair that stands, the labels that are too small to be tested, as ``untested``, and which
        ``programmes`` did not count, with how many genes.

    Raises
    ------
    ValueError
        For input without raw counts; for cells without a label; for more than 400 labels; for unknown `programmes`; for
        a `key_added` that is no single name or whose slots hold something else.
    KeyError
        If `groupby`, `batch_key`, `layer`, a gene or the graph does not exist.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> adata = adata[adata.obs["annotation"].isin(["CD8+ Cytotoxic T", "CD56+ NK", "CD19+ B"])].copy()
    >>> recall_py.tl.merge_clusters(adata, "annotation")
    >>> adata.obs["annotation_merged"].cat.categories.tolist()
    ['CD8+ Cytotoxic T + CD56+ NK', 'CD19+ B']
    """
    return merge_adata(**locals())
