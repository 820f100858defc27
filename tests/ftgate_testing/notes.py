"""Notes as the sentences that users see."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_ftgate import note_text
from pytest_ftgate.gates.notes import Note


def texts(notes: Iterable[Note]) -> tuple[str, ...]:
    """Return the sentence of each of *notes*."""
    return tuple(map(note_text, notes))
