"""The position of one variant in the suite file, for errors and for the files that it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ftgate.readers.yaml import Document, Where
from pytest_ftgate.suite.declaration import DeclaredVariant
from pytest_ftgate.suite.plugins import SuiteSource

__all__ = ["Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the variant *name* stands, and what it declares itself.

    Attributes:
        at: the keys that lead to it, where it is none of the suite's variants.
        called: what it is called then.
    """

    source: SuiteSource
    document: Document
    name: str
    own: DeclaredVariant
    at: Where = ()
    called: str = ""

    @property
    def where(self) -> Where:
        """The keys that lead to it."""
        return self.at or ("variants", self.name)

    @property
    def who(self) -> str:
        """What a message calls it."""
        return self.called or f'variant "{self.name}"'

    def line(self, key: str = "") -> int:
        """Return the line of the variant, or of one of its keys."""
        return self.document.line((*self.where, key) if key else self.where)

    def say(self, key: str, message: str) -> None:
        """Note a fault at one of the variant's keys."""
        self.source.say(self.line(key), f"{self.who}: {message}")

    def absent(self, key: str, message: str) -> None:
        """Note that a key is missing, unless it is there, was wrong, and has been said."""
        written = (*self.where, key) in self.document.lines
        if not written or key in self.own.model_fields_set:
            self.say(key, message)

    def file(self, written: str | None, key: str, *, anywhere: bool = False) -> Path | None:
        """Return the file that *key* names, or note why it cannot be used."""
        if written is None:
            return None
        what = f"{self.who}: {key}"
        return self.source.find(written, self.line(key), what, anywhere=anywhere)

    def schema(self, written: str, key: str) -> Mapping[str, Any] | None:
        """Return the JSON Schema in the file that *key* names, or note why it is none."""
        path = self.file(written, key)
        text = self.source.text(path, self.line(key), key) if path else None
        if text is None:
            return None
        try:
            found = json.loads(text)
        except ValueError as error:
            self.say(key, f"{key}: {written} is not JSON: {error}")
            return None
        if not isinstance(found, dict):
            self.say(key, f"{key}: {written} is no schema; one is a JSON object")
            return None
        return found
