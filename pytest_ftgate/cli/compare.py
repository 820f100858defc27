"""The verb compare."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_ftgate.cli import VerbOutput, writing
from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.readers.yaml import read_yaml
from pytest_ftgate.reporting.text import line_width, wrap_lines
from pytest_ftgate.reporting.writers import remove_reports, write_report
from pytest_ftgate.runner.compare_files import CompareResult, compare
from pytest_ftgate.settings import REPORT_FORMATS

#: The exit code of each outcome; 2 is that of an error, as of a wrong option.
_EXIT_CODES = {
    Outcome.PASSED: 0,
    Outcome.FAILED: 1,
    Outcome.INVALID: 1,
    Outcome.INCONCLUSIVE: 3,
}
_EXAMPLE_NAME = "NAME.ftgate.yaml"


#: The options that take a second file, or the runs of one side as they are.
_OF_TWO_FILES = ("labels", "paired_only", "write")


def compare_files(
    base: str,
    candidates: Sequence[str],
    verbosity: int,
    write: Path | None,
    *,
    with_itself: bool = False,
    **options: Any,
) -> VerbOutput:
    """Compare *candidates* with *base*, or *base* with itself, and write the wanted reports.

    *options* are the paths of the reports by format, and those of `compare`.

    Raises:
        FtgateError: a file or an option cannot be used.
    """
    wanted = {name: options.pop(name) for name in REPORT_FORMATS}
    reports = {name: path for name, path in wanted.items() if path is not None}
    remove_reports(reports.values())
    options["scorer"] = read_scorer(options["scorer"])
    if with_itself:
        return _compare_with_itself(base, [*candidates, *reports], {**options, "write": write})
    result = compare(base, [*candidates], **options)
    lines = [*result.lines(verbosity), *_written(result, write, reports)]
    is_kept = result.outcome is not Outcome.INVALID and not result.suite.problem
    if write is None and is_kept:
        lines += _keep_lines(base, candidates)
    return VerbOutput(tuple(lines), _EXIT_CODES[result.outcome])


def _compare_with_itself(
    results: str, others: Sequence[str], options: Mapping[str, Any]
) -> VerbOutput:
    """Say how often the gate would be red on *results* alone; the exit code is 0 whatever comes.

    Raises:
        FtgateError: *others* are given, or options of two files; or the results cannot be used.
    """
    from pytest_ftgate.runner.self_compare import self_compare

    more = [*others, *(name for name in _OF_TWO_FILES if options[name])]
    if more:
        shown = ", ".join(more).replace("_", "-")
        raise ConfigurationError(
            f"--self takes one file or folder of results, and writes no report; leave {shown} out"
        )
    kept = {name: value for name, value in options.items() if name not in _OF_TWO_FILES}
    return VerbOutput(tuple(self_compare(results, **kept).lines()), 0)


def read_scorer(written: str | None) -> Any:
    """Return a score as in a suite file: a name, or a name with options."""
    if written is None:
        return None
    document = read_yaml(written, "--scorer")
    if document.errors:
        example = "--scorer '{numeric: {tolerance: 0.01}}'"
        raise ConfigurationError(f"{document.errors[0].message}; write it as in {example}")
    return document.value


def _written(
    result: CompareResult, write: Path | None, reports: Mapping[str, Path]
) -> Iterator[str]:
    """Write the suite and the reports, and yield a sentence on each."""
    for name, path in reports.items():
        with writing(path):
            yield write_report(name, path, result.report)
    if write is not None:
        with writing(write):
            files = result.write(write)
        yield from wrap_lines(f"wrote {', '.join(map(str, files))}", 0, keep_long_words=True)
        yield f"the same verdict: pytest --ftgate {shlex.quote(str(write))}"


def _keep_lines(base: str, candidates: Sequence[str]) -> list[str]:
    command = shlex.join(["pytest-ftgate", "compare", base, *candidates, "--write", _EXAMPLE_NAME])
    line = f"keep it as a gate: {command}"
    return [
        line if len(line) <= line_width() else f"keep it as a gate: add --write {_EXAMPLE_NAME}"
    ]
