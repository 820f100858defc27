"""The verb label: by keys, in a page or a table, and what comes of labels."""

from __future__ import annotations

import getpass
import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from pytest_ftgate.cli import writing
from pytest_ftgate.cli.compare import read_scorer
from pytest_ftgate.cli.keyboard import END, Keyboard, keyboard
from pytest_ftgate.cli.suite import write_labels
from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.gates.pairs import ShownPair
from pytest_ftgate.plugin.suites import with_suite
from pytest_ftgate.reporting.label_screen import (
    file_lines,
    keys_of,
    labelled_lines,
    new_case_lines,
    pair_lines,
    status_text,
)
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.reporting.number_text import quantity
from pytest_ftgate.reporting.text import encodable, terminal_width
from pytest_ftgate.results.history import GitError, git_output
from pytest_ftgate.runner.file_suite import json_lines
from pytest_ftgate.runner.label_cases import TAG, labelled_cases
from pytest_ftgate.runner.label_files import LabelImport, write_page, write_table
from pytest_ftgate.runner.labelling import Labelling, file_labelling, suite_labelling
from pytest_ftgate.settings import short_path
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.pair_labels import PairAnswer

_SUITE_SUFFIX = (".yaml", ".yml")


#: The options that each are a command of their own, and what the parser calls them.
_COMMANDS = {
    "--judge": "judge",
    "--page": "page",
    "--csv": "table",
    "--import": "imported",
    "--to-cases": "to_cases",
}


def _check(chosen: Namespace, files: Sequence[Path]) -> None:
    """Raise an error if the options do not go together."""
    named = [option for option, name in _COMMANDS.items() if getattr(chosen, name)]
    if len(named) > 1:
        raise ConfigurationError(f"{' and '.join(named)} are two commands; type one at a time")
    needed = (("--key", chosen.key), ("--judge-name", chosen.judge_name))
    lost = [name for name, value in needed if value and not chosen.imported]
    if lost:
        raise ConfigurationError(f"{lost[0]} says how --import reads; add --import FILE")
    is_suite = len(files) == 1 and files[0].suffix in _SUITE_SUFFIX
    if is_suite == bool(chosen.labels) or (not is_suite and len(files) != 2):  # noqa: PLR2004
        raise ConfigurationError(
            "write label SUITE.ftgate.yaml, or label BASE CANDIDATE --labels NAME.pairs.jsonl"
        )


def label_replies(files: Sequence[Path], cache: Path | None, **options: Any) -> list[str]:
    """Label the pairs of a suite, or of two files of answers; return the closing lines.

    *options* are those of the command line, by the names that its parser gives them.

    Raises:
        FtgateError: a file or an option cannot be used.
    """
    chosen = Namespace(**options)
    _check(chosen, files)
    if chosen.judge:
        drawn = {"out": chosen.out, "count": chosen.count, "seed": chosen.seed}
        return with_suite(files[0], cache, lambda *given: [*write_labels(*given, **drawn)])
    given, cases = _given(files, cache, chosen)
    if not given.pairs and not given.draw.known:
        return [f"no reply differs on {quantity(given.found.inputs, 'input')}: no label is needed"]
    if chosen.page or chosen.table:
        return [*_written(given, chosen)]
    if chosen.imported:
        return [*_imported(given, chosen)]
    if chosen.to_cases:
        return [*_cases_written(given, cases, chosen.to_cases)]
    return _labelled_by_keys(given, chosen)


def _given(
    files: Sequence[Path], cache: Path | None, chosen: Namespace
) -> tuple[Labelling, tuple[Case, ...]]:
    if chosen.labels is not None:
        names = ("id", "input", "reply", "expected", "score", "by_line")
        options = {name: getattr(chosen, name) for name in names}
        scorer = read_scorer(chosen.scorer)
        return file_labelling(files[0], files[1], chosen.labels, scorer=scorer, **options), ()
    return with_suite(
        files[0],
        cache,
        lambda suite, session: (
            suite_labelling(suite, session, chosen.variant or ""),
            (*suite.cases, *suite.holdout),
        ),
    )


def _person(chosen: Namespace) -> str:
    """Return who labels."""
    if name := (chosen.by or "").strip():
        return name
    try:
        name = git_output(Path(), "config", "user.name").strip()
    except GitError:
        name = ""
    try:
        return name or getpass.getuser()
    except (OSError, KeyError, ImportError) as error:
        raise ConfigurationError("this system tells no name; write --by NAME") from error


