"""GitHub workflow commands: a verdict at the gate's line in the suite file."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import join, normpath

from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.text import visible
from pytest_ftgate.results.run import Report, Unjudged
from pytest_ftgate.results.verdicts import node_name

__all__ = ["commands"]

#: GitHub shows no more of a step, and no more characters of one.
_MOST, _LONGEST = 10, 1_000


def commands(report: Report, prefix: str = "") -> Iterator[str]:
    """Yield a command for each gate that did not pass, the most important first, and a count.

    Args:
        report: the run.
        prefix: the folder that suites are named from, as seen from the root of the repository.
    """
    told = [*_of(report, Outcome.FAILED, prefix), *_of(report, Outcome.INVALID, prefix)]
    told += [_unjudged(one, prefix) for one in report.unjudged]
    told += _of(report, Outcome.INCONCLUSIVE, prefix)
    yield from told[:_MOST]
    if len(told) > _MOST:
        yield f"… and {len(told) - _MOST} more"


def _of(report: Report, outcome: Outcome, prefix: str) -> Iterator[str]:
    soft = report.lenient and outcome is Outcome.INCONCLUSIVE
    level = "warning" if soft else "error"
    for verdict in report.judged:
        if verdict.outcome is outcome:
            yield _command(
                level, normpath(join(prefix, verdict.suite)), verdict.line, *_words(verdict)
            )


def _words(verdict: Verdict) -> tuple[str, str]:
    steps = "".join(f"\nnext: {step}" for step in verdict.next)
    title = f"{node_name(verdict)} {verdict.outcome}"
    return title, f"{verdict.headline}{steps}"


def _unjudged(one: Unjudged, prefix: str) -> str:
    suite, _, gate = one.node.partition("::")
    return _command(
        "error", normpath(join(prefix, suite)), 1, f"{gate or suite} not judged", one.why
    )


def _command(level: str, file: str, line: int, title: str, told: str) -> str:
    place = f"file={_property(file)},line={line},title={_property(title)}"
    return f"::{level} {place}::{_data(told[:_LONGEST])}"


def _data(text: str) -> str:
    text = visible(text).replace("%", "%25")
    return text.replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
