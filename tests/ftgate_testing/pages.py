"""Pages of the documentation, beside what is typed and printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftgate_testing.chat_server import Answer, chat_server

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    """Return the text of a page, such as ``how-to/accept``."""
    return (DOCS / f"{name}.md").read_text("utf-8")


def run_hosted(pytester, monkeypatch, suite: str, text: str, answer: Answer) -> pytest.RunResult:
    """Run a suite of a page with a model on loopback in place of the hosted one."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    hosted = "provider: openai-compatible, base_url_env: HOSTED_URL"
    (pytester.path / suite).write_text(text.replace("provider: anthropic", hosted), "utf-8")
    with chat_server(answer) as server:
        monkeypatch.setenv("HOSTED_URL", server.url)
        return pytester.runpytest_inprocess("--ftgate", suite)


def assert_shows(result: pytest.RunResult, screen: str, *, consecutive: bool = False) -> None:
    """Assert that a run printed the lines of *screen*, in which a star is the only wildcard."""
    lines = [line.replace("[", "[[]") for line in screen.splitlines() if line or consecutive]
    result.stdout.fnmatch_lines(lines, consecutive=consecutive)
