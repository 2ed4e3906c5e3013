"""Snakemake wrapper of ``recall-py cluster``."""

import shlex

from snakemake.shell import shell

beside = [
    f"--{name} {shlex.quote(str(snakemake.output[name]))}"  # noqa: F821  # given by Snakemake
    for name in ("report", "markers", "merges", "json")
    if name in snakemake.output.keys()  # noqa: F821, SIM118
]
command = [
    "recall-py cluster",
    shlex.quote(str(snakemake.input[0])),  # noqa: F821
    "-o",
    shlex.quote(str(snakemake.output.labelled)),  # noqa: F821
    "--resolution",
    shlex.quote(str(snakemake.params.get("resolution", "auto"))),  # noqa: F821
    "--n-jobs",
    str(snakemake.threads),  # noqa: F821
    *beside,
    snakemake.params.get("extra", ""),  # noqa: F821
    snakemake.log_fmt_shell(stdout=True, stderr=True),  # noqa: F821
]
shell(" ".join(command))
