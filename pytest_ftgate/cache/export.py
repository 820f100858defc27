"""Replies as JSON Lines, one a line, to commit beside a suite."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from pytest_ftgate.cache.entry import Entry
from pytest_ftgate.errors import Fault, SuiteFaults
from pytest_ftgate.readers.source import folded
from pytest_ftgate.requests.reply import Reply

__all__ = ["FORMAT", "read_replies", "write_replies"]

FORMAT = 1
_ABOUT = "replies kept by pytest-ftgate"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_TEXTS = ("fingerprint", "run", "provider", "model")
#: What a reply may hold.
_SHAPES: Mapping[str, type | tuple[type, ...]] = {
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
_REMEDY = "restore the line, or export the file anew"


def write_replies(path: Path, suite: str, entries: Iterable[Entry]) -> None:
    """Write *entries* by their fingerprints, which puts each at the same place every time."""
    ranked = sorted(entries, key=lambda entry: entry.fingerprint)
    head = {"about": _ABOUT, "format": FORMAT, "suite": suite, "replies": len(ranked)}
    lines = [json.dumps(head), *map(_line, ranked)]
    part = path.with_name(f"{path.name}.part")
    part.write_text("".join(f"{line}\n" for line in lines), "utf-8", newline="\n")
    part.replace(path)


def _line(entry: Entry) -> str:
    told = {key: getattr(entry, key) for key in ("fingerprint", "run", "at", "provider", "model")}
    return json.dumps(told | {"reply": json.loads(entry.reply.to_json())})


def read_replies(path: Path, name: str) -> dict[str, Entry]:
    """Return the replies in the file *path*, by fingerprint; none where there is no file.

    Args:
        path: the file.
        name: what messages call it.

    Raises:
        SuiteFaults: it cannot be read; with every line that holds no reply.
    """
    if not path.is_file():
        return {}
    read = _Read(name)
    try:
        # At newlines alone: text may hold other marks that end a line elsewhere.
        lines = path.read_text("utf-8-sig").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteFaults(name, [Fault(name, 0, f"cannot be read: {error}")]) from error
    read.head(lines)
    for number, line in enumerate(lines[1:], start=2):
        read.line(number, line)
    if read.faults:
        raise SuiteFaults(name, folded(read.faults))
    return read.found


@dataclass(slots=True)
class _Read:
    """What has been read so far, and what was wrong with it."""

    name: str
    found: dict[str, Entry] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def head(self, lines: list[str]) -> None:
        """Read the first line, which tells a cut file from a whole one."""
        head = _object(lines[0]) if lines else None
        count = len(lines) - 1
        if head is None or head.get("about") != _ABOUT:
            self.say(1, "no file of replies; write one with pytest-ftgate ledger export")
        elif not isinstance(head.get("format"), int) or head["format"] > FORMAT:
            self.say(1, f"format {head.get('format')} is newer than this version reads; upgrade")
        elif head.get("replies") != count:
            told = f"{head.get('replies')} replies are announced, {count} are here"
            self.say(1, f"{told}; export the file anew")

    def line(self, number: int, line: str) -> None:
        """Read one reply."""
        raw = _object(line)
        wrong = [*_wrong(raw)]
        if raw is None or wrong:
            self.say(number, f"no reply: {wrong[0]}; {_REMEDY}")
        elif raw["fingerprint"] in self.found:
            self.say(number, f"fingerprint {raw['fingerprint'][:12]} is here twice; {_REMEDY}")
        else:
            self.take(number, raw)

    def take(self, number: int, raw: Mapping[str, Any]) -> None:
        """Take the reply of a line that has all its keys."""
        try:
            reply = Reply.of(raw["reply"])
        except ValueError as error:
            self.say(number, f"no reply: {error}; {_REMEDY}")
            return
        own = {key: raw[key] for key in _TEXTS}
        self.found[raw["fingerprint"]] = Entry(**own, at=float(raw["at"]), reply=reply)

    def say(self, number: int, message: str) -> None:
        self.faults.append(Fault(self.name, number, message))


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _wrong(raw: Mapping[str, Any] | None) -> Iterator[str]:
    if raw is None:
        yield "not an object in JSON"
        return
    for key in _TEXTS:
        if not isinstance(raw.get(key), str):
            yield f"{key} must be text"
    if not _FINGERPRINT.fullmatch(str(raw.get("fingerprint"))):
        yield "fingerprint must be 64 hexadecimal digits"
    if not _is_number(raw.get("at")):
        yield "at must be a number of seconds"
    yield from _wrong_in(raw.get("reply"))


def _wrong_in(reply: Any) -> Iterator[str]:
    """Yield what no provider would have said: anyone may have written the file."""
    if not isinstance(reply, dict):
        yield "reply must be an object"
        return
    for key, value in reply.items():
        if not isinstance(value, _SHAPES.get(key, object)):
            yield f"{key} cannot be {json.dumps(value):.60}"
    usage = reply.get("usage")
    counts = usage.values() if isinstance(usage, dict) else ()
    if not all(map(_is_number, (reply.get("seconds", 0), *counts))):
        yield "seconds and usage must be numbers"


def _is_number(value: Any) -> bool:
    # A truth value is a number to Python.
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
