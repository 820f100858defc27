"""The files a suite names: found below the root directory, and read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from pytest_ftgate.errors import Fault
from pytest_ftgate.suite.offers import Offers

__all__ = ["Source"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a suite lies, and the faults met while reading what it names.

    Attributes:
        root: the directory that no named file may lie outside of.
        path: the suite file.
        faults: grows while the suite is read, so that an author sees every fault at once.
        offers: what plugins add to what the suite may name.
    """

    root: Path
    path: Path
    faults: list[Fault] = field(default_factory=list)
    offers: Offers = field(default_factory=Offers)

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
