"""``pytest-ftgate``: the parser, and the verbs report, history and data."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import FtgateError, SuiteFaults, Unavailable, did_you_mean
from pytest_ftgate.gates.training_data import examine, read, summed_up, yardstick_of
from pytest_ftgate.gates.units import amount, counted
from pytest_ftgate.gates.verdict import Finding, Severity, Verdict, Yardstick
from pytest_ftgate.readers.source import Source
from pytest_ftgate.recommend.evidence import AcceptedRun
from pytest_ftgate.reporting.summary import summary
from pytest_ftgate.reporting.text import visible
from pytest_ftgate.reporting.verdict import finding_lines
from pytest_ftgate.reporting.writers import write_report
from pytest_ftgate.results.git import accepted_runs, is_shallow, tracked
from pytest_ftgate.results.run import read_run
from pytest_ftgate.suite.loader import load
from pytest_ftgate.suite.model import Case, DataGate
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.training_data import training_rows

__all__ = ["Examined", "data", "history", "main", "report"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return 0, or 1 with the reason on standard error or in what it prints."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        code: int | None = args.run(args)
        sys.stdout.flush()
    except FtgateError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader, such as head, has seen enough; Python would complain again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pytest-ftgate", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    weights = verbs.add_parser("weights", help="fetch the weights of a local model")
    weights.add_argument("name", help="such as smollm2-135m")
    weights.set_defaults(run=_weights)
    why = verbs.add_parser("explain", help="say how a gate of the last run was judged")
    why.add_argument("node", help="as pytest prints it: prompts/x.ftgate.yaml::accuracy[variant]")
    why.set_defaults(run=_explain)
    power = verbs.add_parser("power", help="say what the gates of a suite could show; asks nothing")
    power.add_argument("suite", type=Path)
    power.set_defaults(run=_power)
    own = verbs.add_parser("selftest", help="hold a suite's baseline against itself")
    own.add_argument("suite", type=Path)
    own.add_argument("--repeats", type=int, default=3, help="live replies to each case")
    own.add_argument("--pairs", type=int, default=1000, help="pairs of runs drawn from them")
    own.add_argument("--seed", type=int, default=0)
    own.set_defaults(run=_selftest)
    ledger = verbs.add_parser("ledger", help="look at kept replies, cut them back, carry them over")
    for verb in (why, power, own, _sheet(verbs), *_of_ledger(ledger)):
        verb.add_argument("--ledger", type=Path, default=Path(".ftgate/ledger.sqlite"))
    _of_advice(verbs)
    _of_records(verbs)
    return parser


def _sheet(verbs: Any) -> argparse.ArgumentParser:
    sheet: argparse.ArgumentParser = verbs.add_parser(
        "labels", help="write kept replies for people to grade"
    )
    sheet.add_argument("suite", type=Path)
    sheet.add_argument("-o", dest="out", type=Path, help="by default NAME.labels.jsonl beside it")
    sheet.add_argument("--count", type=int, default=200, help="of how many replies, at the least")
    sheet.add_argument("--seed", type=int, default=0)
    sheet.set_defaults(run=_labels)
    return sheet


def _of_advice(verbs: Any) -> None:
    data = verbs.add_parser("data", help="say what is wrong with a training file")
    data.add_argument("file", type=Path)
    data.add_argument("--suite", type=Path, help="a suite whose cases and format it is held to")
    data.add_argument("--against", type=Path, help="a file of rows that must not stand in it")
    data.add_argument("--context", type=int, help="the tokens that the model takes")
    data.add_argument("-v", dest="verbosity", action="count", default=0, help="tell more lines")
    data.set_defaults(run=_data)
    history = verbs.add_parser("history", help="say what was accepted when, and by whom, from git")
    history.add_argument("path", type=Path, nargs="?", default=Path(), help="a suite or a folder")
    history.set_defaults(run=_history)


def _of_records(verbs: Any) -> None:
    schema = verbs.add_parser("schema", help="print the JSON Schema of suite files or run records")
    schema.add_argument("of", nargs="?", choices=("suite", "run"), default="suite")
    schema.set_defaults(run=_schema)
    again = verbs.add_parser("report", help="make reports of a run record; asks and judges nothing")
    again.add_argument("record", type=Path, help="as --ftgate-json wrote it")
    again.add_argument("--html", type=Path, metavar="PATH", help="a page with every case")
    again.add_argument("--markdown", type=Path, metavar="PATH", help="for a comment")
    again.set_defaults(run=_report)


def _of_ledger(ledger: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    inner = ledger.add_subparsers(required=True, metavar="WHAT")
    show = inner.add_parser("show", help="count what is kept, by provider and model")
    show.set_defaults(run=_show)
    prune = inner.add_parser("prune", help="forget replies, the oldest first")
    prune.add_argument("--older-than", metavar="90d", help="those that came before: 12h, 90d, 2w")
    prune.add_argument("--max-mb", type=float, metavar="MB", help="until the file takes no more")
    prune.set_defaults(run=_prune)
    check = inner.add_parser("check", help="say whether the file is whole")
    check.set_defaults(run=_check)
    export = inner.add_parser("export", help="write the replies that a suite needs to a file")
    export.add_argument("suite", type=Path)
    export.add_argument("-o", dest="out", type=Path, help="by default NAME.replies.jsonl beside it")
    export.add_argument("--base", metavar="VARIANT", help="what its base said to skills, by case")
    export.set_defaults(run=_export)
    take = inner.add_parser("import", help="put the replies of such a file into the ledger")
    take.add_argument("file", type=Path)
    take.set_defaults(run=_import)
    yield from (show, prune, check, export, take)


def _show(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.cache import show

    print("\n".join(show(args.ledger)))


def _prune(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.cache import prune_, seconds

    try:
        older = seconds(args.older_than) if args.older_than else None
    except ValueError as error:
        raise Unavailable(f"--older-than: {error}") from error
    print(prune_(args.ledger, older, args.max_mb))


def _check(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.cache import check

    print(check(args.ledger))


def _export(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.cache import export, export_base

    if args.base:
        print("\n".join(export_base(args.suite, args.ledger, args.base, args.out)))
    else:
        print("\n".join(export(args.suite, args.ledger, args.out)))


def _import(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.cache import import_

    print(import_(args.file, args.ledger))


def _weights(args: argparse.Namespace) -> None:
    from pytest_ftgate.weights import fetch

    print(fetch(args.name))


def _explain(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.suite import explain

    print(explain(args.node, args.ledger.parent))


def _data(args: argparse.Namespace) -> int:

    found = data(args.file, args.suite, args.against, args.context, args.verbosity)
    print("\n".join(found.lines))
    return 0 if found.fit else 1


def _history(args: argparse.Namespace) -> None:

    print("\n".join(history(args.path)))


def _power(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.suite import power

    print("\n".join(power(args.suite, args.ledger)))


def _selftest(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.suite import selftest

    if args.repeats < 2 or args.pairs < 1:  # noqa: PLR2004 - a pair has two runs
        raise Unavailable("selftest needs --repeats of 2 or more, and --pairs of 1 or more")
    told = selftest(args.suite, args.ledger, repeats=args.repeats, pairs=args.pairs, seed=args.seed)
    print("\n".join(told))


def _labels(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.suite import labels

    name = args.suite.name.removesuffix(".ftgate.yaml")
    out = args.out or args.suite.with_name(f"{name}.labels.jsonl")
    print("\n".join(labels(args.suite, args.ledger, out, count=args.count, seed=args.seed)))


def _schema(args: argparse.Namespace) -> None:
    if args.of == "run":
        from pytest_ftgate.results.run import run_schema as schema
    else:
        from pytest_ftgate.suite.schema import suite_schema as schema

    print(schema(), end="")


def _report(args: argparse.Namespace) -> None:

    print("\n".join(report(args.record, {"html": args.html, "markdown": args.markdown})))


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


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found in a file, and how it is told."""

    findings: tuple[Finding, ...]
    lines: tuple[str, ...]

    @property
    def fit(self) -> bool:
        """Whether nothing found is an error."""
        return not any(one.severity is Severity.ERROR for one in self.findings)


