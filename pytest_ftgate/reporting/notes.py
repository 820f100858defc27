"""The words of notes, by kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_ftgate.gates.notes import Note, NoteKind
from pytest_ftgate.reporting.finding_notes import FINDING_WORDS
from pytest_ftgate.reporting.reply_notes import CAUSE_WORDS, IDENTITY_WORDS, REPLY_WORDS
from pytest_ftgate.reporting.wording import Words, fill

_WORDS: Mapping[str, Words] = {
    NoteKind.TEXT: "{text}",
    **FINDING_WORDS,
    **REPLY_WORDS,
    **IDENTITY_WORDS,
    **CAUSE_WORDS,
}


def note_text(note: Note) -> str:
    """Return a note in a sentence, without its full stop."""
    return fill(_WORDS[note.kind], note.values)


def named_note_text(key: str, values: Mapping[str, Any]) -> str:
    """Return the note whose kind is the value *key* of a statement or a step."""
    return note_text(Note(values[key], values))


def notes_text(notes: Iterable[Note]) -> str:
    """Return *notes* in one sentence, joined by semicolons."""
    return "; ".join(map(note_text, notes))
