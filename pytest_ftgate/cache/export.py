"""Replies as JSON Lines, one reply a line, to commit beside a suite."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from pytest_ftgate.cache.sqlite import CacheEntry
from pytest_ftgate.errors import Diagnostic, SuiteError
from pytest_ftgate.readers.source import fold_similar
from pytest_ftgate.requests.reply import Reply

FORMAT = 1
#: Identifies the file; part of the file format.
_ABOUT = "replies kept by pytest-ftgate"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_TEXT_KEYS = ("fingerprint", "run", "provider", "model")
#: The keys of a reply, with the types of their values.
_REPLY_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "text": str,
    "stop": str,
    "model": (str, type(None)),
    "usage": dict,
    "seconds": (int, float),
    "request_id": (str, type(None)),
    "steps": list,
    "passages": list,
    "unsent": list,
    "facts": dict,
}
_REMEDY = "restore the line, or export the file again"


def write_replies(path: Path, suite: str, entries: Iterable[CacheEntry]) -> None:
    """Write *entries*, sorted by fingerprint so that diffs of the file stay small."""
    entries = sorted(entries, key=lambda entry: entry.fingerprint)
    header = {"about": _ABOUT, "format": FORMAT, "suite": suite, "replies": len(entries)}
    lines = [json.dumps(header), *map(_json_line, entries)]
    part = path.with_name(f"{path.name}.part")
    part.write_text("".join(f"{line}\n" for line in lines), "utf-8", newline="\n")
    part.replace(path)


def _json_line(entry: CacheEntry) -> str:
    keys = ("fingerprint", "run", "at", "provider", "model")
    metadata = {key: getattr(entry, key) for key in keys}
    return json.dumps(metadata | {"reply": json.loads(entry.reply.to_json())})


def read_replies(path: Path, name: str) -> dict[str, CacheEntry]:
    """Return the replies in the file *path*, by fingerprint; none if there is no file.

    *name* is the name of the file in messages.

    Raises:
        SuiteError: the file cannot be read; the error lists every line without a valid reply.
    """
    if not path.is_file():
        return {}
    reader = _RepliesReader(name)
    try:
        # Not splitlines: text may contain other characters that it treats as line ends.
        lines = path.read_text("utf-8-sig").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(name, [Diagnostic(name, 0, f"cannot be read: {error}")]) from error
    reader.check_header(lines)
    for number, line in enumerate(lines[1:], start=2):
        reader.read_line(number, line)
    if reader.errors:
        raise SuiteError(name, fold_similar(reader.errors))
    return reader.entries


@dataclass(slots=True)
class _RepliesReader:
    """The entries read so far, with the errors found."""

    name: str
    entries: dict[str, CacheEntry] = field(default_factory=dict)
    errors: list[Diagnostic] = field(default_factory=list)

    def check_header(self, lines: list[str]) -> None:
        """Check the first line; its count of replies shows whether the file is complete."""
        header = _json_object(lines[0]) if lines else None
        count = len(lines) - 1
        if header is None or header.get("about") != _ABOUT:
            self.add_error(1, "no file of replies; write one with pytest-ftgate cache export")
        elif not isinstance(header.get("format"), int) or header["format"] > FORMAT:
            message = f"format {header.get('format')} is newer than this version reads; upgrade"
            self.add_error(1, message)
        elif header.get("replies") != count:
            counts = f"{header.get('replies')} replies are announced, {count} are here"
            self.add_error(1, f"{counts}; export the file again")

    def read_line(self, number: int, line: str) -> None:
        """Read one reply."""
        raw = _json_object(line)
        errors = [*_entry_errors(raw)]
        if raw is None or errors:
            self.add_error(number, f"no reply: {errors[0]}; {_REMEDY}")
        elif raw["fingerprint"] in self.entries:
            fingerprint = raw["fingerprint"][:12]
            self.add_error(number, f"fingerprint {fingerprint} is here twice; {_REMEDY}")
        else:
            self.add_entry(number, raw)

    def add_entry(self, number: int, raw: Mapping[str, Any]) -> None:
        """Add the entry of a line that has all its keys."""
        try:
            reply = Reply.from_dict(raw["reply"])
        except ValueError as error:
            self.add_error(number, f"no reply: {error}; {_REMEDY}")
            return
        texts = {key: raw[key] for key in _TEXT_KEYS}
        self.entries[raw["fingerprint"]] = CacheEntry(**texts, at=float(raw["at"]), reply=reply)

    def add_error(self, number: int, message: str) -> None:
        self.errors.append(Diagnostic(self.name, number, message))


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _entry_errors(raw: Mapping[str, Any] | None) -> Iterator[str]:
    if raw is None:
        yield "not an object in JSON"
        return
    for key in _TEXT_KEYS:
        if not isinstance(raw.get(key), str):
            yield f"{key} must be text"
    if not _FINGERPRINT.fullmatch(str(raw.get("fingerprint"))):
        yield "fingerprint must be 64 hexadecimal digits"
    if not _is_number(raw.get("at")):
        yield "at must be a number of seconds"
    yield from _reply_errors(raw.get("reply"))


def _reply_errors(reply: Any) -> Iterator[str]:
    """Yield the values that no provider produces: the file may have been edited by hand."""
    if not isinstance(reply, dict):
        yield "reply must be an object"
        return
    for key, value in reply.items():
        if not isinstance(value, _REPLY_TYPES.get(key, object)):
            yield f"{key} cannot be {json.dumps(value):.60}"
    usage = reply.get("usage")
    counts = usage.values() if isinstance(usage, dict) else ()
    if not all(map(_is_number, (reply.get("seconds", 0), *counts))):
        yield "seconds and usage must be numbers"


def _is_number(value: Any) -> bool:
    # In Python, bool is a subclass of int.
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
