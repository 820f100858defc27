"""The files of JavaScript that a suite names, and the program that runs them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from shutil import which

from pytest_ftgate.paths import is_file
from pytest_ftgate.readers.source import Source
from pytest_ftgate.suite.rule import Rule

#: The oldest Node.js that runs all that functions may be.
LEAST_NODE = 14
NEEDS_NODE = f"it needs Node.js {LEAST_NODE} or later on the PATH: https://nodejs.org"
#: A file of the project that a file of JavaScript imports, by a path relative to its own.
_IMPORT = re.compile(r"""\b(?:from|import|require)\s*\(?\s*["'](\.{1,2}/[^"'\n]+)["']""")
_ENDINGS = ("", ".js", ".mjs", ".cjs", ".json", ".ts", "/index.js")
#: The most characters of the code that messages show.
_MAX_SHOWN = 60


def node_path() -> str | None:
    """Return the path of the program ``node``, or None if there is none on the PATH."""
    return _node_on(os.environ.get("PATH", ""))


@lru_cache(maxsize=4)
def _node_on(path: str) -> str | None:
    return which("node", path=path)


def resolve_javascript(source: Source, rule: Rule, line: int) -> Rule:
    """Return *rule* with its file found and read, if it names one. Errors go to *source*.

    Its value becomes the sha256 of the file, and of the project's files that it imports, by path.
    """
    written = rule.options.get("file")
    path = source.find_file(written, line, "javascript: file") if written else None
    if path is None:
        return rule
    # Safe mode runs no such file, so that it reads none that the file names.
    files = [path] if source.safe else [*_with_imports(path, source.root)]
    source.files.extend(files[1:])
    try:
        sums = {os.path.relpath(f, path.parent): sha256(f.read_bytes()).hexdigest() for f in files}
    except OSError as error:
        source.add_error(line, f"javascript: file: {written} cannot be read: {error.strerror}")
        return rule
    return replace(rule, value={name: sums[name] for name in sorted(sums)}, path=path)


def _with_imports(path: Path, root: Path) -> Iterator[Path]:
    """Yield *path*, and the files below *root* that it imports, directly or not."""
    seen, waiting = {path}, [path]
    while waiting:
        file = waiting.pop()
        yield file
        found = {target for name in _imports(file) if (target := _target(file.parent / name))}
        new = sorted(f for f in found - seen if f.is_relative_to(root))
        seen.update(new)
        waiting += new


def _imports(file: Path) -> list[str]:
    try:
        return _IMPORT.findall(file.read_text("utf-8", "replace"))
    except OSError:
        return []


def _target(path: Path) -> Path | None:
    """Return the file that an import of *path* means, or None if there is none."""
    named = (Path(os.path.realpath(f"{path}{ending}")) for ending in _ENDINGS)
    return next((file for file in named if is_file(file)), None)


def source_name(rule: Rule) -> str:
    """Return how messages name the function of *rule*: its file, or the first line of its code."""
    if file := rule.options.get("file"):
        function = rule.options.get("function")
        return f"{file}:{function}" if function else str(file)
    first, *more = str(rule.value).strip().split("\n")
    is_cut = more or len(first) > _MAX_SHOWN
    return f"{first[:_MAX_SHOWN].rstrip()}…" if is_cut else first
