"""Make recall_py/adata/programmes.csv: the lists of data/programmes, with names and Ensembl ids of human and mouse.

Run it in a folder with the four tables that name genes (see data/README.md):

    python data/make_programmes.py org.Hs.eg.sqlite GENCODEv44_Gene_id2name.csv human_to_mouse.csv mouse_to_human.csv \
        pbmc3k_genes.txt

A gene is written once for each of its names: the one in the published list, the present one, and the one in the
annotation of GRCh37 that 10x files of that time use (the names in the last file). No id is made up: where none of the
tables has one, the field is empty.
"""

from __future__ import annotations

import csv
import re
import sqlite3
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

LISTS = Path(__file__).parent / "programmes"
TABLE = Path(__file__).parents[1] / "recall_py" / "adata" / "programmes.csv"
TIROSH = "Tirosh 2016 doi:10.1126/science.aad0501"
MACOSKO = "Macosko 2015 doi:10.1016/j.cell.2015.05.002"
VAN_DEN_BRINK = "van den Brink 2017 doi:10.1038/nmeth.4437"
HALLMARK = "MSigDB 7.5.1 HALLMARK_{} doi:10.1016/j.cels.2015.12.004"

OPEN_FRAME = re.compile(r"C\d+orf")
"""Symbols by chromosome, which mouse genes never had."""
RENAMED = {"HN1": "JPT1"}
"""Former symbols that other genes have as an alias: the gene that Seurat's cc.genes.updated.2019 has in their place."""


class Gene(NamedTuple):
    """One gene of one species: its present symbol and its Ensembl id, empty where no table has it."""

    symbol: str
    ensembl: str


class Orthologue(NamedTuple):
    """A gene of the other species, as Ensembl Compara relates it."""

    symbol: str
    kind: str
    confidence: str

    @classmethod
    def read(cls, row: dict[str, str], other: str) -> Orthologue:
        """The gene of the species `other` in a row of the table."""
        names = (f"{other} gene name", f"{other} homology type", f"{other} orthology confidence [0 low, 1 high]")
        return cls(*(row[name] for name in names))


class Human:
    """Human genes: GENCODE v44 for symbols and ids, NCBI Gene for former symbols."""

    def __init__(self, database: str, gencode: str, former: str) -> None:
        with sqlite3.connect(database) as tables:
            symbols = dict(tables.execute("SELECT _id, symbol FROM gene_info"))
            aliases, ids = defaultdict(set), defaultdict(set)
            for gene, alias in tables.execute("SELECT _id, alias_symbol FROM alias"):
                aliases[alias].add(symbols[gene])
            for gene, ensembl in tables.execute("SELECT _id, ensembl_id FROM ensembl"):
                ids[symbols[gene]].add(ensembl)
        self.present = set(symbols.values())
        self.owner = {alias: next(iter(owners)) for alias, owners in aliases.items() if len(owners) == 1} | RENAMED
        self.ncbi_ids = ids
        self.gencode = defaultdict(list)
        for ensembl, symbol in csv.reader(Path(gencode).read_text().splitlines()):
            self.gencode[symbol].append(ensembl)
        on_10x = set(Path(former).read_text().split())
        self.former = defaultdict(list)
        for alias, symbol in self.owner.items():
            if alias in on_10x and alias not in self.present and alias not in self.gencode and symbol not in on_10x:
                self.former[symbol].append(alias)

    def gene(self, name: str) -> Gene:
        """The gene that `name` is or was the symbol of."""
        if name not in self.gencode and name not in self.present:
            name = self.owner.get(name, name)
        found = self.gencode.get(name, [])
        known = self.ncbi_ids[name]
        chosen = [ensembl for ensembl in found if ensembl in known] or found or sorted(known)
        if len(chosen) > 1:
            print(f"several ids of {name}: {chosen}", file=sys.stderr)
        return Gene(name, chosen[0] if chosen else "")

    def names(self, name: str) -> list[str]:
        """Every name to write for `name`."""
        symbol = self.gene(name).symbol
        return list(dict.fromkeys([name, symbol, *self.former[symbol]]))