# By keys ------------------------------------------------------------------------------------------


def _labelled_by_keys(given: Labelling, chosen: Namespace) -> list[str]:
    by, second = _person(chosen), chosen.second
    columns, added = get_terminal_size().columns, 0
    with terminal_width(columns), keyboard() as keys:
        try:
            for pair, answer, expected in _answers(given, by, keys, second=second):
                if pair is None:
                    added -= given.take_back(by)
                else:
                    given.add([pair.label(answer, by, expected)])
                    added += 1
        except KeyboardInterrupt:
            print()
    return [*labelled_lines(max(added, 0), _left(given, by, second=second), _typed(given),
                           given.command)]  # fmt: skip


#: A pair with its answer and the right answer, if that was typed; None takes the last one back.
_Answered = tuple[ShownPair | None, PairAnswer, str | None]


def _answers(given: Labelling, by: str, keys: Keyboard, *, second: bool) -> Iterator[_Answered]:
    """Yield what a person answers, until no pair is left or the person ends."""
    shown, whole = "", False
    while pair := next(given.open(by, second=second), None):
        if shown != (shown := f"{pair.id} {whole}"):
            _show(given, pair, keys, whole=whole)
        key = keys.read_key().lower()
        whole = key == "m"
        if key in (END, "q"):
            return
        if key == "u":
            shown = ""
            yield None, PairAnswer.UNKNOWN, None
        elif key == "e":
            print("the right answer: ", end="", flush=True)
            yield pair, PairAnswer.NEITHER, keys.read_line() or None
        elif key in (known := keys_of(pair)):
            yield pair, known[key][0], None


def _show(given: Labelling, pair: ShownPair, keys: Keyboard, *, whole: bool) -> None:
    is_screen = keys.is_terminal and sys.stdout.isatty()
    styled = is_screen and not os.environ.get("NO_COLOR")
    status = status_text(given.labelled, len(given.found.differing), given.next_look)
    lines = pair_lines(pair, status, given.inputs.instruction, styled=styled, whole=whole)
    clear = "\x1b[2J\x1b[H" if is_screen else ""
    text = encodable("\n".join(lines), sys.stdout.encoding)
    print(f"{clear}{text}", flush=True)


def _left(given: Labelling, by: str, *, second: bool) -> int:
    return sum(not pair.again for pair in given.open(by, second=second))


def _typed(given: Labelling) -> str:
    return str(short_path(given.inputs.labels_path, Path.cwd()))


# In files -----------------------------------------------------------------------------------------


def _new_file(path: Path) -> Path:
    if path.exists():
        raise ConfigurationError(f"{path} is there already; name another file")
    return path


def _written(given: Labelling, chosen: Namespace) -> Iterator[str]:
    """Write a page or a table of the pairs that are next, and yield what to do with it."""
    path = _new_file(chosen.page or chosen.table)
    pairs = given.next_ones(_person(chosen), chosen.count, second=chosen.second)
    if not pairs:
        yield f"every pair has a label; run {given.command}"
        return
    with writing(path):
        write = write_page if chosen.page else write_table
        written = " and ".join(map(str, write(path, given, pairs, chosen.by or "")))
    yield f"{quantity(len(pairs), 'pair')} written to {written}"
    yield from file_lines(given.inputs.instruction, is_page=bool(chosen.page))
    takes = f"pytest-ftgate label {given.typed} --import"
    yield f"then: {takes} {'FILE' if chosen.page else f'{path} --by NAME'}"


def _imported(given: Labelling, chosen: Namespace) -> Iterator[str]:
    by = _person(chosen)
    how = LabelImport(by=by, judge=chosen.judge_name or "", key=chosen.key)
    found = how.read(given, chosen.imported)
    if found.added:
        given.add(found.added)
    if found.repeated:
        yield f"{quantity(found.repeated, 'label')} taken over before"
    if found.gap:
        yield note_text(found.gap)
    left = _left(given, by, second=False)
    yield from labelled_lines(len(found.added), left, _typed(given), given.command)


def _cases_written(given: Labelling, cases: Sequence[Case], path: Path) -> Iterator[str]:
    found = labelled_cases(given.inputs, cases, given.labels)
    if found.rows:
        with writing(_new_file(path)):
            path.write_text(json_lines(found.rows), "utf-8")
    yield from new_case_lines(len(found.rows), found.unknown, str(path), TAG)
