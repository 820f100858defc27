"""A suite while it is resolved: what plugins contribute, and the position of one variant."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.yaml import Document, KeyPath
from pytest_ftgate.suite.declaration import DeclaredSuite, DeclaredVariant
from pytest_ftgate.suite.model import Case, ReplyRules
from pytest_ftgate.suite.scorers import RuleFunction

#: Returns USD per million input and output tokens by provider and model, or None if unknown.
PriceFunction = Callable[[str, str], tuple[float, float] | None]
_NO_DOCUMENT = Document("", None, {}, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginContributions:
    """What plugins add to the names that a suite may use.

    Attributes:
        providers: the names of providers, or None if they are unknown.
        scorers, formats: functions by their name in ``score`` or ``format``.
        skills: files of cases by their name in ``skills``.
        price: returns the price of requests for variants without a declared price, or None.
    """

    providers: Collection[str] | None = ()
    scorers: Mapping[str, RuleFunction] = field(default_factory=dict)
    formats: Mapping[str, RuleFunction] = field(default_factory=dict)
    skills: Mapping[str, Path] = field(default_factory=dict)
    price: PriceFunction | None = None


@dataclass(frozen=True, slots=True)
class SuiteSource(Source):
    """The files of one suite, with the contributions of plugins.

    Attributes:
        document: the content of the suite file, with lines.
    """

    plugins: PluginContributions = field(default_factory=PluginContributions)
    document: Document = _NO_DOCUMENT

    def line(self, *key_path: str | int) -> int:
        """Return the line of *key_path* in the suite file."""
        return self.document.line(key_path)

    def written(self, key: str) -> Mapping[str, Any]:
        """Return the mapping at *key* as the suite file has it; {} if it has none."""
        value = self.document.value.get(key)
        return value if isinstance(value, Mapping) else {}

    def add_error_at(self, key_path: KeyPath, message: str) -> None:
        """Add an error at *key_path* of the suite file."""
        self.add_error(self.document.line(key_path), message)

    def has_error_in(self, key: str) -> bool:
        """Return True if an error stands in a line of what is below *key*."""
        lines = {line for key_path, line in self.document.lines.items() if key_path[:1] == (key,)}
        places = {self.place(line) for line in lines}
        return any((error.path, error.line) in places for error in self.errors)


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

    def find_file(self, written: str | None, key: str, **places: bool) -> Path | None:
        """Return the file that *key* names, or None after adding an error.

        *places* says whether it may be a folder, or lie anywhere, see `Source.find_file`.
        """
        if written is None:
            return None
        what = f"{self.display_name}: {key}"
        return self.source.find_file(written, self.line(key), what, **places)
