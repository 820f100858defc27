"""``pytest-ftgate init`` for what runners of agents wrote: a suite of recorded runs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from pytest_ftgate.cli import VerbOutput, scaffold
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.power import default_limit
from pytest_ftgate.paths import is_folder
from pytest_ftgate.plugin.suites import with_suite
from pytest_ftgate.readers.answer_rows import AnswerFile, Columns
from pytest_ftgate.readers.answers import read_answers, with_short_names
from pytest_ftgate.readers.pairing import pair_files
from pytest_ftgate.readers.skill_creator import arms_of
from pytest_ftgate.reporting.compare import cases_text
from pytest_ftgate.reporting.text import escape_controls, wrap_lines
from pytest_ftgate.runner.file_suite import variant_names
from pytest_ftgate.runner.session import Session
from pytest_ftgate.suite.model import Suite

#: The suite that is written, into the folder of the command.
SUITE_OF_RUNS = Path("runs.ftgate.yaml")
_GATE = "accuracy"


def files_of_runs(files: Sequence[Path]) -> list[AnswerFile]:
    """Return *files* as runs of agents, each arm of a benchmark for itself; [] if they are others.

    Raises:
        FtgateError: some are runs, and one cannot be read.
    """
    named = [str(path) for path in files]
    if len(named) == 1:
        named = [*(arms_of(named[0]) or named)]
    if not any(map(_holds_runs, named)):
        return []
    return [*with_short_names([read_answers(name, Columns()) for name in named])]


def _holds_runs(name: str) -> bool:
    if is_folder(Path(name.partition("::")[0])):
        return True
    with suppress(FtgateError):
        return read_answers(name, Columns(), needs_reply=False).unit != "case"
    return False


def write_suite_of_runs(
    files: Sequence[AnswerFile], schema: str, more: Iterable[str]
) -> VerbOutput:
    """Write a suite that compares *files*, the baseline first, with the limit that they can show.

    *schema* is the path of the JSON Schema, and *more* are lines of what was written beside it.

    Raises:
        FtgateError: the runs cannot be compared; then there is no new suite.
    """
    paired = pair_files(files)
    counts = cases_text(files[0].unit, len(paired.cases), paired.repeats)
    # One run of each task is no sample of the runs of these tasks.
    claim = {"claim": "these_tasks"} if paired.repeats[1] > 1 else {}
    scaffold.write_new(SUITE_OF_RUNS, _text(files, schema, claim, counts))
    try:
        limit = with_suite(SUITE_OF_RUNS, None, _limit)
    except FtgateError:
        SUITE_OF_RUNS.unlink()
        raise
    SUITE_OF_RUNS.unlink()
    shown: Mapping[str, object] = claim if limit is None else {**claim, "max_drop": limit}
    scaffold.write_new(SUITE_OF_RUNS, _text(files, schema, shown, counts))
    lines = (
        *wrap_lines(f"wrote {SUITE_OF_RUNS}: {counts} of {' and '.join(map(_path, files))}", 0),
        *more,
        *chain.from_iterable(wrap_lines(escape_controls(note), 0) for note in paired.notes),
        *("", "next:", f"  pytest --ftgate {shlex.quote(str(SUITE_OF_RUNS))}"),
    )
    return VerbOutput(lines)


def _limit(suite: Suite, session: Session) -> float | None:
    session.close()
    return default_limit(suite, suite.gates[_GATE])


def _text(files: Sequence[AnswerFile], schema: str, gate: Mapping[str, object], counts: str) -> str:
    return "".join(f"{line}\n" for line in _lines(files, schema, gate, counts))


def _lines(
    files: Sequence[AnswerFile], schema: str, gate: Mapping[str, object], counts: str
) -> Iterator[str]:
    scores = {row.score for file in files for row in file.rows} - {None}
    score = "recorded" if scores <= {0.0, 1.0} else {"recorded": {"partial": True}}
    yield f"# yaml-language-server: $schema={schema}"
    yield f"# Evaluate it with: pytest --ftgate {SUITE_OF_RUNS}"
    yield ""
    yield f"cases: {scaffold.yaml_text(_path(files[0]))}  # the tasks of these runs"
    yield f"reply: {scaffold.yaml_text({'score': score})}  # the rewards that the runner states"
    yield "variants:"
    yield "  # The first variant is the baseline. All runs that a folder has count."
    for name, file in zip(variant_names(files), files, strict=True):
        keys = {"provider": "recorded", "replies": _path(file)}
        yield f"  {scaffold.yaml_text(name)}: {scaffold.yaml_text(keys)}"
    yield "  # With uses: SKILL a gate is invalid if no trace says that a run used the skill:"
    yield "  # new: {provider: recorded, replies: FOLDER, uses: SKILL}"
    yield "gates:"
    if "claim" in gate:
        yield "  # The verdict is about these tasks alone, whose runs are the sample."
    if "max_drop" in gate:
        yield f"  # The limit is the smallest drop that {counts} can show."
    yield f"  {_GATE}: {scaffold.yaml_text(gate)}"


def _path(file: AnswerFile) -> str:
    """Return how the suite names *file*: its path from this folder, with the part of it."""
    part = file.name.partition("::")[2]
    path = Path(os.path.relpath(file.path.resolve(), SUITE_OF_RUNS.parent.resolve())).as_posix()
    return f"{path}::{part}" if part else path
