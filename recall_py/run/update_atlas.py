"""Mapped cells of a query added to the reference: labels stay, groups that fit none are added, changes are listed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.labels import read_clusters
from recall_py.adata.read import Found, counts_in, find_counts, refuse_unusable
from recall_py.arguments import ArgumentError
from recall_py.files.atomic import refuse_no_folder
from recall_py.files.store import write_joined
from recall_py.get import atlas_changes, mapping
from recall_py.method.threads import even_blocks
from recall_py.run.map_query import counts_of, shared_genes
from recall_py.run.observe import CalibrationWarning, warn
from recall_py.words import listed

if TYPE_CHECKING:
    from anndata import AnnData

KINDS = {"update": int, "label": str, "kind": str, "verdict": str, "n_before": int, "n_added": int, "n_unlabelled": int}
"""Columns of the list of changes, and their types."""
_BLOCK = 20_000
"""Cells that are in memory at a time while an atlas is written to a file."""


def updated_atlas(
    reference: AnnData, query: AnnData, *, key: str, key_added: str, output: str | Path | None
) -> AnnData:
    """The cells of both with the labels of the reference and the new ones; see :func:`recall_py.tl.update_atlas`."""
    import anndata as ad
    from scanpy import logging

    keys.refuse_unusable(key_added)
    _refuse_output(reference, output)
    refuse_unusable(reference)
    refuse_unusable(query)
    tests = mapping(query, key)
    params = query.uns[key][keys.PARAMS]
    groupby = str(params["groupby"])
    before = read_clusters(reference, groupby)
    new = tests.loc[tests["verdict"] == "new", "name"].tolist()
    mapped = read_clusters(query, key)
    _refuse_other_reference(set(before.cat.categories), set(mapped.cat.categories), new, key)
    _refuse_clashes(reference, query, key_added)
    labels = _labels_to_add(query, mapped, tests, key)
    earlier_changes = [atlas_changes(reference, key_added)] if key_added in reference.uns else []
    number = 1 + int(max((table["update"].max() for table in earlier_changes), default=0))
    sides = [
        (adata, find_counts(adata, str(params[layer]) or None, look="glance"))
        for adata, layer in ((reference, "reference_layer"), (query, "layer"))
    ]
    genes = shared_genes(*(found for _, found in sides))
    atlas = _without_counts(reference, query, genes)
    names = [*before.cat.categories, *new]
    atlas.obs[groupby] = pd.Categorical(np.concatenate([before.to_numpy(dtype=object), labels]), categories=names)
    earlier = reference.obs[key_added] if key_added in reference.obs else np.zeros(reference.n_obs, dtype=np.int64)
    atlas.obs[key_added] = np.concatenate([earlier, np.full(query.n_obs, number)]).astype(np.int64)
    changes = _changes(number, names, before, mapped, labels, tests)
    history = pd.concat([*earlier_changes, changes], ignore_index=True)
    atlas.uns[key_added] = {
        keys.PARAMS: {"groupby": groupby, "key": key, "n_genes_before": reference.n_vars, "n_genes": atlas.n_vars},
        keys.CHANGES: {name: history[name].to_numpy(dtype=kind) for name, kind in KINDS.items()},
    }
    blocks = (block for adata, found in sides for block in _blocks(adata, found, genes))
    if output is None:
        atlas.X = sparse.vstack(list(blocks), format="csr")
    else:
        write_joined(atlas, blocks, sides[0][1].counts.matrix, Path(output))
        atlas = ad.read_h5ad(output, backed="r")
    warn(_messages(tests, int(pd.isna(labels).sum())), stacklevel=4)
    logging.info(
        f"added {query.n_obs} cells to {reference.n_obs}: {len(new)} labels are new, {atlas.n_vars} of "
        f"{reference.n_vars} genes are shared and kept"
    )
    return atlas


def _labels_to_add(query: AnnData, mapped: pd.Series[Any], tests: pd.DataFrame, key: str) -> NDArray[np.object_]:
    """(n_query,) mapped labels; none for cells that fit no label and are in no new group, or whose label differs."""
    new = tests.loc[tests["verdict"] == "new", "name"]
    differing = tests.loc[tests["verdict"] == "differs", "name"]
    fits = query.obs[key + keys.FITS_SUFFIX].to_numpy(dtype=bool)
    labels = mapped.to_numpy(dtype=object, copy=True)
    labels[(~fits & ~mapped.isin(new).to_numpy()) | mapped.isin(differing).to_numpy()] = None
    return labels


def _without_counts(reference: AnnData, query: AnnData, genes: pd.Index) -> AnnData:
    """All cells and the shared genes, with the columns of ``obs`` and ``var`` of the reference."""
    import anndata as ad

    obs = reference.obs.astype(dict.fromkeys(reference.obs.select_dtypes("bool"), "boolean"))
    var = reference.var.loc[genes] if genes.isin(reference.var_names).all() else pd.DataFrame(index=genes)
    return ad.AnnData(obs=pd.concat([obs, query.obs[[]]]), var=var.copy())


def _blocks(adata: AnnData, found: Found, genes: pd.Index) -> Iterator[sparse.csr_matrix]:
    """Counts of the shared genes, some cells at a time."""
    for first, stop in even_blocks(adata.n_obs, _BLOCK):
        cells = np.zeros(adata.n_obs, dtype=np.bool_)
        cells[first:stop] = True
        part = counts_in(adata, found.counts.matrix, found.source, cells, "few")
        yield sparse.csr_matrix(counts_of(part, genes))


def _changes(
    number: int,
    names: list[str],
    before: pd.Series[Any],
    mapped: pd.Series[Any],
    labels: NDArray[np.object_],
    tests: pd.DataFrame,
) -> pd.DataFrame:
    """One row for each label that the query has cells of."""
    verdicts = dict(zip(tests["name"], tests["verdict"], strict=True))
    n_before, n_mapped = before.value_counts(), mapped.value_counts()
    n_added = pd.Series(labels, dtype=object).value_counts()
    known = set(before.cat.categories)
    rows = [
        {
            "update": number,
            "label": name,
            "kind": "kept" if name in known else "new",
            "verdict": verdicts.get(name, "untested"),
            "n_before": int(n_before.get(name, 0)),
            "n_added": int(n_added.get(name, 0)),
            "n_unlabelled": int(n_mapped.get(name, 0) - n_added.get(name, 0)),
        }
        for name in names
        if n_mapped.get(name, 0)
    ]
    return pd.DataFrame(rows, columns=list(KINDS))


def _refuse_output(reference: AnnData, output: str | Path | None) -> None:
    """Refuse a reference in a file without another file for the result, and a file of another kind."""
    if output is None and reference.isbacked:
        text = (
            "The reference is backed by a file, and the atlas would hold all of its counts in memory. Name a file that "
            "it is written to: {output:'atlas.h5ad'}; or read the reference: reference = reference.to_memory()"
        )
        raise ArgumentError(text)
    if output is not None and Path(output).suffix.lower() != ".h5ad":
        text = "{output} is {found!r}; an .h5ad file is written: {output:'atlas.h5ad'}"
        raise ArgumentError(text, found=str(output))
    if output is not None:
        refuse_no_folder(Path(output))


def _refuse_clashes(reference: AnnData, query: AnnData, key_added: str) -> None:
    """Refuse cells of one name, and a key that holds something else than earlier updates."""
    entry = reference.uns.get(key_added)
    is_own = hasattr(entry, "get") and keys.CHANGES in entry
    if not is_own and (entry is not None or key_added in reference.obs):
        text = "{key!r} of the reference holds something that is no update; it would be lost. Pass another {key_added}."
        raise ArgumentError(text, key=key_added)
    shared = query.obs_names[query.obs_names.isin(reference.obs_names)]
    if len(shared):
        msg = (
            f"{len(shared)} cells of the query are called as cells of the reference: {listed(shared)}. If they are "
            "those cells, leave them out; else rename them: query.obs_names = 'query_' + query.obs_names"
        )
        raise ValueError(msg)


def _refuse_other_reference(known: set[str], mapped: set[str], new: list[str], key: str) -> None:
    """Refuse a mapping that was not made on this reference as it is."""
    unknown = sorted(mapped - known - set(new))
    taken = sorted(known & set(new))
    if unknown or taken:
        what = f"lacks {listed(unknown)}" if unknown else f"already has {listed(taken)}"
        msg = (
            f"The mapping in uns[{key!r}] is not of this reference, which {what}. Map the query on it first: "
            "recall_py.tl.map_query(query, reference, 'labels')"
        )
        raise ValueError(msg)


def _messages(tests: pd.DataFrame, n_unlabelled: int) -> list[CalibrationWarning]:
    differing = tests.loc[tests["verdict"] == "differs", "name"].tolist()
    if not differing:
        return []
    text = (
        "Query cells of {labels} differ from those of the reference as two clusters do: they were added without a "
        "label, {n_unlabelled} cells with those that fit none. Look: recall_py.get.mapping(query)"
    )
    return [CalibrationWarning(text, labels=listed(differing), n_unlabelled=n_unlabelled)]
