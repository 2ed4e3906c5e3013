"""Whether a sparse matrix is sound: asked before compiled code follows its pointers, which it does unguarded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


class DamagedError(ValueError):
    """A matrix cannot be read as it is stored; made of what is wrong with it, and where it was found."""

    def __str__(self) -> str:
        what, place = self.args
        return f"{place} is damaged: {what}. Copy or download its file again, or write it anew."


def refuse_damaged(matrix: Any, place: str | None = None) -> None:
    """Refuse a sparse matrix in memory that points outside itself.

    Raises
    ------
    DamagedError
        With the name of the `place`.
    """
    place = place or place_of(matrix)
    _refuse_indptr(matrix, matrix.indptr, place)
    _refuse_indices(matrix, matrix.indices, place)


def read_indptr(matrix: Any) -> NDArray[np.integer[Any]]:
    """Where the rows of a CSR matrix, or the columns of a CSC matrix, begin and end, in memory or in a file.

    Raises
    ------
    DamagedError
        If they are not those of a matrix of this size with these stored values.
    """
    indptr = read(_stored(matrix, "indptr"), ..., place_of(matrix))
    _refuse_indptr(matrix, indptr, place_of(matrix))
    return indptr


def read_lines(matrix: Any, starts: NDArray[np.integer[Any]], stops: NDArray[np.integer[Any]]) -> Any:
    """Some rows of a CSR matrix, or columns of a CSC matrix, by where they begin and end; see :func:`read_indptr`.

    Raises
    ------
    DamagedError
        If an index leads outside the matrix, or the file cannot be read there.
    """
    place = place_of(matrix)
    indices, data = (read_stretches(_stored(matrix, name), starts, stops, place) for name in ("indices", "data"))
    _refuse_indices(matrix, indices, place)
    kind, (_, across) = _kind(matrix), _lengths(matrix)
    shape = (starts.size, across)
    ends = np.concatenate([[0], np.cumsum(stops - starts)])
    return kind((data, indices, ends), shape=shape if matrix.format == "csr" else shape[::-1])


def read_edges(matrix: Any, lines: slice) -> NDArray[np.integer[Any]]:
    """Where some adjoining rows of a CSR matrix, or columns of a CSC matrix, begin, and where the last one ends."""
    found: NDArray[np.integer[Any]] = read(
        _stored(matrix, "indptr"), slice(lines.start, lines.stop + 1), place_of(matrix)
    )
    return found


def read_stretches(
    stored: Any, starts: NDArray[np.integer[Any]], stops: NDArray[np.integer[Any]], place: str, *across: slice
) -> NDArray[Any]:
    """Stretches of an array along its first axis, ascending, one behind the other.

    Nothing else is read, but for what lies between two of them in one chunk of a file, which is unpacked whole anyway.

    Raises
    ------
    DamagedError
        If the file that holds it cannot be read there.
    """
    apart = starts[1:] != stops[:-1]
    begins, ends = starts[np.r_[True, apart][: starts.size]], stops[np.r_[apart, True][: stops.size]]
    chunk = (getattr(stored, "chunks", None) or (1,))[0]
    spans: list[list[tuple[int, int]]] = []
    for start, stop in zip(begins.tolist(), ends.tolist(), strict=True):
        if spans and _in_one_chunk(spans[-1][0][0], spans[-1][-1][1], start, stop, chunk):
            spans[-1].append((start, stop))
        elif start < stop:
            spans.append([(start, stop)])
    widths = [len(range(*part.indices(size))) for part, size in zip(across, stored.shape[1:], strict=True)]
    found = np.empty((int((ends - begins).sum()), *widths), dtype=stored.dtype)
    free = 0
    for span in spans:
        first = span[0][0]
        values = read(stored, (slice(first, span[-1][1]), *across), place)
        for start, stop in span:
            found[free : free + stop - start] = values[start - first : stop - first]
            free += stop - start
    return found


def read(stored: Any, where: Any, place: str) -> Any:
    """Part of an array, in memory or in a file.

    Raises
    ------
    DamagedError
        If the file that holds it cannot be read there.
    """
    try:
        return stored[where]
    except (OSError, RuntimeError) as error:
        raise DamagedError(f"it cannot be read further ({type(error).__name__}: {error})", place) from error


def place_of(matrix: Any) -> str:
    """Where a matrix lies in its file, such as ``layers/counts``."""
    return getattr(getattr(matrix, "group", matrix), "name", "The matrix").strip("/")


def _in_one_chunk(first: int, last: int, start: int, stop: int, chunk: int) -> bool:
    """Whether a stretch is read with what comes before, from `first` to `last`, because it begins in the same chunk."""
    return start // chunk == (last - 1) // chunk and stop - first <= 2 * chunk


def _stored(matrix: Any, name: str) -> Any:
    """One of the three arrays of a sparse matrix, in memory or in a file."""
    stored = getattr(matrix, name) if sparse.issparse(matrix) else matrix.group.get(name)
    if len(getattr(stored, "shape", ())) != 1:
        raise DamagedError(f"it has no array {name!r}", place_of(matrix))
    return stored


def _kind(matrix: Any) -> Any:
    return sparse.csr_matrix if matrix.format == "csr" else sparse.csc_matrix


def _lengths(matrix: Any) -> tuple[int, int]:
    """Along the axis of the pointers, and across it."""
    n_rows, n_columns = matrix.shape
    return (n_rows, n_columns) if matrix.format == "csr" else (n_columns, n_rows)


def _refuse_indptr(matrix: Any, indptr: NDArray[Any], place: str) -> None:
    n_lines, _ = _lengths(matrix)
    sizes = {name: _stored(matrix, name).shape for name in ("indices", "data")}
    if indptr.shape != (n_lines + 1,) or indptr.dtype.kind not in "iu":
        what = f"indptr has {indptr.size} values of {indptr.dtype}, and must have {n_lines + 1} integers"
    elif indptr[0] != 0:
        what = f"indptr begins at {indptr[0]}, not at 0"
    elif (falling := indptr[1:] < indptr[:-1]).any():
        at = int(falling.argmax())
        what = f"indptr falls from {indptr[at]} to {indptr[at + 1]}"
    elif any(size != (indptr[-1],) for size in sizes.values()):
        stored = " and ".join(f"{size[0]} {name}" for name, size in sizes.items())
        what = f"indptr ends at {indptr[-1]}, but {stored} are stored"
    else:
        return
    raise DamagedError(what, place)


def _refuse_indices(matrix: Any, indices: NDArray[Any], place: str) -> None:
    _, across = _lengths(matrix)
    if indices.dtype.kind not in "iu":
        raise DamagedError(f"its indices are {indices.dtype}, not integers", place)
    if not indices.size:
        return
    lowest, highest = indices.min(), indices.max()
    if lowest < 0 or highest >= across:
        raise DamagedError(f"an index is {lowest if lowest < 0 else highest}, outside 0 to {across - 1}", place)