def data(
    path: Path,
    suite: Path | None = None,
    against: Path | None = None,
    context: int | None = None,
    verbosity: int = 0,
) -> Examined:
    """Examine the training file *path*.

    Args:
        path: the file.
        suite: a suite whose cases, labels and format it is held to.
        against: a file of rows that a model trained on *path* will be tested with.
        context: the tokens that the model takes.
        verbosity: how many lines of each finding are told.

    Raises:
        SuiteFaults: the suite, or a row of *against*, cannot be used.
        Unavailable: there is no such file.
    """
    yardstick = _held_to(suite) if suite else Yardstick()
    if against:
        yardstick = replace(yardstick, cases=(*yardstick.cases, *_cases(against)))
    if context:
        yardstick = replace(yardstick, context=context)
    found = read(_here(path))
    findings = examine(found, yardstick)
    head = f"{path}: {summed_up(findings)} in {counted(len(found.items), 'row')}"
    return Examined(findings, (head, *finding_lines(findings, verbosity)))


def _held_to(path: Path) -> Yardstick:
    suite = load(path, Path.cwd())
    variants = [one for one in suite.variants.values() if one.training_data]
    variant = next(iter(variants or suite.variants.values()))
    gate = suite.gates.get("data")
    return yardstick_of(suite, gate if isinstance(gate, DataGate) else DataGate(), variant)


def _cases(path: Path) -> list[Case]:
    source = Source(root=Path.cwd(), path=_here(path).resolve())
    rows = training_rows(source, source.path)
    if source.faults:
        raise SuiteFaults(str(path), source.faults)
    score = Rule("exact")
    return [
        Case(id=f"{path.name}:{row.line}", where=f"{path}:{row.line}", input=row.shown, score=score)
        for row in rows
    ]


def _here(path: Path) -> Path:
    if not path.is_file():
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        raise Unavailable(f"there is no file {path}{did_you_mean(path.name, beside)}")
    return path
