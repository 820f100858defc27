"""Write the reports that are files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.results.run import Report, write_run

__all__ = ["write_report", "write_reports"]

#: GitHub's limits: bytes of a step summary, shared with other steps, and characters of a comment.
_MAX_SUMMARY_BYTES, _MAX_COMMENT = 1_000_000, 60_000


def write_reports(
    report: Report, paths: Mapping[str, Path], summary: Path | None = None
) -> list[str]:
    """Write *report*, and return a sentence on each file.

    Args:
        report: the run.
        paths: by format: ``html``, ``json``, ``markdown``.
        summary: a file to append the Markdown to, or None.
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
        ConfigurationError: matplotlib is not installed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _WRITERS[format_name](path, report)
    return f"wrote {_relative(path)} ({_size_text(path.stat().st_size)})"


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
}


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _size_text(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB" if size >= 1_000_000 else f"{size / 1_000:,.0f} kB"  # noqa: PLR2004
