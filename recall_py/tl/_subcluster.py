"""Calibrated clusters inside clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from recall_py.adata import keys
from recall_py.adata.programmes import USUAL
from recall_py.method.params import resolve_seed
from recall_py.run.options import with_option_docs
from recall_py.run.subcluster import graph_inside, refuse_lost_labels, write_history
from recall_py.tl._leiden import leiden

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from anndata import AnnData

    from recall_py.method.params import Rng


@with_option_docs("subcluster")
def subcluster(
    adata: AnnData,
    groupby: str,
    groups: str | Sequence[str],
    *,
    resolution: float | Literal["auto"] = 1,
    use_rep: str | None = None,
    n_neighbors: int = 15,
    n_top_genes: int = 2000,
    key_added: str | None = None,
    layer: str | None = None,
    batch_key: str | None = None,
    genes: Sequence[str] | None = None,
    programmes: Sequence[str] = USUAL,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
    copy: bool = False,
    **clustering_args: Any,
) -> AnnData | None:
    """Clusters inside a cluster, by what varies among its cells; in place of `leiden` once you have clusters.

    Genes are chosen, principal components found and neighbours joined among these cells alone; then they are clustered
    and calibrated as :func:`leiden` does. The labels of all other cells stay. What comes out can be looked into again:
    name it as `groupby`. Each call answers for its own pairs alone; "Sub-cluster" in the documentation says what that
    means for several.

    Parameters
    ----------
    adata
        Cells x genes with raw counts, as for :func:`leiden`. No graph is needed.
    {options}
    **clustering_args
        Whatever else :func:`leiden` hands on, such as ``flavor`` and ``n_iterations``.

    Returns
    -------
    None, or the changed copy. Read the tree with :func:`recall_py.get.subclusters`, the rest as after :func:`leiden`.
    Sets:

    ``adata.obs[key_added]`` : categorical, (n_obs,)
        ``"3,0"``, ``"3,1"``, ... inside the group ``"3"``, as ``restrict_to`` of scanpy writes them; ``"3,0"`` alone if
        nothing inside stands the test. Other cells keep their labels.
    ``adata.obs[key_added + "_start"]``, ``adata.obs[key_added + "_stability"]``
        As after :func:`leiden`.
    ``adata.uns[key_added]["recall"]`` : dict
        As after :func:`leiden`, and ``history``: every label on the way down, with its parent, its cells, the column
        where it was made, and its least evidence against a neighbour.

    Raises
    ------
    ValueError
        For fewer than 10 cells in the groups, a group that does not exist, input without raw counts, or a `key_added`
        that is `groupby` or holds something else.
    KeyError
        If a column, layer, gene or embedding does not exist.

    Examples
    --------
    >>> import recall_py
    >>> adata = recall_py.datasets.simulate(300, 200, group_shares=(0.4, 0.3, 0.3), n_markers=40, log2_fold_change=3)
    >>> adata.obs["coarse"] = adata.obs["group"].astype(str).replace("group2", "group1")
    >>> recall_py.tl.subcluster(adata, "coarse", "group1", flavor="igraph", n_iterations=2)
    >>> adata.obs["coarse_R"].cat.categories.tolist()
    ['group0', 'group1,0', 'group1,1']
    >>> recall_py.get.subclusters(adata, "coarse_R")["parent"].tolist()
    ['', '', 'group1', 'group1']
    """
    restrict_to = (groupby, [groups] if isinstance(groups, str) else groups)
    default = f"{groupby}{keys.RESTRICTED_SUFFIX}"
    key = keys.final_key(default if key_added is None else key_added, "leiden", restricted=True)
    refuse_lost_labels(adata, key, groupby)
    seed = resolve_seed(random_state, rng)
    inside = graph_inside(
        adata,
        restrict_to,
        use_rep=use_rep,
        n_neighbors=n_neighbors,
        n_top_genes=n_top_genes,
        layer=layer,
        genes=genes,
        seed=seed,
    )
    changed = leiden(
        adata,
        resolution,
        restrict_to=restrict_to,
        adjacency=inside.graph,
        genes=inside.genes,
        key_added=key,
        layer=layer,
        batch_key=batch_key,
        programmes=programmes,
        random_state=seed,
        n_jobs=n_jobs,
        progress=progress,
        copy=copy,
        **clustering_args,
    )
    asked = {"use_rep": use_rep, "n_neighbors": n_neighbors, "n_top_genes": n_top_genes}
    given = {"resolution": resolution, **asked, "layer": layer, "batch_key": batch_key, **clustering_args}
    told = "".join(f", {name}={value!r}" for name, value in given.items() if value is not None)
    call = f"recall_py.tl.subcluster(adata, {groupby!r}, {list(restrict_to[1])!r}{told}, random_state={seed})"
    write_history(adata if changed is None else changed, key, restrict_to, asked, call)
    return changed
