"""Numbers, shares, names and times in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = 5


def listed(items: Any) -> str:
    """The first few items, and how many more there are."""
    shown = ", ".join(map(str, items[:_SHOWN]))
    return f"{shown} and {len(items) - _SHOWN} more" if len(items) > _SHOWN else shown or "none"


def shortened(name: str, most: int = 18) -> str:
    """A name that a title has room for."""
    return name if len(name) <= most else f"{name[: most - 3]}..."


def shortened_inside(name: str, most: int) -> str:
    """A name that has its end too, by which labels of one kind are told apart."""
    end = most // 3
    return name if len(name) <= most else f"{name[: most - 3 - end]}...{name[-end:]}"


def counted(n_clusters: int) -> str:
    """A number of clusters in words."""
    return "1 cluster" if n_clusters == 1 else f"{n_clusters} clusters"


def percent(share: float) -> str:
    """A share as a percentage, 100 at most; three digits where a target such as 5 % is near."""
    value = 100 * min(share, 1.0)
    return f"{value:.0f} %" if value >= 10 else f"{value:.3g} %"


def in_words(seconds: float) -> str:
    """A time such as "40 s", "3 min" or "2 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


def ordinal(number: int) -> str:
    """A place, such as "10th"."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}th" if number % 100 in (11, 12, 13) else f"{number}{ending}"


def in_one(items: Sequence[object], most: int = 12) -> str:
    """Items as a sentence has them, "3, 7 and 13"; those beyond the first few are counted."""
    shown = [str(item) for item in items[:most]]
    if len(items) > most:
        shown.append(f"{len(items) - most} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
