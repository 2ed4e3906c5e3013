"""Genes of known programmes are found by whatever names the data have, and too few of them say nothing."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recall_py
from recall_py.adata.programmes import (
    MIN_GENES,
    USUAL,
    Presence,
    accepted,
    left_out,
    presence,
    programme_genes,
    programmes,
    reason,
    table,
    told,
    whole_reason,
)

MEMBERS = [
    ("cycle_s", "PCNA", "Pcna", "ENSG00000132646", "ENSMUSG00000027342"),
    ("cycle_s", "MCM5", "Mcm5", "ENSG00000100297", "ENSMUSG00000005410"),
    ("cycle_g2m", "MKI67", "Mki67", "ENSG00000148773", "ENSMUSG00000031004"),
    ("cycle_g2m", "TOP2A", "Top2a", "ENSG00000131747", "ENSMUSG00000020914"),
    ("cycle_hallmark", "CCNA2", "Ccna2", None, "ENSMUSG00000027715"),
    ("cycle_macosko", "PLK1", "Plk1", None, None),
    ("dissociation", "HSPA1A", "Hspa1a", None, "ENSMUSG00000091971"),
    ("ribosomal", "RPL3", "Rpl3", None, None),
    ("mitochondrial", "MT-CO1", "mt-Co1", "ENSG00000198804", "ENSMUSG00000064351"),
]
SIZES = {
    "cycle_s": (43, 43),
    "cycle_g2m": (54, 54),
    "cycle_hallmark": (327, 325),
    "cycle_macosko": (558, 548),
    "dissociation": (138, 140),
    "ribosomal": (78, 77),
    "mitochondrial": (441, 37),
}
"""Genes of human and of mouse."""


@pytest.mark.parametrize(("programme", "human", "mouse", "human_id", "mouse_id"), MEMBERS)
def test_member_is_found_by_each_of_its_names(programme, human, mouse, human_id, mouse_id):
    names = [name for name in (human, mouse, human_id, mouse_id) if name]
    names += [f"{name}.7" for name in (human_id, mouse_id) if name]
    names += [f"{name}-1" for name in names]
    assert programme_genes(pd.Index(names), programme).all()


def test_genes_are_told_from_others_and_stay_in_place():
    names = pd.Index(["CD3E", "TOP2A", "ENSG00000198851", "ENSG00000131747.15", "", "TOP2AP1", "TOP2A.1"])
    found = programme_genes(names, "cycle_g2m")
    assert found.dtype == np.bool_
    assert found.tolist() == [False, True, False, True, False, False, False]


def test_case_tells_the_species():
    assert not programme_genes(pd.Index(["top2a", "tOP2A", "ensg00000131747"]), "cycle_g2m").any()


@pytest.mark.parametrize(("former", "present"), [("FAM64A", "PIMREG"), ("HN1", "JPT1"), ("Fam64a", "Pimreg")])
def test_former_and_present_symbols_are_one_gene(former, present):
    assert programme_genes(pd.Index([former, present]), "cycle_g2m").all()
    rows = table()[(table()["programme"] == "cycle_g2m") & table()["symbol"].isin([former, present])]
    assert len(set(rows["ensembl"])) == 1


def test_wrong_updates_of_seurat_are_no_s_genes():
    # cc.genes.updated.2019 has these in place of MCM2, RPA2 and BRIP1, of which they are aliases.
    assert not programme_genes(pd.Index(["MCM7", "POLR1B", "MRPL36"]), "cycle_s").any()
    assert programme_genes(pd.Index(["MCM2", "RPA2", "BRIP1"]), "cycle_s").all()


def test_name_that_ends_in_a_number_is_itself():
    assert programme_genes(pd.Index(["H1-0", "H1-0-1"]), "cycle_macosko").all()


def test_unknown_programme_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"no programme 'cycle'.*cycle_s"):
        programme_genes(pd.Index(["TOP2A"]), "cycle")


@pytest.mark.parametrize("species", ["human", "mouse"])
@pytest.mark.parametrize("column", ["symbol", "ensembl"])
def test_whole_programme_is_assessable(species, column):
    names = table()[table()["species"] == species][column]
    found = presence(pd.Index(names[names != ""].unique()))
    assert [each.programme for each in found] == list(programmes())
    assert all(each.assessable for each in found)


@pytest.mark.parametrize(("n_genes", "assessable"), [(0, False), (MIN_GENES - 1, False), (MIN_GENES, True)])
def test_programme_with_fewer_than_ten_genes_is_not_assessable(n_genes, assessable):
    members = table()[(table()["programme"] == "cycle_s") & (table()["species"] == "human")]
    names = pd.Index([*members["symbol"][:n_genes], "CD3E"], dtype=str)
    found = next(each for each in presence(names) if each.programme == "cycle_s")
    assert (found.n_genes, found.assessable) == (n_genes, assessable)
    assert ("not assessable" in str(found)) is not assessable


def test_presence_is_told_in_words():
    assert str(Presence("cycle_s", 1)) == "cycle_s: not assessable (1 gene)"
    assert str(Presence("cycle_s", 43)) == "cycle_s: 43 genes"


def test_names_of_no_data_are_no_genes():
    assert programme_genes(pd.Index([]), "cycle_s").shape == (0,)
    assert not any(each.n_genes for each in presence(pd.RangeIndex(3)))


def test_few_genes_of_real_data_say_too_little():
    found = {each.programme: each for each in presence(recall_py.datasets.pbmc68k().var_names)}
    assert found["cycle_macosko"].assessable
    assert str(found["ribosomal"]) == "ribosomal: not assessable (2 genes)"


def test_table_has_every_gene_once_with_its_source():
    rows = table()
    assert not rows.duplicated(["programme", "symbol", "species"]).any()
    assert (rows[["programme", "symbol", "species", "source"]] != "").all(axis=None)
    assert set(rows["species"]) == {"human", "mouse"}
    assert rows["source"].str.contains("doi:|GENCODE").all()


def test_ids_are_of_genes_of_the_species():
    rows = table()[table()["ensembl"] != ""]
    pattern = rows["species"].map({"human": "ENSG", "mouse": "ENSMUSG"})
    assert rows["ensembl"].str.fullmatch(r"ENS(MUS)?G\d{11}").all()
    assert all(ensembl.startswith(begin) for ensembl, begin in zip(rows["ensembl"], pattern, strict=True))


def test_lists_have_their_sizes():
    genes = table().groupby(["programme", "species"])["ensembl"].nunique()
    assert {name: (genes[name, "human"], genes[name, "mouse"]) for name in programmes()} == SIZES
    assert programmes() == tuple(SIZES)


def test_published_lists_are_in_the_table_whole():
    lists = Path(__file__).parents[2] / "data" / "programmes"
    human = table()[table()["species"] == "human"]
    for programme, file in [
        ("cycle_s", "tirosh2016_s"),
        ("cycle_g2m", "tirosh2016_g2m"),
        ("cycle_macosko", "macosko2015"),
    ]:
        published = (lists / f"{file}.txt").read_text().split()
        assert set(published) <= set(human[human["programme"] == programme]["symbol"])


def test_cell_cycle_is_s_phase_and_g2_and_m_phase():
    names = pd.Index(table()["symbol"].unique())
    together = programme_genes(names, "cycle_s") | programme_genes(names, "cycle_g2m")
    np.testing.assert_array_equal(programme_genes(names, "cell_cycle"), together)
    assert USUAL == ("cell_cycle", "mitochondrial")


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (("cell_cycle",), ("cell_cycle",)),
        ("ribosomal", ("ribosomal",)),
        (["ribosomal", "cell_cycle", "ribosomal"], ("ribosomal", "cell_cycle")),
        ((), ()),
    ],
)
def test_programmes_are_taken_by_name(asked, names):
    assert accepted(asked) == names


@pytest.mark.parametrize(("asked", "message"), [(["none"], "cell_cycle, cycle_s, .*mitochondrial"), (None, r"=\(\)")])
def test_programmes_that_are_none_are_refused_with_what_there_is(asked, message):
    with pytest.raises(ValueError, match=message):
        accepted(asked)


def names_of(programme, n_genes):
    members = table()[table()["programme"].eq(programme) & table()["species"].eq("human")]
    return members["symbol"][:n_genes].tolist()


def test_genes_of_programmes_that_can_be_judged_are_left_out():
    names = [*names_of("cycle_g2m", MIN_GENES), "CD3E", *names_of("ribosomal", MIN_GENES - 1)]
    found = left_out(pd.Index(names), ("cell_cycle", "ribosomal"))
    assert found.codes.tolist() == [1] * MIN_GENES + [0] * MIN_GENES
    assert left_out(pd.Index(names), ("ribosomal", "cell_cycle")).codes.tolist() == [2] * MIN_GENES + [0] * MIN_GENES
    assert told(found.presence) == ("cell_cycle: 10 genes, not counted; ribosomal: not assessable (9 genes), counted")
    assert left_out(pd.Index(names), ("ribosomal",)).codes is None
    assert left_out(pd.Index(names), ()).codes is None


def test_genes_of_programmes_alone_leave_nothing_to_compare():
    names = pd.Index(names_of("cycle_g2m", 20))
    with pytest.raises(ValueError, match=r"All 20 genes.*belong to cell_cycle and mitochondrial.*programmes=\(\)"):
        left_out(names, USUAL)
    assert left_out(names, ()).codes is None


@pytest.mark.parametrize(
    ("asked", "short", "whole"),
    [
        (
            ["cell_cycle", "cycle_hallmark"],
            "cycling and resting cells of one type",
            "only genes of the cell cycle tell them apart (2.40 with them): cycling and resting cells of one type",
        ),
        (
            ["mitochondrial"],
            "cells of one type with many and with few mitochondrial counts",
            "only genes of the mitochondrion tell them apart (2.40 with them): "
            "cells of one type with many and with few mitochondrial counts",
        ),
        (
            ["cell_cycle", "ribosomal"],
            "only genes of the cell cycle and the ribosome tell them apart",
            "only genes of the cell cycle and the ribosome tell them apart (2.40 with them)",
        ),
    ],
)
def test_reason_names_the_programmes_that_tell_two_clusters_apart(asked, short, whole):
    assert reason(asked) == short
    assert whole_reason(short, 2.4) == whole
    assert reason([]) == ""


@pytest.mark.slow
def test_wheel_has_the_table(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        assert "recall_py/adata/programmes.csv" in wheel.namelist()
