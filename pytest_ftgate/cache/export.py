"""Replies as JSON Lines, one reply a line, to commit beside a suite."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
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
    try:
        # Not splitlines: text may contain other characters that it treats as line ends.
        lines = path.read_text("utf-8-sig").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(name, [Diagnostic(name, 0, f"cannot be read: {error}")]) from error
    problem = _header_problem(lines)
    errors = [Diagnostic(name, 1, problem)] if problem else []
    entries: dict[str, CacheEntry] = {}
    for number, line in enumerate(lines[1:], start=2):
        try:
            entry = _read_entry(line)
        except ValueError as error:
            problem = f"no reply: {error}"
        else:
            is_first = entries.setdefault(entry.fingerprint, entry) is entry
            problem = "" if is_first else f"fingerprint {entry.fingerprint[:12]} is here twice"
        if problem:
            errors.append(Diagnostic(name, number, f"{problem}; {_REMEDY}"))
    if errors:
        raise SuiteError(name, fold_similar(errors))
    return entries


def _header_problem(lines: list[str]) -> str:
    """Return what is wrong with the first line, whose count shows whether the file is complete."""
    header, count = _json_object(lines[0]), len(lines) - 1
    if header is None or header.get("about") != _ABOUT:
        return "no file of replies; write one with pytest-ftgate cache export"
    if not isinstance(header.get("format"), int) or header["format"] > FORMAT:
        return f"format {header.get('format')} is newer than this version reads; upgrade"
    if header.get("replies") != count:
        counts = f"{header.get('replies')} replies are announced, {count} are here"
        return f"{counts}; export the file again"
    return ""


def _read_entry(line: str) -> CacheEntry:
    """Return the entry in *line*.

    Raises:
        ValueError: there is none.
    """
    raw = _json_object(line)
    problem = next(_entry_errors(raw), "")
    if raw is None or problem:
        raise ValueError(problem)
    texts = {key: raw[key] for key in _TEXT_KEYS}
    return CacheEntry(**texts, at=float(raw["at"]), reply=Reply.from_dict(raw["reply"]))


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
