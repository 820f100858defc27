"""Notes: what a reader should know, as kinds with values; ``reporting.notes`` has their words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

#: A value of a note, which may be another note too. All of them survive JSON unchanged.
NoteValue = str | int | float | bool | tuple[str, ...]


class NoteKind(StrEnum):
    """What a note of a gate is about. The words of each kind name its values."""

    #: The *text* of a server, an exception or a plugin.
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Note:
    """What a reader should know about a check, a verdict or an advice.

    Attributes:
        kind: a member of ``NoteKind``, or of the kinds of findings or of reasons.
        values: what the words of the kind name; shares from 0 to 1, as everywhere.
    """

    kind: str
    values: Mapping[str, NoteValue | Note] = field(default_factory=dict)


def note(kind: str, /, **values: NoteValue | Note) -> Note:
    """Return a note of *kind* with its *values*."""
    return Note(str(kind), values)


def text_note(text: str) -> Note:
    """Return a note with a *text* that is not ours: of a server, an exception or a plugin."""
    return note(NoteKind.TEXT, text=text)
