"""The page: one HTML file that loads nothing else. Its templates call the modules of reporting."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.reporting import (
    checkpoints,
    explain,
    flips,
    headlines,
    ladder,
    next_steps,
    notes,
    number_text,
    runs,
    skills,
    suite_errors,
    summary,
    tables,
    text,
    ungated,
    verdict,
)
from pytest_ftgate.reporting.flips import example_texts
from pytest_ftgate.reporting.html import case_data, charts
from pytest_ftgate.results import run
from pytest_ftgate.results.run import Report
from pytest_ftgate.settings import DOCS_URL

#: What the templates call.
_MODULES = (
    *(case_data, charts, checkpoints, explain, flips, headlines, ladder, next_steps, run, runs),
    *(skills, suite_errors, summary, tables, text, ungated, verdict),
)
#: The colour and the sign of a run, by its word.
_STYLES = {"PASSED": ("passed", "✓"), "INCONCLUSIVE": ("inconclusive", "?")}
#: The most gates that did not pass, beside the worst one, that the top of the page names.
_MAX_NAMED = 6
#: The most gates that did not pass that are open at first; the columns of a text of an example.
_MAX_OPEN, _EXAMPLE_WIDTH = 3, 240
#: An address of a page of the documentation.
_DOCS_LINK = re.compile(re.escape(DOCS_URL) + r"[\w/#-]*")
#: The files of the script, in their order.
_SCRIPTS = ("elements.js", "page.js", "charts.js", "differences.js", "cases.js")


def _top_values(report: Report) -> Mapping[str, Any]:
    """Return the values at the top of the page: outcome, the worst gate, a case, the others."""
    word, blocking = summary.verdict_word(report), tables.blocking_verdicts(report)
    kind, sign = _STYLES.get(word, ("failed", "✕"))
    worst = None if report.verdict == "passed" or not blocking else blocking[0]
    flips = worst.flips if worst else ()
    flip = next((flip for flip in flips if flip.regressed), None)
    return {
        "outcome": kind,
        "sign": sign,
        "heading": word.capitalize(),
        "worst": worst,
        "flip": flip,
        "texts": [
            (label, text.shorten(said, _EXAMPLE_WIDTH))
            for label, said in (example_texts(flip, "before", _EXAMPLE_WIDTH) if flip else ())
        ],
        "others": [verdict for verdict in blocking if verdict is not worst][:_MAX_NAMED],
        "passed": [] if worst else summary.passed_parts(report.gated_verdicts),
    }


def _verdict_values(report: Report) -> Mapping[str, Any]:
    """Return the gates, the worst first, and which of them are open at first."""
    ranked = tables.rank_verdicts(report.gated_verdicts)
    return {
        "ranked": ranked,
        "opened": tables.blocking_verdicts(report)[:_MAX_OPEN],
        "several_suites": len({verdict.suite for verdict in ranked}) > 1,
    }


class PageSection(NamedTuple):
    """A section of the page.

    Attributes:
        data: returns what the template shows beside the report; without any, the section is left
            out.
    """

    anchor: str
    title: str
    template: str
    data: Callable[[Report], Any]


def html_page(report: Report) -> str:
    """Return *report* as a page."""
    found = [(section, section.data(report)) for section in PAGE_SECTIONS]
    shown = [
        (section, rendered(section.template, report=report, data=data))
        for section, data in found
        if data
    ]
    style, script = read_template("page.css"), joined_script(_SCRIPTS)
    page = rendered(
        "page.html",
        report=report,
        top=_top_values(report),
        sections=shown,
        style=Markup(style),  # noqa: S704 - files of this package
        script=Markup(script),  # noqa: S704 - the same
        policy=content_security_policy(style, script),
    )
    return f"{page}\n"


def joined_script(names: Iterable[str]) -> str:
    """Return the script of the files *names*, whose names are its own."""
    return "(() => {\n" + "".join(map(read_template, names)) + "})();\n"


def content_security_policy(style: str, script: str) -> str:
    """Return a policy that allows *style* and *script* by their hashes, and no request."""
    own = f"script-src '{_hash(script)}'; style-src '{_hash(style)}'"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def read_template(name: str) -> str:
    """Return a file of the folder of templates."""
    return files(__package__).joinpath("templates", name).read_text("utf-8")


def _keep_rates_together(text: str) -> str:
    """Return *text* so that no line ends within ``48 → 0 %`` or ``95 % CI``."""
    return re.sub(r" (?=[→%])|(?<=→) |(?<=%) (?=CI)", "\N{NO-BREAK SPACE}", text)


def _link_docs(foreign: str) -> Markup:
    """Return *foreign* text, escaped, with links to the documentation; no other address is one."""
    escaped = str(escape(text.escape_controls(foreign)))
    return Markup(_DOCS_LINK.sub(r'<a href="\g<0>">\g<0></a>', escaped))  # noqa: S704 - escaped


def _anchor(verdict: Verdict) -> str:
    return f"v{sha256(run.node_id(verdict).encode()).hexdigest()[:10]}"


def rendered(template: str, **values: Any) -> Markup:
    """Return a template with *values*, which are escaped where they are not `Markup`."""
    return Markup(_templates().get_template(template).render(values))  # noqa: S704 - autoescaped


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FunctionLoader(read_template), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {one.__name__.rpartition(".")[2]: one for one in _MODULES}
    environment.globals["anchor"] = _anchor
    environment.filters |= {
        "escape_controls": text.escape_controls,
        "note_text": notes.note_text,
        "percent": number_text.percent,
        "unbroken": _keep_rates_together,
        "linked": _link_docs,
    }
    return environment


def _cases(report: Report) -> case_data.CaseData | None:
    return case_data.pack_cases(report) if any(suite.cases for suite in report.suites) else None


def _pictures(
    anchor: str, title: str, draw: Callable[[Report], Iterator[charts.Chart]]
) -> PageSection:
    return PageSection(anchor, title, "pictures.html", lambda report: [*draw(report)])


#: The sections of the page, in their order.
PAGE_SECTIONS = (
    PageSection("verdicts", "Verdicts", "verdicts.html", _verdict_values),
    _pictures("checkpoints", "Checkpoints", charts.checkpoint_charts),
    PageSection("cases", "Cases", "cases.html", _cases),
    _pictures("forgetting", "Skills", charts.forgetting_charts),
    _pictures("format-errors", "Format errors", charts.format_error_charts),
    PageSection("confusions", "Confusions", "confusions.html", case_data.confusion_values),
    _pictures("variants", "Variants", charts.variant_charts),
    PageSection("ladder", "Ladder", "ladder.html", lambda report: report.advice),
    _pictures("cost", "Cost", charts.cost_charts),
    _pictures("latency", "Latency", charts.latency_charts),
    _pictures("history", "History", charts.history_charts),
    PageSection("facts", "Facts", "facts.html", lambda report: report),
)
