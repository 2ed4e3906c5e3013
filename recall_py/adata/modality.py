"""Where labels and graph are, and where the counts: one AnnData, or a MuData and one of its modalities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recall_py.words import listed

if TYPE_CHECKING:
    from anndata import AnnData


def with_counts(data: Any, modality: str | None) -> AnnData:
    """The AnnData whose counts are read: `data` itself, or the modality of a MuData, with the cells in its order.

    Raises
    ------
    KeyError
        If there is no such modality.
    ValueError
        If a MuData is given without a modality, an AnnData with one, or the modality has other cells.
    """
    modalities = getattr(data, "mod", None)
    if modalities is None:
        if modality is not None:
            msg = f"modality is {modality!r}, but this is an AnnData, which has no modalities. Leave modality out."
            raise ValueError(msg)
        counts: AnnData = data
        return counts
    names = listed(list(modalities))
    if modality is None:
        msg = f"This is a MuData with the modalities {names}. Name the one with the counts: modality='rna'"
        raise ValueError(msg)
    if modality not in modalities:
        msg = f"There is no modality {modality!r}. The MuData has: {names}."
        raise KeyError(msg)
    counts = modalities[modality]
    if counts.obs_names.equals(data.obs_names):
        return counts
    missing = data.obs_names.difference(counts.obs_names)
    if len(missing):
        msg = (
            f"{len(missing)} of the {data.n_obs} cells of the MuData are not in modality {modality!r}, such as "
            f"{missing[0]!r}. Keep those that all modalities have: muon.pp.intersect_obs(mdata)"
        )
        raise ValueError(msg)
    return counts[data.obs_names]
