"""An example plugin: a provider, a scorer, a format, a skill, prices, and a report of its own.

The entry point in pyproject.toml is enough: pytest and pytest-ftgate find the functions by their
names. docs/hooks.md of pytest-ftgate describes each hook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pytest_ftgate import Case, Provider, Reply, Report, Request, Verdict

__all__ = [
    "Echo",
    "pytest_addoption",
    "pytest_ftgate_formats",
    "pytest_ftgate_plan_modifyitems",
    "pytest_ftgate_prices",
    "pytest_ftgate_providers",
    "pytest_ftgate_report",
    "pytest_ftgate_scorers",
    "pytest_ftgate_skills",
    "pytest_ftgate_verdict",
]


class Echo(Provider):
    """Repeats the question, in capital letters if its model is ``loud``."""

    async def generate(self, request: Request) -> Reply:
        """Return the reply to one request."""
        question = request.messages[-1][1]
        text = question.upper() if request.model == "loud" else question
        usage = {"input": len(question.split()), "output": len(text.split())}
        return Reply(text=text, usage=usage)


def pytest_ftgate_providers() -> Mapping[str, type[Provider]]:
    """Return the providers; suites may write ``provider: echo``."""
    return {"echo": Echo}


def _words(case: Case, reply: Reply) -> float:
    """Return the share of the expected words that the reply contains, 0 to 1."""
    expected = str(case.expected).lower().split()
    words = reply.text.lower().split()
    return sum(word in words for word in expected) / len(expected)


def pytest_ftgate_scorers() -> Mapping[str, Callable[..., float]]:
    """Return the scorers; suites may write ``score: words``."""
    return {"words": _words}


def _quiet(case: Case, reply: Reply, most: float = 0.3) -> str:
    """Return a format error if more than *most* of the characters are capital letters."""
    del case
    share = sum(letter.isupper() for letter in reply.text) / (len(reply.text) or 1)
    return "" if share <= most else f"{share:.0%} capital letters, at most {most:.0%}"


def pytest_ftgate_formats() -> Mapping[str, Callable[..., str]]:
    """Return the formats; suites may write ``format: quiet`` or ``{quiet: {most: 0.1}}``."""
    return {"quiet": _quiet}


def pytest_ftgate_skills() -> Mapping[str, Path]:
    """Return the skills; suites may write ``forgetting: {skills: repeating}``."""
    return {"repeating": Path(__file__).with_name("acme_repeating.jsonl")}


def pytest_ftgate_prices(provider: str, model: str) -> tuple[float, float] | None:
    """Return the provider's prices, in USD for a million input and output tokens."""
    del model
    return (1.0, 2.0) if provider == "echo" else None


def pytest_ftgate_plan_modifyitems(items: list[Request]) -> None:
    """Send short requests first, so that an error in all of them shows early."""
    items.sort(key=lambda request: len(request.messages[-1][1]))


# Verdicts and reports ---------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option, like any pytest plugin."""
    parser.addoption("--acme-page", metavar="FILE", help="Write a line for each gate to FILE.")


def pytest_ftgate_verdict(verdict: Verdict, nodeid: str, config: pytest.Config | None) -> None:
    """Write a line for each verdict when it is reached."""
    _write(config, f"{verdict.outcome} {nodeid}")


def pytest_ftgate_report(report: Report, config: pytest.Config | None) -> None:
    """Write a last line for the run."""
    gates = report.gated_verdicts
    passed = sum(verdict.outcome == "passed" for verdict in gates)
    _write(config, f"{passed} of {len(gates)} passed")


def _write(config: pytest.Config | None, line: str) -> None:
    path: str | None = config.getoption("acme_page") if config else None
    if path:
        with Path(path).open("a", encoding="utf-8") as page:
            page.write(f"{line}\n")
