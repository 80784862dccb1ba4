"""Long lists a page at a time, cut by the server."""

from collections.abc import Sequence
from typing import Any

import attrs


@attrs.frozen
class Page:
    rows: Sequence[Any]
    number: int                         # 1-based
    pages: int
    total: int

    @classmethod
    def of(cls, rows: Sequence[Any], number: str, size: int) -> "Page":
        """The page a visitor asked for, or the nearest there is."""
        pages = max(1, -(-len(rows) // size))
        wanted = min(max(int(number) if number.isdecimal() and len(number) < 9 else 1, 1), pages)
        return cls(rows[(wanted - 1) * size : wanted * size], wanted, pages, len(rows))


def fits(query: str, *texts: str) -> bool:
    """Whether every word of a query occurs in one of the texts."""
    together = " ".join(texts).casefold()
    return all(word in together for word in query.casefold().split())


def names(text: str) -> tuple[str, ...]:
    """Names of a form's field, separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
