"""Access to the files that a suite names, below the root directory, with all errors collected."""

from __future__ import annotations

import os
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from pytest_ftgate.errors import Diagnostic, did_you_mean, file_like
from pytest_ftgate.paths import is_file, is_folder
from pytest_ftgate.readers.file_limits import NO_LIMITS, FileLimits, Tally, size_of

Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=1)]
NonNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]


class Declared(BaseModel):
    """A mapping in an author's file: frozen, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def rule_error(message: str) -> PydanticCustomError:
    """Return the error that a validator raises; *message* is for the author as it is."""
    return PydanticCustomError("rule", "{message}", {"message": message})


@dataclass(frozen=True, slots=True)
class Source:
    """A suite file and the errors found in it and in the files that it names.

    Attributes:
        root: the directory that holds every named file.
        path: the suite file.
        errors: grows while the suite is read, so that an author sees all errors at once.
        files: the files that the suite names, and the links that lead to them; grows as well.
        globs: the patterns of files that it names, each with the folder that it starts from.
        warnings: grows likewise: what is probably a mistake, and keeps no suite from running.
        safe: True if the author is a stranger, who may name no files in hidden folders.
        limits: the most that is read of the files.
        tally: what has been counted of that; grows as well.
        origins: where values come from that do not stand in the suite file. Line −1 of the suite
            is the first of them.
    """

    root: Path
    path: Path
    errors: list[Diagnostic] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    globs: list[tuple[Path, str]] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)
    safe: bool = False
    limits: FileLimits = NO_LIMITS
    tally: Tally = field(default_factory=Tally)
    origins: tuple[str, ...] = ()

    def display_path(self, path: Path) -> str:
        """Return *path* as messages show it: relative to the root where it lies below."""
        return display_path(self.root, path)

    def add_error(self, line: int, message: str, path: Path | None = None) -> None:
        """Add an error at *line* of the suite file, or of *path*."""
        self.errors.append(Diagnostic(*self.place(line, path), message))

    def add_warning(self, line: int, message: str, path: Path | None = None) -> None:
        """Add a warning at *line* of the suite file, or of *path*."""
        self.warnings.append(Diagnostic(*self.place(line, path), message))

    def place(self, line: int, path: Path | None = None) -> tuple[str, int]:
        """Return what messages name for *line* of the suite, or of *path*: a file, and its line."""
        if line < 0 and path is None:
            return self.origins[-line - 1], 0
        return self.display_path(path or self.path), line

    def find_file(
        self, written: str, line: int, what: str, *, anywhere: bool = False, folders: bool = False
    ) -> Path | None:
        """Return the file at *written*, or None after adding an error.

        The path is relative to the suite's folder. Only with *anywhere*, and of a suite that is not
        a stranger's, may the file be outside the root directory, and only with *folders* may it be
        a folder. *line* is the line of the path in the suite, and *what* its key, for messages.
        """
        path = real_path(self.path.parent / written)
        folder = self.display_path(self.path.parent)
        is_free = anywhere and not self.safe
        if not is_free and not path.is_relative_to(self.root):
            self.add_error(line, f"{what}: {written} lies outside {self.root}; {self._remedy()}")
        elif hidden := self.hidden_part(path):
            self.add_error(line, f"{what}: {written} lies in {hidden}; move it to another folder")
        elif is_folder(path) and not folders:
            self.add_error(line, f"{what}: {written} is a folder; name a file in it")
        elif not is_file(path) and not (folders and is_folder(path)):
            hint = file_like(path) if path.is_relative_to(self.root) else ""
            self.add_error(line, f"{what}{_absence(written, folder)}{hint}")
        elif link := "" if is_free else self._link_elsewhere(path):
            self.add_error(line, f"{what}: {written}: {link}")
        elif anywhere or self._is_within_limits([path], line, what):
            self.files.extend((path, Path(os.path.normpath(self.path.parent / written))))
            return path
        return None

    def _link_elsewhere(self, folder: Path) -> str:
        """Return what is wrong with a link in *folder* whose target no suite may name; or ""."""
        # What is read while a suite is: logs, and what describes an adapter.
        for link in folder.rglob("*.json*") if folder.is_dir() else ():
            path = real_path(link)
            if link.is_symlink() and not path.is_relative_to(self.root):
                return f"{link.name} leads outside {self.root}; {self._remedy()}"
            if link.is_symlink() and (hidden := self.hidden_part(path)):
                return f"{link.name} leads into {hidden}; move it to another folder"
        return ""

    def hidden_part(self, path: Path) -> str:
        """Return the part of *path*, below the root, that nothing of a suite may lie in; or ""."""
        return hidden_part(path, self.root, safe=self.safe)

    def _is_within_limits(self, paths: Collection[Path], line: int, what: str) -> bool:
        """Count *paths*; return False, after adding an error, if they are too large."""
        if self.limits == NO_LIMITS:
            return True
        counted = self.tally.sizes | {path: size_of(path) for path in paths}
        for path in paths:
            if problem := self.limits.problem(path) or self.limits.problem_of_all(counted):
                self.add_error(line, f"{what}: {self.display_path(path)} {problem}")
                return False
        self.tally.sizes.update(counted)
        return True

    def _remedy(self) -> str:
        """Return what to do about a file outside the root directory."""
        if self.path.is_relative_to(self.root):
            return "move it below"
        # Of several packages, each with its configuration, pytest takes the first one as the root.
        top = os.path.commonpath([self.path, self.root])
        return f"so does this file; start pytest with --rootdir={top}, or write a pytest.ini there"

    def find_files(
        self, pattern: str, line: int, what: str, *, folders: bool = False
    ) -> list[Path]:
        """Return the files that *pattern* matches, or an empty list after adding an error.

        *pattern* is a path or a glob, relative to the suite's folder. *line* is its line in the
        suite, and *what* its key, for messages. Only with *folders* may a path be that of a folder.
        """
        if not is_glob(pattern):
            path = self.find_file(pattern, line, what, folders=folders)
            return [path] if path else []
        try:
            matches = {real_path(path) for path in self.path.parent.glob(pattern)}
        except (NotImplementedError, ValueError) as error:
            hint = "write one such as docs/**/*.md"
            self.add_error(line, f"{what}: {pattern} is no glob: {error}; {hint}")
            return []
        below = (path for path in matches if path.is_relative_to(self.root))
        paths = sorted(path for path in below if path.is_file() and not self.hidden_part(path))
        if not paths:
            self.add_error(line, f"{what}: no file matches {pattern}")
        elif not self._is_within_limits(paths, line, what):
            return []
        self.globs.append((self.path.parent, pattern))
        return paths

    def read_text(self, path: Path, line: int, what: str) -> str | None:
        """Return the content of *path*, or None after adding an error."""
        name = self.display_path(path)
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            if error.object.startswith(_WIDE):
                return path.read_text(encoding="utf-16", errors="replace")
            number = error.object.count(b"\n", 0, error.start) + 1
            self.add_error(number, f"{what}: {_NOT_UTF8}", path)
        except OSError as error:
            self.add_error(line, f"{what}: {name} cannot be read: {error.strerror}")
        return None

    def read_lines(self, path: Path, line: int, what: str) -> Iterator[str]:
        """Yield the lines of *path*, each with its end, as far as they can be read.

        What cannot be read becomes an error, as in `read_text`.
        """
        try:
            with path.open("rb") as stream:
                is_wide = stream.read(2) in _WIDE
                stream.seek(0)
                lines = enumerate(() if is_wide else stream, start=1)
                number = next((n for n, raw in lines if not _is_utf8(raw)), 0)
            if number:
                self.add_error(number, f"{what}: {_NOT_UTF8}", path)
                return
            encoding, errors = ("utf-16", "replace") if is_wide else ("utf-8-sig", "strict")
            with path.open(encoding=encoding, errors=errors) as text:
                yield from text
        except OSError as error:
            name = self.display_path(path)
            self.add_error(line, f"{what}: {name} cannot be read: {error.strerror}")


#: How a file begins that Excel writes as "Unicode text".
_WIDE = (BOM_UTF16_LE, BOM_UTF16_BE)
_NOT_UTF8 = "the file is not UTF-8 from here on: save it as UTF-8"


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _absence(written: str, folder: str) -> str:
    """Return what to say of a file that is not in *folder*, after its key; a text is no path."""
    is_path = len(written.split()) < _FEWEST_WORDS or _ENDING.search(written)
    if is_path and "\n" not in written:
        return f": {written} does not exist (looked in {folder}/)"
    text = " ".join(written.split()[: _FEWEST_WORDS - 1])
    return f" is a file: write “{text} …” into one, and its path here"


#: A path seldom has so many words, nor does a text end as the name of a file does.
_FEWEST_WORDS, _ENDING = 5, re.compile(r"\.\w{1,8}$")


def hidden_part(path: Path, root: Path, *, safe: bool) -> str:
    """Return the part of *path*, below *root*, that nothing of a suite may lie in; or "".

    Keys may stand in ``.git``, and for strangers in all that is hidden, such as ``.env``.
    """
    parts = path.relative_to(root).parts if path.is_relative_to(root) else ()
    hidden = (part for part in parts if part.startswith(".") and part != ".github")
    return next((part for part in hidden if safe or part == ".git"), "")


def real_path(path: Path) -> Path:
    """Return *path* with all links followed, whatever a stranger has written.

    ``Path.resolve`` fails for a link that leads to itself and for a path with a null character.
    """
    return Path(os.path.realpath(str(path).replace("\0", "\ufffd")))


def is_glob(path: str) -> bool:
    """Return True if *path* has a wildcard."""
    return any(wildcard in path for wildcard in "*?[")


@lru_cache(maxsize=256)
def display_path(root: Path, path: Path) -> str:
    """Return *path* as messages show it: relative to *root* where it lies below."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


