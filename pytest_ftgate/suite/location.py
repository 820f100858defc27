"""A suite while it is resolved, and the position of one variant in its file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ftgate.adapters.lora import adapter_path
from pytest_ftgate.readers.yaml import KeyPath
from pytest_ftgate.suite.declaration import DeclaredSuite, DeclaredVariant
from pytest_ftgate.suite.model import Case, ReplyRules
from pytest_ftgate.suite.plugins import SuiteSource


@dataclass(frozen=True, slots=True)
class SuiteDraft:
    """A suite whose variants, gates and judges are being resolved. Errors go to *source*.

    Attributes:
        source: the suite file.
        declared: its validated content.
        cases: the cases of the suite.
        reply: the suite's rules for replies.
    """

    source: SuiteSource
    declared: DeclaredSuite
    cases: tuple[Case, ...]
    reply: ReplyRules


@dataclass(frozen=True, slots=True)
class VariantLocation:
    """The position of the variant *name*, with the keys that it declares itself.

    Attributes:
        suite: its suite.
        outer_path: the keys to a variant outside ``variants``, such as a judge's model.
        outer_name: the name of such a variant in messages.
    """

    suite: SuiteDraft
    name: str
    declared: DeclaredVariant
    outer_path: KeyPath = ()
    outer_name: str = ""

    @property
    def source(self) -> SuiteSource:
        """The suite file."""
        return self.suite.source

    @property
    def key_path(self) -> KeyPath:
        """The keys from the top of the suite file to the variant."""
        return self.outer_path or ("variants", self.name)

    @property
    def display_name(self) -> str:
        """The name of the variant in messages."""
        return self.outer_name or f'variant "{self.name}"'

    def line(self, key: str = "") -> int:
        """Return the line of the variant, or of one of its keys."""
        return self.source.line(*self.key_path, *filter(None, [key]))

    def add_error(self, key: str, message: str) -> None:
        """Add an error at *key* of the variant."""
        self.source.add_error(self.line(key), f"{self.display_name}: {message}")

    def add_missing(self, key: str, message: str) -> None:
        """Add an error for a missing key, unless the key was written and has an error already."""
        written = (*self.key_path, key) in self.source.document.lines
        if not written or key in self.declared.model_fields_set:
            self.add_error(key, message)

    def find_file(self, written: str | None, key: str, *, folders: bool = False) -> Path | None:
        """Return the file that *key* names, or None after adding an error.

        With *folders* it may be a folder.
        """
        if written is None:
            return None
        what = f"{self.display_name}: {key}"
        return self.source.find_file(written, self.line(key), what, folders=folders)

    def find_adapter(self, written: str | None) -> Path | None:
        """Return the file or folder of the adapter, or None after adding an error."""
        if written is None:
            return None
        what, line = f"{self.display_name}: adapter", self.line("adapter")
        path = self.source.find_file(written, line, what, anywhere=True, folders=True)
        return adapter_path(path) if path else None

    def read_schema(self, written: str, key: str) -> Mapping[str, Any] | None:
        """Return the JSON Schema in the file that *key* names, or None after adding an error."""
        path = self.find_file(written, key)
        text = self.source.read_text(path, self.line(key), key) if path else None
        if text is None:
            return None
        try:
            schema = json.loads(text)
        except ValueError as error:
            self.add_error(key, f"{key}: {written} is not JSON: {error}")
            return None
        if not isinstance(schema, dict):
            self.add_error(key, f"{key}: {written} is no schema; one is a JSON object")
            return None
        return schema
