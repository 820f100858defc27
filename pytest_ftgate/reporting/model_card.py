"""The verdicts on one variant for the card of its model, the README.md of a model on a hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError, did_you_mean
from pytest_ftgate.gates.units import percent, quantity
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.markdown import escape_markdown, markdown_table
from pytest_ftgate.reporting.tables import TextTable, change_cell, outcome_label, verdict_rows
from pytest_ftgate.reporting.trackers import comparing_check
from pytest_ftgate.results.run import Report
from pytest_ftgate.settings import DOCS_URL

_BEGIN, _END = "<!-- pytest-ftgate: begin -->", "<!-- pytest-ftgate: end -->"
_BLOCK = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}\n?", re.DOTALL)
_FRONT = re.compile(r"\A---\n(.*?)^---[ \t]*\n", re.DOTALL | re.MULTILINE)
#: The key of the results in a front matter, to the next key: ours has a comment.
_INDEX = re.compile(
    r"^model-index:(?P<ours> # by pytest-ftgate)?.*\n(?:[ \-#].*\n|\n)*", re.MULTILINE
)


def write_model_card(path: Path, report: Report, variant: str | None) -> str:
    """Write the verdicts on *variant* into the model card at *path*; return a sentence on it.

    A new file gets the results as metadata too (``model-index``), and so does one that has none of
    other tools. In a file that exists, all else stays as it is.

    Raises:
        ConfigurationError: it is not clear which variant is meant, or it has no verdict.
        OSError: the file cannot be read or written.
    """
    verdicts = _verdicts_on(report, variant)
    text = path.read_text("utf-8") if path.exists() else ""
    block = f"{_BEGIN}\n{card_block(report, verdicts)}{_END}\n"
    if _BLOCK.search(text):
        body = _BLOCK.sub(lambda _: block, text, count=1)
    else:
        body = f"{text.rstrip()}\n\n{block}" if text.strip() else block
    index = model_index(verdicts)
    front = _FRONT.match(body)
    others = front and (found := _INDEX.search(front[1])) and not found["ours"]
    note = "; its model-index is of another tool and stays" if others else ""
    if not others:
        fields = _INDEX.sub("", front[1]) if front else ""
        rest = body[front.end() :] if front else f"\n{body}"
        body = f"---\n{fields}{index}---\n{rest}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body, "utf-8")
    return f"wrote the verdicts on {verdicts[0].variant} to {path}{note}"


def _verdicts_on(report: Report, variant: str | None) -> list[Verdict]:
    names = [*dict.fromkeys(verdict.variant for verdict in report.gated_verdicts)]
    if variant is None and len(names) != 1:
        listed = ", ".join(names) or "none"
        raise ConfigurationError(f"whose model card? write --variant, one of {listed}")
    if variant is not None and variant not in names:
        raise ConfigurationError(
            f"no gate has a verdict on {variant}{did_you_mean(variant, names)}; the run has "
            f"verdicts on {', '.join(names) or 'no variant'}"
        )
    name = variant or names[0]
    return [verdict for verdict in report.gate_verdicts if verdict.variant == name]


def card_block(report: Report, verdicts: list[Verdict]) -> str:
    """Return the Markdown on *verdicts*: a table of the gates, and one of the general skills."""
    return "\n\n".join(_parts(report, verdicts)) + "\n"


def _parts(report: Report, verdicts: list[Verdict]) -> Iterator[str]:
    gated = [verdict for verdict in verdicts if verdict.gated]
    passed = sum(verdict.outcome is Outcome.PASSED for verdict in gated)
    version = report.facts.get("pytest-ftgate", "")
    tool = f"[pytest-ftgate]({DOCS_URL}) {escape_markdown(version)}".strip()
    yield "## Evaluation"
    yield f"{passed} of {quantity(len(gated), 'gate')} passed, on {report.at[:10]}, by {tool}."
    rows = [row[1:] for row in verdict_rows(verdicts)]
    headers = ["gate", "before", "after", "change (95 %)", "cases", "verdict", "limit"]
    yield markdown_table(TextTable(headers, rows, (1, 2, 4)))
    for verdict in verdicts:
        families = [part for part in verdict.slices if part.kind == "family"]
        if families:
            yield f"General skills, against the untuned model ({escape_markdown(verdict.gate)}):"
            cells = [
                [part.name, percent(part.before), percent(part.after), change_cell(part),
                 str(part.n)]
                for part in families
            ]  # fmt: skip
            headers = ["skills", "before", "after", "change (95 %)", "cases"]
            yield markdown_table(TextTable(headers, cells, (1, 2, 4)))
    if any(check.before is not None for verdict in verdicts for check in verdict.checks):
        yield "Before is the baseline, or the untuned model for general skills."


def model_index(verdicts: list[Verdict]) -> str:
    """Return the results of *verdicts* as ``model-index``, the metadata of the Hugging Face Hub.

    The value is JSON, which is YAML too, so that no name can break it.
    """
    results = [_result(verdict) for verdict in verdicts if comparing_check(verdict)]
    lines = ",\n".join(f"    {json.dumps(result)}" for result in results)
    name = json.dumps(verdicts[0].variant)
    return f'model-index: # by pytest-ftgate\n  - {{"name": {name}, "results": [\n{lines}]}}\n'


def _result(verdict: Verdict) -> dict[str, Any]:
    check = comparing_check(verdict)
    suite = verdict.suite.removesuffix(".ftgate.yaml")
    has_skills = any(part.kind == "family" for part in verdict.slices)
    measured = f"general skills that are left, {verdict.gate}" if has_skills else verdict.gate
    metric: dict[str, Any] = {
        "type": verdict.gate,
        "name": f"{measured} ({outcome_label(verdict).lower()})",
        "value": round(check.after, 4) if check else None,
    }
    return {
        "task": {"type": "text-generation"},
        "dataset": {"name": f"{suite} ({check.n if check else 0} cases)", "type": suite},
        "metrics": [metric],
    }
