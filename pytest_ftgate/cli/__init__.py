"""The command `pytest-ftgate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pytest_ftgate.errors import ConfigurationError


class VerbOutput(NamedTuple):
    """The lines that a verb prints, and its exit code."""

    lines: tuple[str, ...]
    exit_code: int = 0


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of an error that it is *path* which cannot be written.

    Raises:
        ConfigurationError: the system refuses it.
    """
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
