"""One integer seed from whatever the caller passes as a source of randomness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Rng = np.random.Generator | np.random.SeedSequence | int | Sequence[int]
"""What scanpy 1.13 takes as ``rng``."""

_BOUND = 2**31 - 1
"""leidenalg and igraph take seeds of 31 bits."""


def resolve_seed(random_state: int | np.random.RandomState | None, rng: Rng | None = None) -> int:
    """Seed of a run, 0 <= seed < 2^31 - 1.

    `rng` wins if given (the argument of scanpy from 1.13 on): an int is the seed itself, a generator is advanced. None
    for both draws a new seed, which the record of the run holds.
    """
    source = random_state if rng is None else rng
    if isinstance(source, np.random.RandomState):
        return int(source.randint(_BOUND))
    if isinstance(source, int | np.integer):
        if source < 0:
            msg = f"The seed {source} is negative; 0 or more is needed."
            raise ValueError(msg)
        return int(source) if source < _BOUND else int(np.random.default_rng(source).integers(_BOUND))
    return int(np.random.default_rng(source).integers(_BOUND))
