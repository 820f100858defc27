"""Training files: a team's fine-tuning data, read into one form whatever its shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from pytest_ftgate.errors import Fault
from pytest_ftgate.suite.faults import folded
from pytest_ftgate.suite.rows import rows
from pytest_ftgate.suite.shapes import OUGHT, Example, example
from pytest_ftgate.suite.source import Source

__all__ = ["training_rows"]


def training_rows(source: Source, path: Path) -> tuple[Example, ...]:
    """Return the rows of a training file; what is wrong with others goes to *source*.

    A file is read once however many variants, suites and stages ask for it.
    """
    changed = path.stat()
    examples, faults = _read(path, (changed.st_mtime_ns, changed.st_size))
    for fault in faults:
        source.say(fault.line, fault.message, path)
    return examples


@lru_cache(maxsize=4)
def _read(path: Path, changed: tuple[int, int]) -> tuple[tuple[Example, ...], tuple[Fault, ...]]:
    del changed  # only there so that an edited file is read again
    source = Source(root=path.parent, path=path)
    examples = tuple(_examples(source, path))
    return examples, tuple(_remedied(fault) for fault in folded(source.faults))


def _remedied(fault: Fault) -> Fault:
    """Let a fault of a line that cannot be read say what a row looks like, as the others do."""
    if not fault.message.startswith("not JSON"):
        return fault
    return replace(fault, message=f"{fault.message}; a training row is {OUGHT}")


def _examples(source: Source, path: Path) -> Iterator[Example]:
    for row in rows(source, path, what="training data"):
        try:
            yield example(row.line, row.value)
        # Not only Misshapen: a number may be too long to be written out.
        except ValueError as error:
            source.say(row.line, str(error), path)
