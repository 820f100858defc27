"""The words of notes, by kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_ftgate.gates.notes import Note, NoteKind
from pytest_ftgate.reporting.reasons import REASONS
from pytest_ftgate.reporting.wording import Words, fill

_WORDS: Mapping[str, Words] = {
    NoteKind.TEXT: "{text}",
    **REASONS,
}


def note_text(note: Note) -> str:
    """Return a note in a sentence, without its full stop."""
    texts = {
        name: note_text(value) if isinstance(value, Note) else value
        for name, value in note.values.items()
    }
    return fill(_WORDS[note.kind], texts)


def notes_text(notes: Iterable[Note]) -> str:
    """Return *notes* in one sentence, joined by semicolons."""
    return "; ".join(map(note_text, notes))
