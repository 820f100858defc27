"""The result of a run that was started from Python, and its reports."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from pytest_ftgate.results.run import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A run that was started from Python; ``str()`` of it is what a terminal shows.

    Attributes:
        report: the run record, which the reports are made of.
    """

    report: Report

    def lines(self, verbosity: int = 0) -> list[str]:
        """Return the lines for a terminal."""
        raise NotImplementedError

    def to_markdown(self) -> str:
        """Return the verdicts as Markdown, as ``--ftgate-markdown`` writes them."""
        from pytest_ftgate.reporting.markdown import markdown_report

        return markdown_report(self.report)

    def to_html(self) -> str:
        """Return the page that ``--ftgate-html`` writes."""
        from pytest_ftgate.reporting.html.page import html_page

        return html_page(self.report)

    def to_json(self) -> str:
        """Return the run record, as ``--ftgate-json`` writes it."""
        from pytest_ftgate.reporting.writers import run_json

        return run_json(self.report)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        """Return what a notebook shows. Replies and names in it are quoted."""
        return f"<pre>{escape(str(self))}</pre>"
