"""What a marked function made of one reply, for the reader of a failure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_ftgate.marked.attempt import Attempt, plain
from pytest_ftgate.report.quote import quoted, visible

__all__ = ["explained"]

#: The styles of --tb in which a case is explained; in the others it would tell less than its line.
_STYLES = {"long": "long", "native": "native"}
#: Lines of one explanation; with -vv all.
_MOST_LINES = 15


def explained(attempt: Attempt, config: pytest.Config) -> Iterator[str]:
    """Yield pytest's own explanation of each assertion that failed, behind a bar."""
    if attempt.ask:
        yield from attempt.ask.lines()
    for part, failure in attempt.failures:
        if part:
            yield f"      │ in subtest {visible(part)}"
        yield from _lines(failure, config)
    if not attempt.failures:
        yield from quoted("wrong", attempt.why, indent=6)


def _lines(failure: pytest.ExceptionInfo[BaseException], config: pytest.Config) -> Iterator[str]:
    shown = failure.getrepr(
        style=_STYLES.get(str(config.getoption("tbstyle")), "short"),  # type: ignore[arg-type]
        showlocals=bool(config.getoption("showlocals")),
        tbfilter=True,
        chain=False,
    )
    lines = visible(plain(shown)).rstrip().split("\n")
    if len(lines) > _MOST_LINES and config.get_verbosity() < 2:  # noqa: PLR2004 - -vv shows all
        lines = [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES} more lines, -vv shows all"]
    # A reply may be in it: behind a bar no line of it can act.
    yield from (f"      │ {line}".rstrip() for line in lines)
