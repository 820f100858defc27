"""An example of a plugin: a provider, a scorer, a format, a skill, prices, and a page of its own.

All it takes is the entry point in pyproject.toml; pytest and pytest-ftgate find the functions by
their names. docs/hooks.md of pytest-ftgate tells what each may do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pytest_ftgate import Call, Case, Provider, Reply, Verdict

__all__ = [
    "Echo",
    "pytest_addoption",
    "pytest_ftgate_formats",
    "pytest_ftgate_plan_modifyitems",
    "pytest_ftgate_prices",
    "pytest_ftgate_providers",
    "pytest_ftgate_reporters",
    "pytest_ftgate_scorers",
    "pytest_ftgate_skills",
    "pytest_ftgate_verdict",
]


class Echo(Provider):
    """Says what it was told, loudly where its model is ``loud``."""

    async def ask(self, call: Call) -> Reply:
        """Answer one call."""
        said = call.messages[-1][1]
        text = said.upper() if call.model == "loud" else said
        return Reply(text=text, usage={"input": len(said.split()), "output": len(text.split())})


def pytest_ftgate_providers() -> Mapping[str, type[Provider]]:
    """Suites may write ``provider: echo``."""
    return {"echo": Echo}


def _words(case: Case, reply: Reply) -> float:
    """Return the share of the expected words that the reply has."""
    wanted = str(case.expected).lower().split()
    said = reply.text.lower().split()
    return sum(word in said for word in wanted) / len(wanted)


def pytest_ftgate_scorers() -> Mapping[str, Callable[..., float]]:
    """Suites may write ``score: words``."""
    return {"words": _words}


def _quiet(case: Case, reply: Reply, most: float = 0.3) -> str:
    """Hold the share of capital letters down."""
    del case
    share = sum(letter.isupper() for letter in reply.text) / (len(reply.text) or 1)
    return "" if share <= most else f"{share:.0%} capital letters, at most {most:.0%}"


def pytest_ftgate_formats() -> Mapping[str, Callable[..., str]]:
    """Suites may write ``format: quiet``, or ``format: {quiet: {most: 0.1}}``."""
    return {"quiet": _quiet}


def pytest_ftgate_skills() -> Mapping[str, Path]:
    """Suites may write ``forgetting: {skills: repeating}``."""
    return {"repeating": Path(__file__).with_name("acme_repeating.jsonl")}


def pytest_ftgate_prices(provider: str, model: str) -> tuple[float, float] | None:
    """Tell what the provider costs, in USD for a million tokens read and written."""
    del model
    return (1.0, 2.0) if provider == "echo" else None


def pytest_ftgate_plan_modifyitems(items: list[Call]) -> None:
    """Ask the short ones first: what is wrong in all of them shows the sooner."""
    items.sort(key=lambda call: len(call.messages[-1][1]))


# What it does with verdicts ---------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Give it an option of its own, as any plugin of pytest may have."""
    parser.addoption("--acme-page", metavar="FILE", help="Write a line for each gate to FILE.")


def pytest_ftgate_verdict(config: pytest.Config, verdict: Verdict, nodeid: str) -> None:
    """Write a line for each verdict as it is reached."""
    _write(config, f"{verdict.outcome} {nodeid}")


def pytest_ftgate_reporters(config: pytest.Config, report: tuple[Verdict, ...]) -> None:
    """Write a last line for the run."""
    good = sum(verdict.outcome == "passed" for verdict in report)
    _write(config, f"{good} of {len(report)} passed")


def _write(config: pytest.Config, line: str) -> None:
    path: str | None = config.getoption("acme_page")
    if path:
        with Path(path).open("a", encoding="utf-8") as page:
            page.write(f"{line}\n")
