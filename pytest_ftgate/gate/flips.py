"""The cases that turned: what was expected, what was said before, what is said now."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_ftgate.gate.verdict import Flip
from pytest_ftgate.score.sheet import Column, Row

__all__ = ["MOST", "flips"]

#: A verdict carries no more flips than a person would read; the counts are of all.
MOST = 40
_LONGEST = 600


def flips(
    before: Column | None,
    after: Column,
    value: Callable[[Row], float | None],
    then: Mapping[str, float | None] | None = None,
) -> tuple[Flip, ...]:
    """Return the cases that *before* has and *after* has not, then those gained.

    Args:
        before: the side compared with; without one, every case that *after* gets wrong is told.
        after: the variant.
        value: what is compared of a row.
        then: the values compared with, where their replies are no longer known.
    """
    if then is None and before is not None:
        then = {key: value(row) for key, row in before.rows.items()}
    turned = [_flip(before, row, value(row), then) for row in after.rows.values()]
    found = [flip for flip in turned if flip is not None]
    return tuple(sorted(found, key=lambda flip: not flip.lost))


def _flip(
    before: Column | None, row: Row, now: float | None, then: Mapping[str, float | None] | None
) -> Flip | None:
    old = before.rows.get(row.case.id) if before else None
    was = 1.0 if then is None else then.get(row.case.id)
    if now is None or was is None or now == was:
        return None
    expected = row.case.expected
    broken = next((score.broken for score in row.scores if score.broken), None)
    return Flip(
        case=row.case.id,
        where=row.case.where,
        lost=now < was,
        shown=row.case.shown[:_LONGEST],
        expected=" | ".join(map(str, expected)) if isinstance(expected, list) else str(expected),
        before=_text(old) if old else "",
        now=_text(row),
        why=f"{broken.kind}: {broken.detail}".rstrip(": ") if broken else "",
        skill=row.case.skill or "",
    )


def _text(row: Row) -> str:
    """Return the first reply; half a character, as a cut may leave, is written out."""
    text = row.replies[0].text[:_LONGEST] if row.replies else ""
    return text.encode("utf-8", "backslashreplace").decode()
