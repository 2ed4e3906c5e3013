"""The one jit decorator of the package."""

from __future__ import annotations

import numba

# nogil lets a thread pool run blocks side by side; fastmath would turn NaN into numbers.
jit = numba.njit(nogil=True, cache=True, error_model="numpy")
