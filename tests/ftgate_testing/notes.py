"""Notes by their kinds, and as the sentences that users see."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_ftgate import note_text
from pytest_ftgate.gates.notes import Note


def texts(notes: Iterable[Note]) -> tuple[str, ...]:
    """Return the sentence of each of *notes*."""
    return tuple(map(note_text, notes))


def kinds(notes: Iterable[Note]) -> list[str]:
    """Return the kind of each of *notes*."""
    return [note.kind for note in notes]
