"""``recall-py test``: the labels of one file, tested."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from recall_py.adata import keys
from recall_py.adata.programmes import whole_reason
from recall_py.adata.stored import find_record, programmes_of
from recall_py.cli.beside import Beside
from recall_py.cli.cluster import guarded, rounded_layer
from recall_py.cli.output import print_programmes, print_table, shown_evidence
from recall_py.cli.rescue import pairs_rescued
from recall_py.files.containers import stored
from recall_py.files.store import opened, refuse_unwritable_tables, write_result

if TYPE_CHECKING:
    from anndata import AnnData


def test_file(
    source: Path, target: Path | None, asked: dict[str, Any], beside: Beside, *, round_counts: bool, quiet: bool
) -> None:
    """Test the labels of one file."""
    from recall_py import tl

    beside.refuse_unfit(source, target)
    key, groupby = asked.get("key_added", keys.PAIR_TESTS), asked["groupby"]
    keys.refuse_unusable(key)
    with ExitStack() as stack:
        refuse_changed = stack.enter_context(guarded(source, target))
        held = stack.enter_context(stored(source, target))
        adata = stack.enter_context(opened(held, source))
        if target is not None:
            refuse_unwritable_tables(adata, held, target)
        added: list[tuple[str, str | None]] = []
        if round_counts:
            added += rounded_layer(adata, asked.get("layer"))
            asked = {**asked, "layer": None}
        tl.test_clusters(adata, **asked)
        if keys.AGAIN in find_record(adata, key):
            added.append(("obs", None))
        if target is not None:
            with pairs_rescued(adata, key, target):
                refuse_changed()
                write_result(adata, held, target, [("uns", key), *added], None)
        beside.write(adata, key, "test", source, target)
        if not quiet:
            tell_tests(adata, key, groupby)


def tell_tests(adata: AnnData, key: str, groupby: str) -> None:
    """Print which labels are supported, and what those that are not would be merged with."""
    import numpy as np
    import pandas as pd

    from recall_py import get

    pairs, clusters, programmes = (
        get.pairs(adata, key),
        get.clusters(adata, key),
        programmes_of(find_record(adata, key)),
    )
    shown = pd.DataFrame(
        {
            "labels": pairs["group"] + " and " + pairs["reference"],
            "cells": pairs["n_group"].astype(str) + " and " + pairs["n_reference"].astype(str),
            "evidence": [shown_evidence(*of) for of in zip(pairs["evidence"], pairs["near"], strict=True)],
            "p": ["" if p != p else f"{p:.2g}" for p in pairs["p_value"]],
            "passes": np.where(pairs["passes"], "yes", "no"),
        }
    )
    least = f"{pairs['threshold'].max():.3g}"
    print_table(f"pairs of {groupby} (a pair stands above {least} times the lead that is needed)", shown)
    compared = pairs[pairs["kind"] == "pair"]
    passing = int(compared["passes"].sum())
    typer.echo(f"{passing} of {len(compared)} pairs are supported by their genes, {len(compared) - passing} are not")
    for row in clusters[clusters["merge_with"] != ""].itertuples():
        typer.echo(f"{row.cluster} is not supported: it would be merged with {row.merge_with}")
    for pair in pairs[pairs["programmes"] != ""].to_dict("records"):
        why = whole_reason(pair["programmes"], pair["evidence_with_programmes"])
        typer.echo(f"{pair['group']} and {pair['reference']}: {why}")
    print_programmes(programmes)
