"""Results as CSV for machines and as Markdown for people."""

import math
from pathlib import Path

import pandas as pd

RESULTS = Path(__file__).parent / "results"


def write_csv(rows, name, folder=RESULTS):
    """Write the rows as ``<name>.csv``."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = Path(folder) / f"{name}.csv"
    pd.DataFrame(rows).to_csv(path, index=False, float_format="%.6g")
    print(f"wrote {path}", flush=True)


def write_markdown(sections, name, *, title, machine, command, folder=RESULTS):
    """Print `sections`, (heading, text, rows) each, and write them as ``<name>.md`` with their provenance."""
    parts = [f"# {title}", machine, f"Command: `{command}`"]
    for heading, text, rows in sections:
        parts += [f"## {heading}", text, markdown_table(rows)]
    page = "\n\n".join(part for part in parts if part) + "\n"
    print(f"\n{page}", flush=True)
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = Path(folder) / f"{name}.md"
    path.write_text(page)
    print(f"wrote {path}", flush=True)


def markdown_table(rows):
    """Rows, dictionaries each, as a Markdown table."""
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([shown(row.get(name)) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def shown(value):
    """A cell of the table; numbers with three significant digits, missing ones as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value).replace("|", "/").replace("\n", " ")
