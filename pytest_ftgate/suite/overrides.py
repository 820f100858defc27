"""Keys of variants that are set outside the suite: typed and located like those of the file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from glob import escape, glob
from os.path import expanduser
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import Diagnostic, SuiteError, did_you_mean
from pytest_ftgate.paths import exists
from pytest_ftgate.readers.source import is_glob
from pytest_ftgate.readers.yaml import Document, KeyPath, read_yaml
from pytest_ftgate.settings import Override
from pytest_ftgate.suite.draft import SuiteSource

#: The keys of a variant that are files or folders; a model may be one as well.
_FILES = ("adapter", "base_replies", "prompt", "replies", "response_schema", "training_data")
#: The keys that say what is judged.
_JUDGING = ("gated", "compared")


def glob_paths(folder: Path, pattern: str) -> list[str]:
    """Return the paths that *pattern*, relative to *folder*, matches."""
    return glob(str(Path(escape(str(folder)), pattern)))  # noqa: PTH207 - takes absolute ones too


def unknown_override(overrides: Sequence[Override], names: Sequence[str]) -> str:
    """Return what is wrong with the first of *overrides* whose variant is not in *names*; or ""."""
    variants = dict.fromkeys(names, None)
    for one in overrides:
        if _key_path(one, variants) is None:
            name = one.key.removeprefix("variants.").rpartition(".")[0]
            near = did_you_mean(name, names) or f"; known: {', '.join(names) or 'none'}"
            return f'{one}: no suite of this run has a variant "{name}"{near}'
    return ""


def _key_path(override: Override, variants: Mapping[str, Any]) -> KeyPath | None:
    """Return the keys to the value of *override*; None without its variant.

    The name of a variant may have dots.
    """
    rest = override.key.removeprefix("variants.")
    names = [name for name in variants if rest.startswith(f"{name}.")]
    if not names:
        return None
    name = max(names, key=len)
    return ("variants", name, *rest.removeprefix(f"{name}.").split("."))


def with_overrides(source: SuiteSource, overrides: Sequence[Override]) -> SuiteSource:
    """Return *source* with the keys that *overrides* set in its variants; others are left out.

    Raises:
        SuiteError: a value cannot be read, a path is nowhere, or a key says what is judged.
    """
    value = source.document.value
    variants = value.get("variants") if isinstance(value, Mapping) else None
    written = variants if isinstance(variants, Mapping) else {}
    known = {name for name, keys in written.items() if isinstance(keys, Mapping)}
    placed = [(one, _key_path(one, written)) for one in overrides]
    found = [(one, path) for one, path in placed if path and path[1] in known]
    source = replace(source, origins=tuple(str(one) for one, _ in found))
    document, errors = source.document, list[Diagnostic]()
    for number, (one, key_path) in enumerate(found, start=1):
        read = read_yaml(one.text, str(one))
        message = _problem(source, key_path, read.value, one.start)
        errors += [Diagnostic(str(one), 0, error.message) for error in read.errors]
        if message:
            errors.append(Diagnostic(str(one), 0, message))
            continue
        own = replace(read, value=_from_suite(source, key_path, read.value, one.start))
        document = _with_value(document, key_path, own, -number)
    if errors:
        raise SuiteError(source.display_path(source.path), errors)
    return replace(source, document=document)


def _problem(source: SuiteSource, key_path: KeyPath, value: Any, start: Path) -> str:
    """Return why *value* cannot be set at *key_path*; "" if it may."""
    _, name, key, *deeper = key_path
    if key in _JUDGING:
        return f"{key} decides what is judged, and only the suite may; edit it there"
    outer: Any = source.document.value["variants"][name]
    for depth, part in enumerate([key, *deeper]):
        if not isinstance(outer, Mapping):
            return f"{'.'.join(map(str, key_path[: depth + 2]))} is no mapping in the suite"
        outer = outer.get(part, {})
    is_path = key in _FILES and not deeper and isinstance(value, str)
    # An error must not say which paths exist outside of the repository.
    if is_path and not source.safe and not _exists(start, value):
        return f'variant "{name}": {key}: {value} {_absence(source, value, start)}'
    return ""


def _absence(source: SuiteSource, value: str, start: Path) -> str:
    """Return that *value* is not in *start*, and whether the folder of the suite has it."""
    what = "matches nothing" if is_glob(value) else "does not exist"
    beside = source.path.parent
    if _exists(beside, value):
        typed = os.path.relpath(beside / value, start)
        hint = f"it lies in the folder of the suite: write {typed}"
    else:
        hint = f"nor is it in the folder of the suite, {source.display_path(beside)}/"
    return f"{what} in {start}, where paths of a command begin; {hint}"


def _exists(folder: Path, written: str) -> bool:
    # A shell expands no ~ within a word.
    written = expanduser(written.replace("\0", "\ufffd"))  # noqa: PTH111 - fails for no user
    path = folder / written
    return exists(path) or (is_glob(written) and bool(glob_paths(folder, written)))


def _from_suite(source: SuiteSource, key_path: KeyPath, value: Any, start: Path) -> Any:
    """Return *value* as the suite would have it: a path relative to its folder."""
    key, *deeper = key_path[2:]
    is_path = key in _FILES or (key == "model" and isinstance(value, str) and _exists(start, value))
    if not is_path or deeper or not isinstance(value, str) or Path(value).is_absolute():
        return value
    # The real folder of the suite, from which a path with .. leads where it seems to.
    return os.path.relpath(start.resolve() / expanduser(value), source.path.parent)  # noqa: PTH111


def _with_value(document: Document, key_path: KeyPath, own: Document, line: int) -> Document:
    """Return *document* with the value of *own* at *key_path*, whose keys have the line *line*."""
    lines = {path: at for path, at in document.lines.items() if path[: len(key_path)] != key_path}
    raw = {path: text for path, text in document.raw.items() if path in lines}
    lines |= {(*key_path, *path): line for path in own.lines or ((),)}
    raw |= {(*key_path, *path): text for path, text in own.raw.items()}
    for end in range(3, len(key_path)):
        lines.setdefault(key_path[:end], line)
    value = _with_key(document.value, key_path, own.value)
    return replace(document, value=value, lines=lines, raw=raw)


def _with_key(outer: Any, key_path: Sequence[str | int], value: Any) -> Any:
    if not key_path:
        return value
    key, *deeper = key_path
    inner = outer.get(key) if isinstance(outer, Mapping) else None
    return {**(outer or {}), key: _with_key(inner, deeper, value)}
