"""How much of a file is read, and the error for a file that is larger than what there is for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile, ZipFile

from pytest_ftgate.errors import ConfigurationError

_Content = TypeVar("_Content")


@dataclass(frozen=True, slots=True)
class FileLimits:
    """The most that is read of the files of one suite; None where there is no limit.

    Attributes:
        file: bytes of one file.
        document: bytes of one file of YAML, whose values take far more memory than its text.
        files: bytes of all files.
        unpacked: bytes that one packed file states as its content.
        cases: the number of cases.
        option: what sets these limits, for messages.
    """

    file: int | None = None
    document: int | None = None
    files: int | None = None
    unpacked: int | None = None
    cases: int | None = None
    option: str = ""

    def problem(self, path: Path) -> str:
        """Return why *path* is too large, or ""; of a folder the files in it count together."""
        most = self.document if path.suffix.lower() in (".yaml", ".yml") else self.file
        return self._excess(size_of(path), most) or self._packed_problem(path)

    def _packed_problem(self, path: Path) -> str:
        if self.unpacked is None or path.suffix.lower() not in _STATED:
            return ""
        # What is no archive, or no table, is an error where it is read.
        with suppress(BadZipFile, ImportError, OSError, ValueError, NotImplementedError):
            return self._excess(_STATED[path.suffix.lower()](path), self.unpacked, " unpacked")
        return ""

    def problem_of_all(self, sizes: Mapping[Path, int]) -> str:
        """Return why the files of *sizes* are too large together, or ""."""
        return self._excess(sum(sizes.values()), self.files, " with the other files")

    def problem_of_cases(self, count: int) -> str:
        """Return why *count* cases are too many, or ""."""
        if self.cases is None or count <= self.cases:
            return ""
        return f"more than {self.cases:,} cases; {self.option} allows {self.cases:,}"

    def _excess(self, size: int, most: int | None, what: str = "") -> str:
        if most is None or size <= most:
            return ""
        return f"has {_megabytes(size)}{what}; {self.option} allows {_megabytes(most)}"


NO_LIMITS = FileLimits()


@dataclass(slots=True)
class Tally:
    """What has been counted of one suite so far: the bytes of its files, and its cases."""

    sizes: dict[Path, int] = field(default_factory=dict)
    cases: int = 0


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; 0 where it cannot be seen."""
    with suppress(OSError):
        if path.is_dir():
            return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
        return path.stat().st_size
    return 0


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:,.0f} MB"


def _stated_of_archive(path: Path) -> int:
    with ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _stated_of_table(path: Path) -> int:
    from pyarrow.parquet import read_metadata

    metadata = read_metadata(path)
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    # A row of nulls has no bytes in the file, and some in memory.
    return int(sum(group.total_byte_size + group.num_rows for group in groups))


#: Returns the bytes that a packed file states as its content.
_STATED: Mapping[str, Callable[[Path], int]] = {
    ".eval": _stated_of_archive,
    ".parquet": _stated_of_table,
}


def read_here(read: Callable[[], _Content], name: str, paths: Iterable[Path] = ()) -> _Content:
    """Return what *read* returns of *name*, whose files are *paths*.

    Raises:
        ConfigurationError: it needs more memory than there is, or its values nest too deeply. The
            error names the largest file.
    """
    try:
        return read()
    except MemoryError:
        problem = "does not fit into the memory of this machine"
    except RecursionError:
        problem = "holds values that nest too deeply"
    # Only here: until its handling ends, an exception keeps all that was read.
    largest = max(paths, key=size_of, default=None)
    sized = f" ({largest.name} has {_megabytes(size_of(largest))})" if largest else ""
    raise ConfigurationError(f"{name} {problem}{sized}")


def depth_of(value: Any, most: int) -> int:
    """Return how deep lists and mappings in *value* nest; *most* + 1 for anything deeper."""
    level, depth = [value], 0
    while depth <= most:
        level = [
            member
            for one in level
            if isinstance(one, list | tuple | Mapping)
            for member in (one.values() if isinstance(one, Mapping) else one)
        ]
        if not level:
            return depth
        depth += 1
    return depth
