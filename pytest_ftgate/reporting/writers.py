"""Write the reports that are files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.notes import Note
from pytest_ftgate.gates.statements import NextStep
from pytest_ftgate.gates.verdict import Check, Verdict
from pytest_ftgate.readers.source import display_path
from pytest_ftgate.recommend.advice import Advice, Confirmation
from pytest_ftgate.reporting.headlines import advice_headline, headline
from pytest_ftgate.reporting.ladder import confirmation_sentence
from pytest_ftgate.reporting.next_steps import step_command, step_text
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.reporting.number_text import file_size
from pytest_ftgate.reporting.phrases import relation
from pytest_ftgate.reporting.trackers import write_metrics
from pytest_ftgate.results.run import Report, json_adapter

#: GitHub's limits: bytes of a step summary, shared with other steps, and characters of a comment.
_MAX_SUMMARY_BYTES, _MAX_COMMENT = 1_000_000, 60_000


def remove_reports(paths: Iterable[Path]) -> None:
    """Remove the reports of an earlier run at *paths*.

    If this run ends before it reports, they would seem to be of this one.
    """
    for path in paths:
        # Not what a link such as /dev/stdout leads to.
        if path.is_file() and not path.is_symlink():
            with suppress(OSError):
                path.unlink()


def write_reports(
    report: Report, paths: Mapping[str, Path], summary: Path | None = None
) -> list[str]:
    """Write *report*, and return a sentence on each file.

    *paths* are by format, see ``settings.REPORT_FORMATS``. The Markdown is appended to *summary*.
    """
    messages = []
    for format_name, path in paths.items():
        try:
            messages.append(write_report(format_name, path, report))
        except (OSError, FtgateError) as error:
            messages.append(f"the {format_name} report could not be written to {path}: {error}")
    if summary is not None:
        messages += _append_summary(summary, report)
    return messages


def write_report(format_name: str, path: Path, report: Report) -> str:
    """Write *report* to *path* in one format, and return a sentence on the file.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _WRITERS[format_name](path, report)
    return f"wrote {display_path(Path.cwd(), path)} ({file_size(path.stat().st_size)})"


def _append_summary(summary: Path, report: Report) -> list[str]:
    from pytest_ftgate.reporting.markdown import markdown_report

    try:
        before = summary.stat().st_size if summary.exists() else 0
        text = f"\n{markdown_report(report, _MAX_COMMENT)}"
        if before + len(text.encode()) > _MAX_SUMMARY_BYTES:
            return ["the step's summary is full, so the verdicts are not in it"]
        with summary.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        return [f"the step's summary could not be written: {error}"]
    return []


# The run record ---------------------------------------------------------------------------------


def run_json(report: Report) -> str:
    """Return *report* as indented JSON with its sentences."""
    document = json_adapter(Report).dump_python(report, mode="json")
    # Sentences come first, since a person reads them first.
    for name, values in (("verdicts", report.verdicts), ("advice", report.advice)):
        document[name] = _with_sentences(values, document[name])
    return to_json(document, indent=1, inf_nan_mode="null").decode() + "\n"


def write_run(path: Path, report: Report) -> None:
    """Write *report* to *path* as JSON, atomically."""
    text = run_json(report)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(text.encode())
    part.replace(path)


#: Makes the sentences of a value by its class.
_SENTENCES: Mapping[type, Callable[[Any], Mapping[str, str]]] = {
    Verdict: lambda verdict: {"headline": headline(verdict)},
    Advice: lambda advice: {"headline": advice_headline(advice)},
    Check: lambda check: {"relation": relation(check)},
    Confirmation: lambda found: {"text": confirmation_sentence(found)},
    NextStep: lambda step: {
        "role": step.role,
        "text": step_text(step),
        "command": step_command(step),
    },
    Note: lambda note: {"text": note_text(note)},
}


def _with_sentences(value: Any, document: Any) -> Any:
    """Return *document*, the JSON of *value*, with the sentences of every value in it."""
    if isinstance(value, tuple):
        return [_with_sentences(*pair) for pair in zip(value, document, strict=True)]
    if isinstance(value, Mapping):
        pairs = zip(value.values(), document.items(), strict=True)
        return {key: _with_sentences(one, part) for one, (key, part) in pairs}
    if not is_dataclass(value):
        return document
    sentences = _SENTENCES.get(type(value), lambda _: {})(value)
    parts = {key: _with_sentences(getattr(value, key), part) for key, part in document.items()}
    return {**sentences, **parts}


def _write_markdown(path: Path, report: Report) -> None:
    from pytest_ftgate.reporting.markdown import markdown_report

    path.write_text(markdown_report(report, _MAX_COMMENT), "utf-8")


def _write_html(path: Path, report: Report) -> None:
    from pytest_ftgate.reporting.html.page import html_page

    path.write_text(html_page(report), "utf-8")


_WRITERS: Mapping[str, Callable[[Path, Report], None]] = {
    "json": write_run,
    "markdown": _write_markdown,
    "html": _write_html,
    "metrics": write_metrics,
}
