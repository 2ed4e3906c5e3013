"""How merged or tested clusters are made again: on the command line, or in Python where only that can say it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py.adata import keys
from recall_py.adata.programmes import USUAL
from recall_py.adata.stored import programmes_of
from recall_py.method.params import ALPHA
from recall_py.run.options import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recall_py.adata.stored import StoredMerging

_VALUES = (
    "resolution", "flavor", "n_iterations", "partition_type", "n_orders",
    "layer", "batch_key", "neighbors_key", "obsp",
)  # fmt: skip
"""Arguments that are options with a value."""
_FLAGS = ("use_weights", "directed")
_FUNCTIONS = {"cluster": "leiden", "merge": "merge_clusters", "test": "test_clusters"}
_NOT_ASKED = ("algorithm", "graph", "seconds", "restrict_to")
_BY_NAME = "genes by name"


def repeat(result: StoredMerging, source: str, target: str) -> str:
    """The command that makes the result again, or the call in Python or R."""
    if "call" in result.clustering:
        return str(result.clustering["call"])
    return _call(result) if _needs_python(result) else _command(result, source, target)


def _needs_python(result: StoredMerging) -> bool:
    """Whether something was given that no option of the command line can name."""
    how = result.clustering
    unknown = set(how) - {*_VALUES, *_FLAGS, *_NOT_ASKED}
    graph = str(how.get("graph", result.around.get("connectivities", "")))
    column, *names = np.asarray(how.get("restrict_to", ("",))).astype(str).tolist()
    unspeakable = ":" in column or any("," in name for name in names)
    named = (
        str(result.record["selection"]).startswith(_BY_NAME) or str({**result.around, **how}.get("modality", "")) != ""
    )
    return bool(unknown) or graph == "adjacency" or named or unspeakable


def _command(result: StoredMerging, source: str, target: str) -> str:
    asked, how = _asked(result), result.clustering
    doing = "cluster" if how else "merge" if result.merges_clusters else "test"
    first = {"algorithm": str(how["algorithm"])} if how else {}
    told = words({**first, **asked}, _FUNCTIONS[doing], always=("algorithm", *asked))
    return shlex.join(["recall-py", doing, source, *(["-o", target] if result.merges_clusters else []), *told])


def _call(result: StoredMerging) -> str:
    asked, how = _asked(result), result.clustering
    function = str(how["algorithm"]) if how else "merge_clusters" if result.merges_clusters else "test_clusters"
    said = ["adata"]
    for name, value in asked.items():
        if name == "restrict_to":
            column, *names = np.asarray(how["restrict_to"]).astype(str).tolist()
            said.append(f"restrict_to={(column, names)!r}")
        else:
            plain = value.item() if isinstance(value, np.generic) else value
            said.append(f"{name}={plain!r}")
    if str(how.get("graph", "")) == "adjacency":
        said.append("adjacency=graph")
    if str(result.record["selection"]).startswith(_BY_NAME):
        said.append(f"genes=adata.uns[{result.key!r}]['recall']['genes']")
    return f"recall_py.tl.{function}({', '.join(said)})"


def _asked(result: StoredMerging) -> dict[str, Any]:
    """Arguments of the call that are not those that it has when they are left out."""
    around, how = result.around, result.clustering
    restricted = str(around.get("restrict_to", ""))
    if how:
        others = sorted(set(how) - {*_VALUES, *_FLAGS, *_NOT_ASKED})
        asked = {name: how[name] for name in (*_VALUES, *_FLAGS, *others) if name in how}
        usual = str(how["algorithm"])
    else:
        asked = {
            name: around[name]
            for name in ("groupby", "layer", "batch_key", "modality")
            if str(around.get(name, "")) and str(around[name])
        }
        if "method" in around:
            names = ("method", "neighbors_key")
            asked |= {"groupby": str(around["labels"])}
            asked |= {name: str(around[name]) for name in names if str(around[name])}
        asked |= {name: True for name in ("external", "all_pairs", "merge_small") if bool(around.get(name, False))}
        asked |= _graph(around)
        usual = f"{around['groupby']}{keys.MERGED_SUFFIX}" if result.merges_clusters else keys.PAIR_TESTS
    programmes = tuple(found.programme for found in programmes_of(result.record))
    if programmes != USUAL:
        asked["programmes"] = programmes
    if float(result.params["alpha"]) != ALPHA:
        asked["alpha"] = float(result.params["alpha"])
    if restricted:
        asked["restrict_to"] = restricted
    key = keys.final_key(usual, usual, restricted=bool(restricted))
    if result.key != key:
        asked["key_added"] = result.key
    return {**asked, "random_state": result.seed}


def _graph(around: Mapping[str, Any]) -> dict[str, str]:
    """The slot of the graph, where it is not that of ``sc.pp.neighbors``."""
    slot = str(around.get("connectivities", "")).removeprefix("obsp['").removesuffix("']")
    return {} if slot in ("", "connectivities") else {"obsp": slot}
