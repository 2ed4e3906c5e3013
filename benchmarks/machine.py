"""What the figures were measured on."""

import datetime
import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("recall-py", "scanpy", "anndata", "numba", "numpy", "scipy", "igraph", "leidenalg")


def describe_machine(*more_packages):
    """Processor, memory, load, versions and date, as a dictionary and as one sentence."""
    facts = {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in (*PACKAGES, *more_packages)},
        "date": datetime.date.today().isoformat(),
    }
    versions = ", ".join(f"{name} {facts[name]}" for name in (*PACKAGES, *more_packages))
    sentence = (
        f"Measured on {facts['date']} on {facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB of memory, "
        f"load {facts['load']} at the start; Python {facts['python']}, {versions}."
    )
    return facts, sentence


def _cpu_model():
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
