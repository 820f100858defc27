"""``pytest-ftgate history``: who accepted which variant, verdict by verdict, from git."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from pytest_ftgate.advise.evidence import AcceptedRun
from pytest_ftgate.errors import Unavailable
from pytest_ftgate.gate.verdict import Verdict
from pytest_ftgate.gate.words import amount
from pytest_ftgate.record.git import is_shallow, tracked
from pytest_ftgate.record.history import accepted_runs
from pytest_ftgate.report.quote import visible

__all__ = ["history"]

_WIDTH = 80


def history(path: Path) -> Iterator[str]:
    """Yield what was accepted of a suite, or of every suite below a folder, newest first.

    Raises:
        Unavailable: git knows nothing there, or no accepted record.
    """
    if not path.exists():
        raise Unavailable(f"there is no {path}; name a suite or a folder")
    folder = path if path.is_dir() else path.parent
    name = path.name.removesuffix(".ftgate.yaml") if path.is_file() else "*"
    records = tracked(folder, f"{name}.accepted.json")
    if not records:
        told = "run pytest --ftgate --ftgate-accept and commit the record that it writes"
        raise Unavailable(f"{path}: nothing was accepted yet; {told}")
    if is_shallow(folder):
        yield "only a part of the history is here: the clone is shallow (fetch-depth: 0)"
    for record in records:
        name = record.as_posix().removesuffix(".accepted.json")
        yield name if name.endswith(".py") else f"{name}.ftgate.yaml"
        for run in accepted_runs(record):
            yield from _run(run)


def _run(run: AcceptedRun) -> Iterator[str]:
    serves = f": serves {run.serves}" if run.serves else ""
    yield f"  {run.at}  {run.commit}  {visible(run.by + serves)}"
    gated = [verdict for verdict in run.verdicts if verdict.gated]
    for name in dict.fromkeys(verdict.variant for verdict in gated):
        told = ", ".join(_told(one) for one in gated if one.variant == name)
        yield from textwrap.wrap(
            f"{visible(name)}: {told}", _WIDTH, initial_indent="      ", subsequent_indent=" " * 8
        )


def _told(verdict: Verdict) -> str:
    seen = f" {amount(verdict.check.after, verdict.check.unit)}" if verdict.check else ""
    return f"{verdict.gate}{seen} {verdict.outcome}"
