"""The command `pytest-ftgate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pytest_ftgate.errors import ConfigurationError, did_you_mean
from pytest_ftgate.paths import is_file, names_beside


class VerbOutput(NamedTuple):
    """The lines that a verb prints, and its exit code."""

    lines: tuple[str, ...]
    exit_code: int = 0


def existing_file(path: Path) -> Path:
    """Return *path* if it is a file.

    Raises:
        ConfigurationError: it is not; the message suggests a file with a similar name.
    """
    if not is_file(path):
        hint = did_you_mean(path.name, names_beside(path))
        raise ConfigurationError(f"there is no file {path}{hint}")
    return path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of an error that it is *path* which cannot be written.

    Raises:
        ConfigurationError: the system refuses it.
    """
    try:
        yield
    except OSError as error:
        other = error.filename is not None and str(error.filename) != str(path)
        why = f"{error.strerror}{f': {error.filename}' if other else ''}"
        raise ConfigurationError(f"{path} cannot be written: {why}") from error