#: How many similar errors are shown with their lines.
_MAX_SIMILAR = 3
#: The parts in which similar errors may differ: values and numbers, but not names of keys.
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*")
_VALUE = re.compile(r'(?<!key )"[^"]*"|\d+')

#: pydantic's error type -> the expected type, for messages
_EXPECTED_TYPES = {
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


@cache
def declared_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys that an author may write in *model*."""
    return tuple(f.alias or name for name, f in model.model_fields.items())


def _display_value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "empty"}[value]
    if isinstance(value, list | Mapping):
        return "a list" if isinstance(value, list) else "a mapping"
    return f'"{value}"' if isinstance(value, str) else str(value)


def validation_message(
    error: Mapping[str, Any],
    known: tuple[str, ...],
    written: str | None,
    noun: str = "key",
    hint: str = "",
) -> str:
    """Return one line that names the problem of a value and its remedy.

    *error* is one entry of ``ValidationError.errors()``. *known* are the keys allowed at this
    place, to suggest one for a misspelt key. *written* is the value as it stands in the file, or
    None if unknown. *noun* is what the message calls a key. *hint* says where an unknown key that
    is like none of *known* belongs.
    """
    # A tag of a union stands in angle brackets.
    key_path = [part for part in error["loc"] if not str(part).startswith("<")]
    # An item of a list carries the key of the list.
    key = next((part for part in reversed(key_path) if isinstance(part, str)), "it")
    kind, value = error["type"], error["input"]
    match kind:
        case "extra_forbidden":
            near = did_you_mean(key, known) or hint or f"; known: {', '.join(known)}"
            message = f'unknown {noun} "{key}"{near}'
        case "missing":
            message = f'"{key}" is missing'
        case "string_type" if isinstance(value, bool | int | float):
            text = written if written is not None else str(value).lower()
            message = f'{key} is {_display_value(value)}, but text is wanted here: write "{text}"'
        case "literal_error":
            expected = error["ctx"]["expected"]
            message = f"{key} is {_display_value(value)}, but must be one of {expected}"
        case "rule":
            message = str(error["msg"])
        case "string_type" if key in ("baseline", "serves", "like"):
            message = f"{key} must be the name of one variant, not {_display_value(value)}"
        case _ if kind in _EXPECTED_TYPES:
            message = f"{key} must be {_EXPECTED_TYPES[kind]}, not {_display_value(value)}"
            message += _number_hint(value) if kind == "float_type" else ""
        case _:
            message = f"{key} is {_display_value(value)}, but {_constraint(error)}"
    return message


def _number_hint(value: Any) -> str:
    """Return how to write a text such as ``85%`` or ``0.85`` as a number, or ""."""
    match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return ""
    number, unit = match.groups()
    share = f"; for {number} % write {float(number) / 100:g}"
    return share if unit else f"; write {number} without quotes"


def _constraint(error: Mapping[str, Any]) -> str:
    """Return pydantic's message about a bound, reworded; a share gets a hint about percent."""
    message = str(error["msg"])
    bounds = error.get("ctx") or {}
    if 1 in (bounds.get("lt"), bounds.get("le")):
        share = float(error["input"]) / 100
        hint = f"; for {error['input']} % write {share:g}" if 0 < share < 1 else ""
        return message.replace("Input should", "must") + hint
    is_bound = message.startswith("Input should")
    return message.replace("Input should", "must") if is_bound else message


def fold_similar(errors: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the first few of similar errors in a file; the last one counts the rest.

    Hundreds of rows with the same mistake would hide other errors.
    """
    groups: dict[tuple[str, str], list[Diagnostic]] = defaultdict(list)
    for error in errors:
        groups[error.path, _VALUE.sub("", error.message)].append(error)
    folded: list[Diagnostic] = []
    for group in groups.values():
        shown, more = group[:_MAX_SIMILAR], len(group) - _MAX_SIMILAR
        if more > 0:
            last = f"{shown[-1].message} (and {more} more line{'s' * (more > 1)} like it)"
            shown[-1] = replace(shown[-1], message=last)
        folded += shown
    return folded
