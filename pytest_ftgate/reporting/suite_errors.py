"""Files whose gates could not be read: what is wrong in them, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ftgate.errors import Diagnostic
from pytest_ftgate.reporting.gate_summary import rerun_line, step_head
from pytest_ftgate.reporting.number_text import quantity
from pytest_ftgate.reporting.text import escape_controls, fit_parts, wrap_lines
from pytest_ftgate.results.run import NotEvaluated, Report


def error_count(file: NotEvaluated) -> str:
    """Return how many errors a file has."""
    return quantity(len(file.errors), "error")


def first_error(file: NotEvaluated) -> str:
    """Return the first error of a file, without the file's own name before it."""
    return _text(file, file.errors[0])


def _text(file: NotEvaluated, error: Diagnostic) -> str:
    own = error.path.rpartition("/")[2] == file.node.rpartition("/")[2]
    return f"line {error.line}: {error.message}" if own and error.line else str(error)


def unread_lines(report: Report, file: NotEvaluated) -> Iterator[str]:
    """Yield the block of a file in the closing section; pytest lists all errors above it."""
    listed = f"{error_count(file).upper()}, listed above"
    yield from fit_parts([f"✗ {escape_controls(file.node)}", listed])
    first = "first: " * (len(file.errors) > 1) + first_error(file)
    yield from wrap_lines(escape_controls(first), 4, keep_long_words=True)
    place = file.errors[0]
    yield ""
    if not place.is_in_file:
        # The command that follows would set it again.
        yield step_head("fix") + escape_controls(place.path)
        return
    yield step_head("fix") + escape_controls(f"{place.path}:{place.line or 1}")
    yield rerun_line(report, file.node)


def unread_line(file: NotEvaluated) -> str:
    """Return a file and its first error in a line."""
    more = "; first" * (len(file.errors) > 1)
    return f"✗ {file.node}: {error_count(file)}, listed above{more}: {first_error(file)}"
