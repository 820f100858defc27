"""What a ledger holds, laid out for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pytest_ftgate.ask.ledger.stock import Stock
from pytest_ftgate.report.tables import grid

__all__ = ["size", "stock_lines"]


_KB, _MB = 1_000, 1_000_000


def size(count: int) -> str:
    """Return a number of bytes as a person would say it."""
    return f"{count / _MB:,.1f} MB" if count >= _MB else f"{count / _KB:,.0f} kB"


def stock_lines(name: str, held: Stock) -> Iterator[str]:
    """Yield what the ledger *name* holds, by provider and model."""
    replies = sum(one.replies for one in held.models)
    claims = f", {held.claims:,} being asked or left by a killed run" if held.claims else ""
    yield f"{name}: {size(held.bytes)}, {replies:,} replies{claims}"
    if not held.models:
        return
    rows = [
        [
            one.provider or "unknown",
            one.model,
            f"{one.replies:,}",
            size(one.bytes),
            _day(one.oldest),
            _day(one.newest),
        ]
        for one in held.models
    ]
    headers = ["provider", "model", "replies", "size", "oldest", "newest"]
    yield from (f"  {line}" for line in grid(rows, headers, right=(2, 3)).split("\n"))


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()