class Mouse:
    """Mouse genes of Ensembl, and which human gene each is the orthologue of."""

    def __init__(self, from_human: str, from_mouse: str) -> None:
        self.ids = defaultdict(list)
        self.human_of = defaultdict(list)
        for row in csv.DictReader(Path(from_mouse).read_text().splitlines()):
            if row["Gene name"] and row["Gene stable ID"] not in self.ids[row["Gene name"]]:
                self.ids[row["Gene name"]].append(row["Gene stable ID"])
            if row["Human gene name"]:
                self.human_of[row["Gene name"]].append(Orthologue.read(row, "Human"))
        self.mouse_of = defaultdict(list)
        for row in csv.DictReader(Path(from_human).read_text().splitlines()):
            if row["Mouse gene name"]:
                self.mouse_of[row["Gene stable ID"]].append(Orthologue.read(row, "Mouse"))

    def gene(self, name: str) -> Gene:
        """The gene with this symbol."""
        if len(self.ids[name]) > 1:
            print(f"several ids of {name}: {self.ids[name]}", file=sys.stderr)
        return Gene(name, self.ids[name][0] if self.ids[name] else "")

    def orthologues(self, human: Gene) -> list[str]:
        """Symbol of the one-to-one orthologue of `human`, else of the mouse gene of its name, else of the only one."""
        found = self.mouse_of[human.ensembl] if human.ensembl else []
        same = [name for name in [human.symbol.capitalize()] if self.ids.get(name)]
        return _certain(found) or same or ([found[0].symbol] if len(found) == 1 else [])


def _certain(found: list[Orthologue]) -> list[str]:
    return sorted({gene.symbol for gene in found if gene.kind == "ortholog_one2one" and gene.confidence == "1"})


def rows(human: Human, mouse: Mouse) -> list[tuple[str, str, str, str, str]]:
    """(programme, symbol, ensembl, species, source) of every name."""
    table: dict[tuple[str, str, str], tuple[str, str]] = {}

    def add(programme: str, symbol: str, gene: Gene, species: str, source: str) -> None:
        table.setdefault((programme, symbol, species), (gene.ensembl, source))

    def add_human(programme: str, name: str, source: str) -> Gene:
        gene = human.gene(name)
        for symbol in human.names(name):
            add(programme, symbol, gene, "human", source)
        return gene

    def add_from_human(programme: str, file: str, source: str) -> None:
        for name in (LISTS / file).read_text().split():
            gene = add_human(programme, name, source)
            for other in mouse.orthologues(gene):
                add(programme, other, mouse.gene(other), "mouse", source)
                former = name.capitalize()  # both species have the same symbols, so they had the same before
                if gene.symbol.lower() == other.lower() and former not in mouse.ids and not OPEN_FRAME.match(name):
                    add(programme, former, mouse.gene(other), "mouse", source)

    def add_from_mouse(programme: str, file: str, source: str) -> None:
        for name in (LISTS / file).read_text().split():
            # A former symbol is that of the orthologue of the human gene that had the same.
            symbols = [name] if mouse.ids[name] else mouse.orthologues(human.gene(name.upper()))
            for symbol in dict.fromkeys([name, *symbols]):
                add(programme, symbol, mouse.gene(symbols[0] if symbols else name), "mouse", source)
            for symbol in symbols:
                same = [other for other in [human.gene(name.upper())] if other.ensembl]
                for other in _certain(mouse.human_of[symbol]) or [gene.symbol for gene in same]:
                    add_human(programme, other, source)

    add_from_human("cycle_s", "tirosh2016_s.txt", TIROSH)
    add_from_human("cycle_g2m", "tirosh2016_g2m.txt", TIROSH)
    for name in ("E2F_TARGETS", "G2M_CHECKPOINT"):
        add_from_human("cycle_hallmark", f"hallmark_{name.lower()}.txt", HALLMARK.format(name))
    add_from_human("cycle_macosko", "macosko2015.txt", MACOSKO)
    add_from_mouse("dissociation", "vandenbrink2017.txt", VAN_DEN_BRINK)
    for programme in ("ribosomal", "mitochondrial"):
        for name in (LISTS / f"gencode_{programme}_human.txt").read_text().split():
            add_human(programme, name, "GENCODE v34")
        for name in (LISTS / f"gencode_{programme}_mouse.txt").read_text().split():
            add(programme, name, mouse.gene(name), "mouse", "GENCODE vM25")
    for name in (LISTS / "gencode_mitochondrial_copies_human.txt").read_text().split():
        add_human("mitochondrial", name, "GENCODE v44")
    return [(programme, symbol, *rest[:1], species, rest[1]) for (programme, symbol, species), rest in table.items()]


def main(database: str, gencode: str, from_human: str, from_mouse: str, former: str) -> None:
    """Write the table."""
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["programme", "symbol", "ensembl", "species", "source"])
        writer.writerows(rows(Human(database, gencode, former), Mouse(from_human, from_mouse)))


if __name__ == "__main__":
    main(*sys.argv[1:])
