"""Writes the reports that are files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.results.run import Report, write_run

__all__ = ["write_report", "write_reports"]

#: What GitHub takes of a step's summary in bytes, with room for what others write; and of a
#: comment in characters, which is the smaller.
_SUMMARY, _COMMENT = 1_000_000, 60_000


def write_reports(
    report: Report, paths: Mapping[str, Path], summary: Path | None = None
) -> list[str]:
    """Write *report*, and return a sentence on each file.

    Args:
        report: the run.
        paths: where, by face: ``html``, ``json``, ``markdown``.
        summary: a file to append the Markdown to, or None.
    """
    told = []
    for face, path in paths.items():
        try:
            told.append(write_report(face, path, report))
        except (OSError, FtgateError) as error:
            told.append(f"the {face} report could not be written to {path}: {error}")
    if summary is not None:
        told += _append(summary, report)
    return told


def write_report(face: str, path: Path, report: Report) -> str:
    """Write one face of *report* to *path*, and say so.

    Raises:
        OSError: the file cannot be written.
        Unavailable: what draws is not here.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _WRITERS[face](path, report)
    return f"wrote {_named(path)} ({_size(path.stat().st_size)})"


def _append(summary: Path, report: Report) -> list[str]:
    from pytest_ftgate.reporting.markdown import markdown

    try:
        before = summary.stat().st_size if summary.exists() else 0
        text = f"\n{markdown(report, _COMMENT)}"
        if before + len(text.encode()) > _SUMMARY:
            return ["the step's summary is full, so the verdicts are not in it"]
        with summary.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        return [f"the step's summary could not be written: {error}"]
    return []


def _markdown(path: Path, report: Report) -> None:
    from pytest_ftgate.reporting.markdown import markdown

    path.write_text(markdown(report, _COMMENT), "utf-8")


def _html(path: Path, report: Report) -> None:
    from pytest_ftgate.reporting.html.page import page

    path.write_text(page(report), "utf-8")


_WRITERS: Mapping[str, Callable[[Path, Report], None]] = {
    "json": write_run,
    "markdown": _markdown,
    "html": _html,
}


def _named(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _size(octets: int) -> str:
    return f"{octets / 1_000_000:.1f} MB" if octets >= 1_000_000 else f"{octets / 1_000:,.0f} kB"  # noqa: PLR2004
