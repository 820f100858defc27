"""What is imported late, and not at all where nothing needs it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

from pytest_ftgate.suite.model import Suite

if TYPE_CHECKING:
    from pytest_ftgate.record import Record

__all__ = ["accepted_record", "import_judges"]


@cache
def import_judges() -> None:
    """Import what judges while replies are on the wire: SciPy takes a second."""
    Thread(target=import_module, args=("pytest_ftgate.record",), daemon=True).start()


def accepted_record(suite: Suite) -> Record | None:
    """Return the accepted record beside *suite*, or None where there is none.

    Raises:
        SuiteFaults: the file is no record.
    """
    # Most suites have none, and reading one needs what judges.
    if not suite.accepted_path.exists():
        return None
    from pytest_ftgate.record import read_record

    return read_record(suite.accepted_path, suite.name)
