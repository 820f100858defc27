"""What ``pytest-ftgate report`` does: every face of a report again, from the run record alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_ftgate.errors import Unavailable
from pytest_ftgate.record.run import read_run
from pytest_ftgate.report.closing import summary
from pytest_ftgate.report.files import write_report

__all__ = ["report"]


def report(record: Path, paths: Mapping[str, Path | None]) -> Iterator[str]:
    """Write the faces that *paths* names, or yield the closing section where it names none.

    Raises:
        Unavailable: *record* is no run record, or a report cannot be made.
    """
    made = read_run(record)
    wanted = {face: path for face, path in paths.items() if path is not None}
    if not wanted:
        yield from summary(made, full=True)
    for face, path in wanted.items():
        try:
            yield write_report(face, path, made)
        except OSError as error:
            raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
