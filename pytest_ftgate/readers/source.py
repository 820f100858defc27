"""The files that a suite names: found below the root directory, read, and every error noted."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pytest_ftgate.errors import Fault, did_you_mean
from pytest_ftgate.readers.yaml import Where

__all__ = ["Source", "folded", "keys_of", "sentence"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a suite lies, and the faults met while reading what it names.

    Attributes:
        root: the directory that no named file may lie outside of.
        path: the suite file.
        faults: grows while the suite is read, so that an author sees every fault at once.
    """

    root: Path
    path: Path
    faults: list[Fault] = field(default_factory=list)

    def name(self, path: Path) -> str:
        """Return *path* as the reader of a message knows it: relative to the root."""
        return _name(self.root, path)

    def say(self, line: int, message: str, path: Path | None = None) -> None:
        """Note a fault at *line* of the suite file, or of *path*."""
        self.faults.append(Fault(self.name(path or self.path), line, message))

    def find(self, written: str, line: int, what: str, *, anywhere: bool = False) -> Path | None:
        """Return the file that the suite calls *written*, or note why it cannot be used.

        Args:
            written: the path as it stands in the suite, relative to the suite's folder.
            line: where it stands.
            what: the key it is the value of.
            anywhere: allow a file outside the root directory.
        """
        path = (self.path.parent / written).resolve()
        folder = self.name(self.path.parent)
        if not anywhere and not path.is_relative_to(self.root):
            self.say(line, f"{what}: {written} lies outside {self.root}; move it below")
        elif path.is_dir():
            self.say(line, f"{what}: {written} is a folder; name a file in it")
        elif not path.is_file():
            self.say(line, f"{what}: {written} does not exist (looked in {folder}/)")
        else:
            return path
        return None

    def files(self, pattern: str, line: int, what: str) -> list[Path]:
        """Return the files that *pattern* names, a path or a glob, or note that there is none.

        Args:
            pattern: as it stands in the suite, relative to the suite's folder.
            line: where it stands.
            what: the key it is the value of.
        """
        if not any(mark in pattern for mark in "*?["):
            path = self.find(pattern, line, what)
            return [path] if path else []
        try:
            found = {path.resolve() for path in self.path.parent.glob(pattern)}
        except (NotImplementedError, ValueError) as error:
            self.say(line, f"{what}: {pattern} is no glob: {error}; write one such as docs/**/*.md")
            return []
        paths = sorted(p for p in found if p.is_file() and p.is_relative_to(self.root))
        if not paths:
            self.say(line, f"{what}: no file matches {pattern}")
        return paths

    def text(self, path: Path, line: int, what: str) -> str | None:
        """Return the content of *path*, or note why it cannot be read."""
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            self.say(
                line, f"{what}: {self.name(path)} is not UTF-8 (byte {error.start}); save it so"
            )
        except OSError as error:
            self.say(line, f"{what}: {self.name(path)} cannot be read: {error.strerror}")
        return None


@lru_cache(maxsize=256)
def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


#: Of so many faults that are alike each is told with its line.
_TOLD = 3
#: What may differ between faults that are alike: a value, a number; not the name of a key.
_VALUE = re.compile(r'(?<!key )"[^"]*"|\d+')

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys that an author may write in *model*."""
    return tuple(f.alias or name for name, f in model.model_fields.items())


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "empty"}[value]
    if isinstance(value, list | Mapping):
        return "a list" if isinstance(value, list) else "a mapping"
    return f'"{value}"' if isinstance(value, str) else str(value)


def sentence(error: Mapping[str, Any], known: tuple[str, ...], written: str | None) -> str:
    """Say in one line what is wrong with a value and what to write.

    Args:
        error: one entry of ``ValidationError.errors()``.
        known: the keys allowed where the error stands, for a misspelt one.
        written: the value as it stands in the file, where that is known.
    """
    where: Where = error["loc"]
    # An item of a list is called by the list's own key.
    key = next((part for part in reversed(where) if isinstance(part, str)), "it")
    kind, given = error["type"], error["input"]
    match kind:
        case "extra_forbidden":
            near = did_you_mean(key, known) or f"; known: {', '.join(known)}"
            told = f'unknown key "{key}"{near}'
        case "missing":
            told = f'"{key}" is missing'
        case "string_type" if isinstance(given, bool | int | float):
            text = written if written is not None else str(given).lower()
            told = f'{key} is {_shown(given)}, but text is wanted here: write "{text}"'
        case "literal_error":
            told = f"{key} is {_shown(given)}, but must be one of {error['ctx']['expected']}"
        case "rule":
            told = str(error["msg"])
        case _ if kind in _KINDS:
            told = f"{key} must be {_KINDS[kind]}, not {_shown(given)}"
        case _:
            told = f"{key} is {_shown(given)}, but {_wanted(error)}"
    return told


def _wanted(error: Mapping[str, Any]) -> str:
    """Turn the library's own words for a bound into ours."""
    said = str(error["msg"])
    bounds = error.get("ctx") or {}
    if 1 in (bounds.get("lt"), bounds.get("le")):
        share = float(error["input"]) / 100
        hint = f"; for {error['input']} % write {share:g}" if 0 < share < 1 else ""
        return said.replace("Input should", "must") + hint
    return said.replace("Input should", "must") if said.startswith("Input should") else said


def folded(faults: Iterable[Fault]) -> list[Fault]:
    """Return the first few of the faults of a file that are alike; the last says how many follow.

    Hundreds of rows with one and the same mistake would hide the others.
    """
    alike: dict[tuple[str, str], list[Fault]] = defaultdict(list)
    for fault in faults:
        alike[fault.path, _VALUE.sub("", fault.message)].append(fault)
    return [fault for group in alike.values() for fault in _first(group)]


def _first(group: list[Fault]) -> list[Fault]:
    more = len(group) - _TOLD
    if more <= 0:
        return group
    *before, last = group[:_TOLD]
    told = f"{last.message} (and {more} more line{'s' * (more > 1)} like it)"
    return [*before, replace(last, message=told)]
