"""``pytest-ftgate``: the parser, and the verbs report, history and data."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import ConfigurationError, FtgateError, SuiteError, did_you_mean
from pytest_ftgate.gates.training_data import (
    check_training_data,
    read_training_data,
    training_data_rules,
)
from pytest_ftgate.gates.units import amount, quantity
from pytest_ftgate.gates.verdict import Finding, Severity, TrainingDataRules, Verdict
from pytest_ftgate.readers.source import Source
from pytest_ftgate.recommend.evidence import AcceptedRun
from pytest_ftgate.reporting.headlines import severity_counts
from pytest_ftgate.reporting.summary import summary_lines
from pytest_ftgate.reporting.text import escape_controls
from pytest_ftgate.reporting.verdict import finding_lines
from pytest_ftgate.reporting.writers import write_report
from pytest_ftgate.results.git import is_shallow, tracked_files
from pytest_ftgate.results.history import accepted_runs
from pytest_ftgate.results.run import read_run
from pytest_ftgate.suite.model import Case, DataGate, Suite
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.training_data import read_training_rows

if TYPE_CHECKING:
    from pytest_ftgate.runner.session import Session

__all__ = ["DataReport", "examine_data", "history_lines", "main", "report_record"]


_DESCRIPTION = "Quality gates for prompts and fine-tuned models: commands that run no tests."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0, or 1 with the reason in its output."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        code: int | None = args.run(args)
        sys.stdout.flush()
    except FtgateError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # A reader such as head has closed the pipe; without this Python fails again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pytest-ftgate", description=_DESCRIPTION)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    download = verbs.add_parser("download", help="download the weights of a local model")
    download.add_argument("name", help="such as smollm2-135m")
    download.set_defaults(run=_download)
    explain = verbs.add_parser("explain", help="explain the verdict of one gate of the last run")
    node_help = "as pytest prints it: prompts/x.ftgate.yaml::accuracy[variant]"
    explain.add_argument("node", help=node_help)
    explain.set_defaults(run=_explain)
    power = verbs.add_parser(
        "power", help="show the drops that the gates of a suite can detect; sends no request"
    )
    power.add_argument("suite", type=Path)
    power.set_defaults(run=_power)
    selftest = _add_selftest(verbs)
    cache = verbs.add_parser("cache", help="inspect, prune, export and import cached replies")
    for verb in (explain, power, selftest, _add_labels(verbs), *_add_cache_actions(cache)):
        verb.add_argument(
            "--cache", type=Path, help="the cache file (default: the one of pytest --ftgate)"
        )
    _add_data_and_history(verbs)
    _add_schema_and_report(verbs)
    return parser


def _add_selftest(verbs: Any) -> argparse.ArgumentParser:
    selftest: argparse.ArgumentParser = verbs.add_parser(
        "selftest", help="measure how often gates fail by chance, on repeated replies"
    )
    selftest.add_argument("suite", type=Path)
    selftest.add_argument("--repeats", type=int, default=3, help="replies to each case")
    selftest.add_argument(
        "--pairs", type=int, default=1000, help="pairs of runs to draw from the replies"
    )
    selftest.add_argument("--seed", type=int, default=0)
    selftest.set_defaults(run=_selftest)
    return selftest


def _add_labels(verbs: Any) -> argparse.ArgumentParser:
    labels: argparse.ArgumentParser = verbs.add_parser(
        "labels", help="write cached replies for people to grade"
    )
    labels.add_argument("suite", type=Path)
    labels.add_argument(
        "-o",
        dest="out",
        type=Path,
        help="the output file (default: NAME.labels.jsonl beside the suite)",
    )
    labels.add_argument(
        "--count", type=int, default=200, help="the least number of replies (default: 200)"
    )
    labels.add_argument("--seed", type=int, default=0)
    labels.set_defaults(run=_labels)
    return labels


def _add_data_and_history(verbs: Any) -> None:
    data = verbs.add_parser("data", help="check a training file")
    data.add_argument("file", type=Path)
    data.add_argument(
        "--suite", type=Path, help="also check against the cases and the format of a suite"
    )
    data.add_argument(
        "--against", type=Path, help="a file whose rows must not be in the training file"
    )
    data.add_argument("--context", type=int, help="the context length of the model, in tokens")
    data.add_argument("-v", dest="verbosity", action="count", default=0, help="show more lines")
    data.set_defaults(run=_data)
    history = verbs.add_parser(
        "history", help="show who accepted which results, and when, from git"
    )
    history.add_argument("path", type=Path, nargs="?", default=Path(), help="a suite or a folder")
    history.set_defaults(run=_history)


def _add_schema_and_report(verbs: Any) -> None:
    schema = verbs.add_parser("schema", help="print the JSON Schema of suite files or run records")
    schema.add_argument("of", nargs="?", choices=("suite", "run"), default="suite")
    schema.set_defaults(run=_schema)
    report_help = "make reports from a run record; sends no request"
    report = verbs.add_parser("report", help=report_help)
    report.add_argument("record", type=Path, help="the file that --ftgate-json wrote")
    report.add_argument("--html", type=Path, metavar="PATH", help="a page with every case")
    report.add_argument("--markdown", type=Path, metavar="PATH", help="text for a comment")
    report.set_defaults(run=_report)


def _add_cache_actions(cache: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    actions = cache.add_subparsers(required=True, metavar="WHAT")
    show = actions.add_parser("show", help="count cached replies, by provider and model")
    show.set_defaults(run=_show)
    prune = actions.add_parser("prune", help="delete replies, the oldest first")
    prune.add_argument("--older-than", metavar="90d", help="delete replies older than 12h, 90d, 2w")
    prune.add_argument(
        "--max-mb", type=float, metavar="MB", help="delete until the file is at most this large"
    )
    prune.set_defaults(run=_prune)
    check = actions.add_parser("check", help="check that the file is not damaged")
    check.set_defaults(run=_check)
    export = actions.add_parser("export", help="write the replies that a suite needs to a file")
    export.add_argument("suite", type=Path)
    export.add_argument(
        "-o",
        dest="out",
        type=Path,
        help="the output file (default: NAME.replies.jsonl beside the suite)",
    )
    export.add_argument(
        "--base", metavar="VARIANT", help="export the replies of this variant's base to skill cases"
    )
    export.set_defaults(run=_export)
    imported = actions.add_parser("import", help="add the replies of an exported file to the cache")
    imported.add_argument("file", type=Path)
    imported.set_defaults(run=_import)
    yield from (show, prune, check, export, imported)


def _cache(args: argparse.Namespace) -> Path:
    """Return the cache: that of ``--cache``, or of a run in this folder."""
    if args.cache:
        return Path(args.cache)
    from pytest_ftgate.plugin.config import settings_of_run

    return settings_of_run().cache


def _print_lines(
    args: argparse.Namespace, report: Callable[[Suite, Session], Iterable[str]]
) -> None:
    """Print what *report* yields about the suite of the command line."""
    from pytest_ftgate.plugin.config import with_suite

    def lines(suite: Suite, session: Session) -> list[str]:
        return [*report(suite, session)]

    print("\n".join(with_suite(args.suite, args.cache, lines)))


def _show(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.cache import cache_lines

    print("\n".join(cache_lines(_cache(args))))


def _prune(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.cache import parse_duration, prune_cache

    try:
        older_than = parse_duration(args.older_than) if args.older_than else None
    except ValueError as error:
        raise ConfigurationError(f"--older-than: {error}") from error
    print(prune_cache(_cache(args), older_than, args.max_mb))


def _check(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.cache import check_cache

    print(check_cache(_cache(args)))


def _export(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.cache import export_base_replies, export_replies

    if args.base:
        export = partial(export_base_replies, name=args.base, out=args.out)
    else:
        export = partial(export_replies, out=args.out)
    _print_lines(args, export)


def _import(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.cache import import_replies

    print(import_replies(args.file, _cache(args)))


def _download(args: argparse.Namespace) -> None:
    from pytest_ftgate.weights import download_weights

    print(download_weights(args.name))


def _explain(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.suite import explain_gate
    from pytest_ftgate.plugin.config import settings_of_run

    node, (name, _, gate) = args.node, args.node.partition("::")
    path = Path(name) if Path(name).is_file() else None
    settings = settings_of_run(path, args.cache)
    if path is not None:
        # A path from this folder may differ from the one in verdicts, which starts at the root.
        name = Path(os.path.relpath(path.resolve(), settings.root.resolve())).as_posix()
        node = f"{name}::{gate}"
    print(explain_gate(node, settings.cache.parent, settings.typed))


def _data(args: argparse.Namespace) -> int:
    report = examine_data(args.file, args.suite, args.against, args.context, args.verbosity)
    print("\n".join(report.lines))
    return 0 if report.usable else 1


def _history(args: argparse.Namespace) -> None:
    print("\n".join(history_lines(args.path)))


def _power(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.suite import power_report

    _print_lines(args, power_report)


def _selftest(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.suite import run_selftest

    if args.repeats < 2 or args.pairs < 1:  # noqa: PLR2004 - a pair has two runs
        raise ConfigurationError("selftest needs --repeats of 2 or more, and --pairs of 1 or more")
    numbers = {"repeats": args.repeats, "pairs": args.pairs, "seed": args.seed}
    _print_lines(args, partial(run_selftest, **numbers))


def _labels(args: argparse.Namespace) -> None:
    from pytest_ftgate.cli.suite import write_labels

    name = args.suite.name.removesuffix(".ftgate.yaml")
    out = args.out or args.suite.with_name(f"{name}.labels.jsonl")
    _print_lines(args, partial(write_labels, out=out, count=args.count, seed=args.seed))


def _schema(args: argparse.Namespace) -> None:
    if args.of == "run":
        from pytest_ftgate.reporting.writers import run_schema as schema
    else:
        from pytest_ftgate.suite.schema import suite_schema as schema

    print(schema(), end="")


def _report(args: argparse.Namespace) -> None:
    print("\n".join(report_record(args.record, {"html": args.html, "markdown": args.markdown})))


def report_record(record: Path, paths: Mapping[str, Path | None]) -> Iterator[str]:
    """Write the reports that *paths* names, by format; without any, yield the closing section.

    Raises:
        ConfigurationError: *record* is not a run record, or a report cannot be written.
    """
    report = read_run(record)
    wanted = {name: path for name, path in paths.items() if path is not None}
    if not wanted:
        yield from summary_lines(report, show_table=True)
    for name, path in wanted.items():
        try:
            yield write_report(name, path, report)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


_LINE_WIDTH = 80


def history_lines(path: Path) -> Iterator[str]:
    """Yield the accepted runs of a suite, or of all suites below a folder, newest first.

    Raises:
        ConfigurationError: there is no git repository or no accepted record.
    """
    if not path.exists():
        raise ConfigurationError(f"there is no {path}; name a suite or a folder")
    folder = path if path.is_dir() else path.parent
    name = path.name.removesuffix(".ftgate.yaml") if path.is_file() else "*"
    records = tracked_files(folder, f"{name}.accepted.json")
    if not records:
        remedy = "run pytest --ftgate --ftgate-accept and commit the record that it writes"
        raise ConfigurationError(f"{path}: nothing was accepted yet; {remedy}")
    if is_shallow(folder):
        yield "only a part of the history is here: the clone is shallow (fetch-depth: 0)"
    for record in records:
        suite = record.as_posix().removesuffix(".accepted.json")
        yield suite if suite.endswith(".py") else f"{suite}.ftgate.yaml"
        for run in accepted_runs(record):
            yield from _run_lines(run)


def _run_lines(run: AcceptedRun) -> Iterator[str]:
    serves = f": serves {run.serves}" if run.serves else ""
    yield f"  {run.at}  {run.commit}  {escape_controls(run.by + serves)}"
    gated = [verdict for verdict in run.verdicts if verdict.gated]
    for name in dict.fromkeys(verdict.variant for verdict in gated):
        gates = ", ".join(_gate_summary(verdict) for verdict in gated if verdict.variant == name)
        line = f"{escape_controls(name)}: {gates}"
        yield from textwrap.wrap(
            line, _LINE_WIDTH, initial_indent="      ", subsequent_indent=" " * 8
        )


def _gate_summary(verdict: Verdict) -> str:
    value = f" {amount(verdict.check.after, verdict.check.unit)}" if verdict.check else ""
    return f"{verdict.gate}{value} {verdict.outcome}"


@dataclass(frozen=True, slots=True)
class DataReport:
    """The findings in a training file, and the lines that show them."""

    findings: tuple[Finding, ...]
    lines: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether no finding is an error."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


def examine_data(
    path: Path,
    suite: Path | None = None,
    test_file: Path | None = None,
    context: int | None = None,
    verbosity: int = 0,
) -> DataReport:
    """Examine the training file *path*.

    Args:
        path: the file.
        suite: a suite with the cases, labels and format to check the rows with.
        test_file: a file of test rows for a model that is trained on *path*.
        context: the context size of the model, in tokens.
        verbosity: the number of lines for each finding; 0 shows the fewest.

    Raises:
        SuiteError: the suite or a row of *test_file* is invalid.
        ConfigurationError: a file does not exist.
    """
    rules = _suite_rules(suite) if suite else TrainingDataRules()
    if test_file:
        rules = replace(rules, cases=(*rules.cases, *_test_cases(test_file)))
    if context:
        rules = replace(rules, context=context)
    data = read_training_data(_existing(path))
    findings = check_training_data(data, rules)
    head = f"{path}: {severity_counts(findings)} in {quantity(len(data.rows), 'row')}"
    return DataReport(findings, (head, *finding_lines(findings, verbosity)))


def _suite_rules(path: Path) -> TrainingDataRules:
    from pytest_ftgate.plugin.config import with_suite

    return with_suite(path, None, lambda suite, _: _rules_of(suite))


def _rules_of(suite: Suite) -> TrainingDataRules:
    trained = [variant for variant in suite.variants.values() if variant.training_data]
    variant = next(iter(trained or suite.variants.values()))
    return training_data_rules(suite, suite.data_gate or DataGate(), variant)


def _test_cases(path: Path) -> list[Case]:
    source = Source(root=Path.cwd(), path=_existing(path).resolve())
    rows = read_training_rows(source, source.path)
    if source.errors:
        raise SuiteError(str(path), source.errors)
    score = Rule("exact")
    return [
        Case(
            id=f"{path.name}:{row.line}",
            location=f"{path}:{row.line}",
            input=row.input_text,
            score=score,
        )
        for row in rows
    ]


def _existing(path: Path) -> Path:
    """Return *path* if it is a file.

    Raises:
        ConfigurationError: it is not; the message suggests a file with a similar name.
    """
    if not path.is_file():
        names = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ConfigurationError(f"there is no file {path}{did_you_mean(path.name, names)}")
    return path
