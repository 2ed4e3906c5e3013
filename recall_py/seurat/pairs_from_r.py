"""What R calls to have clusters merged or tested by pairs: labels, a graph and counts of few cells in, tables out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from recall_py import get
from recall_py.adata import keys
from recall_py.adata.merged import write_calibrated, write_merging, write_tested
from recall_py.adata.programmes import accepted, left_out
from recall_py.adata.read import read_counts
from recall_py.method.pairs.outcomes import sampled_cells
from recall_py.method.params import MergeParams
from recall_py.run.merge import refuse_no_pair, refuse_too_many
from recall_py.run.observe import describe_outcome, finding_warnings, merging_warnings, start_warnings
from recall_py.seurat.from_r import cells_by_genes, columns, errors_in_r, in_r
from recall_py.words import listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from numpy.typing import ArrayLike, NDArray

    from recall_py.adata.programmes import LeftOut, Presence
    from recall_py.adata.read import CountData
    from recall_py.arguments import NamesArguments
    from recall_py.method.pairs.neighbours import Neighbours
    from recall_py.method.results import PairOutcome

_R_NAMES = {"resolution": "resolution", "random_state": "random.seed", "seed": "random.seed", "genes": "features"}
"""Arguments that these functions call otherwise than the search does."""
_SLOT = re.compile(r"obs\['(.*)'\]")
_MOST_GENES = 10
_LISTS = ("auc", "log2_fold_change", "log10_p", "log10_p_null", "ranks", "real", "null", "needed")
"""Columns of lists, which a data frame of R has no simple place for."""


def in_r_by_pairs(name: str, value: str) -> str:
    """An argument as R has it; a :data:`~recall_py.arguments.Speller`."""
    if slot := _SLOT.fullmatch(name):
        return f"'{slot.group(1)}'"
    if name == "sc.tl.leiden":
        return "FindClusters"
    if name == "programmes" and value == "()":
        return "programmes = NULL"
    return in_r(_R_NAMES.get(name, name), value, renamed=name not in _R_NAMES)


def sampled(codes: ArrayLike, batches: ArrayLike | None = None) -> np.ndarray:
    """Ascending positions of the cells whose counts are read, from 0; see :func:`sampled_cells`."""
    labels = _codes_from_r(codes, "labels")
    return sampled_cells(labels, _batches(batches, labels.size)).astype(np.int32)


def _batches(codes: ArrayLike | None, n_cells: int) -> NDArray[np.int32] | None:
    return None if codes is None else _codes_from_r(codes, "batches", n_cells)


def _codes_from_r(given: ArrayLike, what: str, n_cells: int | None = None) -> NDArray[np.int32]:
    """(n_cells,) codes as R's factors have them, less one.

    Raises
    ------
    ValueError
        If they are not as many, or not 0, 1, ... without a gap.
    """
    codes = np.asarray(given).ravel()
    named = np.unique(codes)
    if codes.dtype.kind not in "iu" or not np.array_equal(named, np.arange(named.size)):
        msg = f"The {what} from R are damaged: codes 0, 1, ... without a gap are needed, not {listed(named.tolist())}."
        raise ValueError(msg)
    if n_cells not in (None, codes.size):
        msg = f"The {what} from R are damaged: there are {codes.size} for {n_cells} cells."
        raise ValueError(msg)
    return codes.astype(np.int32)


class _Told:
    """An observer that hands lines and counts of pairs to functions of R."""

    def __init__(
        self,
        names: Sequence[str],
        programmes: Sequence[Presence],
        say: Callable[[str], object] | None,
        tick: Callable[[int, int], object] | None,
    ) -> None:
        self._names = names
        self._programmes = programmes
        self._say = say
        self._tick = tick
        self._n_pairs = self._n_compared = 0

    def comparing(self, n_pairs: int) -> None:
        """Say how many pairs are compared at first, and remember that so many more are known."""
        if self._say is not None and not self._n_pairs:
            self._say(f"comparing {n_pairs} pair{'' if n_pairs == 1 else 's'} of clusters with null cells")
        self._n_pairs += n_pairs

    def compared(self) -> None:
        """Count a pair."""
        self._n_compared += 1
        if self._tick is not None:
            self._tick(self._n_compared, self._n_pairs)

    def outcome(self, outcome: PairOutcome) -> None:
        """Say what was merged, and which pairs nearly were."""
        if self._say is not None and (not outcome.stands or outcome.near or outcome.kind == "batch"):
            self._say(describe_outcome(outcome, self._names, self._programmes))


def merge(
    given: Mapping[str, Any],
    counts: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    say: Callable[[str], object] | None = None,
    tick: Callable[[int, int], object] | None = None,
) -> dict[str, Any]:
    """Merge clusters; as ``FindClustersCalibrated`` and ``MergeClusters`` of the R package do.

    Parameters
    ----------
    given
        ``codes`` ((n_cells,) from 0) and ``names`` of the labels; ``column`` that they are in or will be in; ``graph``
        (``x``, ``i``, ``p`` of an (n_cells, n_cells) graph, or None) and its ``graph_name``; ``batches`` ((n_cells,)
        codes, or None). Where ``clustering`` has what clustered, the labels are those of that start.
    counts
        ``x``, ``i``, ``p``, ``genes`` and ``cells``, of the :func:`sampled` cells; ``selection``, or None where the
        genes are to be selected; ``source``.
    options
        ``external``, ``all_pairs``, ``merge_small``, ``programmes``, ``alpha``, ``seed`` and ``n_jobs``.
    say, tick
        Called with a line at the start and one for each merge, and with the number of pairs that are compared and of
        those that are known.

    Returns
    -------
    ``codes`` ((n_cells,) of the final clusters, from 0 in the order of ``labels``), ``labels``, ``merges``, ``pairs``,
    ``clusters``, ``markers`` and ``cluster_markers`` (columns by name), ``genes``, ``untested``, ``programmes``,
    ``params``, ``version``,
    ``source``, ``selection`` and ``messages``.

    Raises
    ------
    ValueError
        For options or counts that the engine refuses.
    """
    return found_of(merged_adata(given, counts, options, say=say, tick=tick))


def test(
    given: Mapping[str, Any],
    counts: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    say: Callable[[str], object] | None = None,
    tick: Callable[[int, int], object] | None = None,
) -> dict[str, Any]:
    """Compare neighbouring labels and merge nothing; as ``TestClusters`` of the R package does. See :func:`merge`."""
    return found_of(tested_adata(given, counts, options, say=say, tick=tick))


test.__test__ = False  # type: ignore[attr-defined]  # not a test, though pytest takes it for one


@errors_in_r(in_r_by_pairs)
def merged_adata(
    given: Mapping[str, Any],
    counts: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    say: Callable[[str], object] | None = None,
    tick: Callable[[int, int], object] | None = None,
) -> AnnData:
    """An AnnData without counts, with the labels of :func:`merge`, its record, and ``uns["messages"]``."""
    from recall_py.method.merging import merge_clusters

    adata, start, clustering = _labelled(given), str(given["start_column"]), given.get("clustering")
    names = adata.obs[start].cat.categories.tolist()
    data, no_support, params = _read(adata.obs[start], given, counts, options)
    merging = merge_clusters(
        _codes(adata.obs[start]),
        data.rows,
        _neighbours(given, options),
        params,
        batches=data.batches,
        left_out=no_support.codes,
        observer=_Told(names, no_support.presence, say, tick),
        n_jobs=options["n_jobs"],
    )
    column = str(given["column"])
    if clustering is None:
        asked = _asked(given, options, merge_small=params.merge_small)
        every = np.ones(adata.n_obs, dtype=np.bool_)
        write_merging(adata, column, start, names, every, data, no_support, params, merging, asked)
        messages = merging_warnings(merging, names, start)
    else:
        entry = {keys.PARAMS: {"random_state": params.seed}}
        how = {
            **clustering,
            "graph": str(given["graph_name"]),
            **({"batch_key": given["batch_key"]} if given.get("batch_key") else {}),
        }
        starting = adata.obs.pop(start)
        write_calibrated(
            adata, column, starting, None, names, "", data, no_support, params, merging, entry, how,
            first=min(map(int, names)),
        )  # fmt: skip
        messages = start_warnings(merging, names, swept=False)
    return _with_messages(adata, column, messages)


@errors_in_r(in_r_by_pairs)
def tested_adata(
    given: Mapping[str, Any],
    counts: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    say: Callable[[str], object] | None = None,
    tick: Callable[[int, int], object] | None = None,
) -> AnnData:
    """An AnnData without counts, with the labels and record of :func:`test`, and ``uns["messages"]``."""
    from recall_py.method.merging import test_clusters

    adata, start = _labelled(given), str(given["start_column"])
    names = adata.obs[start].cat.categories.tolist()
    sizes = np.bincount(_codes(adata.obs[start]))
    refuse_no_pair(sizes, MergeParams.min_cells, f"'{start}'")
    data, no_support, params = _read(adata.obs[start], given, counts, options)
    tested = test_clusters(
        _codes(adata.obs[start]),
        data.rows,
        _neighbours(given, options),
        params,
        batches=data.batches,
        left_out=no_support.codes,
        observer=_Told(names, no_support.presence, say, tick),
        n_jobs=options["n_jobs"],
    )
    key = str(given["column"])
    write_tested(adata, key, names, data, no_support, params, tested, sizes, _asked(given, options))
    return _with_messages(adata, key, finding_warnings(tested, names))


def found_of(adata: AnnData) -> dict[str, Any]:
    """What R is given of an AnnData that :func:`merged_adata` or :func:`tested_adata` made."""
    key = str(adata.uns["key"])
    record = adata.uns[key][keys.RECORD]
    merges, pairs, clusters = get.merges(adata, key), get.pairs(adata, key), get.clusters(adata, key)
    clusters["start"] = [" + ".join(parts) for parts in clusters["start"]]
    labels = adata.obs[key].cat if key in adata.obs else None
    return {
        "codes": None if labels is None else labels.codes.to_numpy().astype(np.int32),
        "labels": [] if labels is None else [str(label) for label in labels.categories],
        "start_labels": [str(label) for label in record["start_labels"]],
        "merges": _columns_of_outcomes(merges),
        "pairs": _columns_of_outcomes(pairs),
        "clusters": columns(clusters),
        "markers": columns(get.markers(adata, key)),
        "cluster_markers": columns(get.markers(adata, key, by="cluster")),
        "genes": [str(gene) for gene in record["genes"]],
        "untested": [str(label) for label in record["untested"]],
        "programmes": columns(pd.DataFrame(record["programmes"])),
        "params": dict(record["params"]),
        **{name: str(record[name]) for name in ("version", "source", "selection")},
        "messages": list(adata.uns["messages"]),
    }


def _labelled(given: Mapping[str, Any]) -> AnnData:
    """An AnnData of cells alone, with the labels at the start."""
    import anndata as ad

    codes = _codes_from_r(given["codes"], "labels")
    names = pd.Index([str(name) for name in given["names"]], dtype=object)
    sizes = np.bincount(codes)
    if sizes.size != names.size:
        msg = f"The labels from R are damaged: {sizes.size} are in use, of {names.size} names."
        raise ValueError(msg)
    labels = pd.Categorical.from_codes(codes, names)
    refuse_too_many(sizes, MergeParams.min_cells, f"'{given['start_column']}'")
    cells = pd.Index([str(cell) for cell in range(codes.size)], dtype=object)
    return ad.AnnData(obs=pd.DataFrame({str(given["start_column"]): labels}, index=cells))


def _read(
    labels: pd.Series[Any], given: Mapping[str, Any], counts: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[CountData, LeftOut, MergeParams]:
    """The counts of the sampled cells, the genes that do not count, and what decides."""
    import anndata as ad

    genes = pd.Index([str(gene) for gene in counts["genes"]], dtype=object)
    cells = pd.Index([str(cell) for cell in counts["cells"]], dtype=object)
    var = pd.DataFrame(index=genes)
    if counts["selection"] is not None:
        var[keys.HIGHLY_VARIABLE] = True
    adata = ad.AnnData(cells_by_genes(counts, len(genes)), obs=pd.DataFrame(index=cells), var=var)
    data = read_counts(adata, sampled=np.arange(len(cells)))
    batches = _batches(given.get("batches"), labels.size)
    data = replace(
        data,
        sampled=sampled_cells(_codes(labels), batches),
        batches=batches,
        source=str(counts["source"]),
        selection=data.selection if counts["selection"] is None else str(counts["selection"]),
    )
    params = MergeParams(
        alpha=float(options["alpha"]),
        merge_small=bool(options.get("merge_small", True)),
        external=bool(options["external"]),
        seed=int(options["seed"]),
    )
    return data, left_out(genes, accepted(options["programmes"])), params


def _neighbours(given: Mapping[str, Any], options: Mapping[str, Any]) -> Neighbours | None:
    from recall_py.method.pairs.neighbours import AllPairs, EdgeWeights

    if options["all_pairs"]:
        return AllPairs()
    if given["graph"] is None:
        return None
    codes = _codes_from_r(given["codes"], "labels")
    return EdgeWeights(sparse.csr_array(cells_by_genes(given["graph"], codes.size)), codes)


def _codes(labels: pd.Series[Any]) -> np.ndarray:
    return labels.cat.codes.to_numpy().astype(np.int32)


def _asked(given: Mapping[str, Any], options: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """What was asked, under the names that a record of given labels has."""
    return {
        "groupby": str(given["start_column"]),
        "batch_key": str(given.get("batch_key") or ""),
        "layer": "",
        "modality": "",
        "connectivities": str(given.get("graph_name") or ""),
        "external": bool(options["external"]),
        "all_pairs": bool(options["all_pairs"]),
        "random_state": int(options["seed"]),
        **others,
    }


def _with_messages(adata: AnnData, key: str, messages: Sequence[NamesArguments]) -> AnnData:
    adata.uns["key"] = key
    adata.uns["messages"] = [message.spelled(in_r_by_pairs) for message in messages]
    return adata


def _columns_of_outcomes(table: pd.DataFrame) -> dict[str, Any]:
    genes = [", ".join(best[:_MOST_GENES]) for best in table["genes"]]
    return columns(table.drop(columns=list(_LISTS)).assign(genes=genes))
