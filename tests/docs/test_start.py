"""docs/start.md, typed as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from ftgate_testing.canary import KEY_NAMES
from ftgate_testing.pages import page
from platformdirs import user_cache_path

from pytest_ftgate.cli import scaffold
from pytest_ftgate.cli.main import main

PAGE = page("start")


def block(language: str, place: int = 0) -> str:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [text for name, text in blocks if name == language][place]


def without_figures(text: str) -> str:
    # What a model answers may differ by processor.
    return re.sub(r"\d[\d.]*", "N", text)


@pytest.fixture(scope="module")
def cache() -> Path:
    return user_cache_path()


def test_the_page_writes_a_suite_that_passes_a_variant_that_fails_and_one_that_is_fixed(
    cache, pytester, monkeypatch, capsys
) -> None:
    for name in KEY_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(scaffold, "LOCAL_PORTS", ())
    (pytester.path / "capitals.md").write_text(block("text"), "utf-8")
    (pytester.path / "capitals.csv").write_text(block("csv"), "utf-8")

    assert main(["init"]) == 0

    printed = capsys.readouterr().out
    assert without_figures(printed) == without_figures(block("", 1))
    suite = pytester.path / "capitals.ftgate.yaml"
    text = suite.read_text("utf-8")
    assert without_figures(text) == without_figures(block("yaml"))
    suite.write_text(text.replace("gates:", f"{block('yaml', 1)}gates:"), "utf-8")

    monkeypatch.setenv("COLUMNS", "80")
    typed = shlex.split(block("", 2))
    assert typed[0] == "pytest"

    result = pytester.runpytest_subprocess(*typed[1:], "-v")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines_random(
        ["*accuracy?current?*PASSED*", "BLOCKED  1 of 2 gates failed*", "* 12 requested*"]
    )
    assert without_figures(block("console")) in without_figures(result.stdout.str())
    text = suite.read_text("utf-8")
    suite.write_text(text.replace(block("yaml", 1), block("yaml", 2)), "utf-8")
    assert pytester.runpytest_subprocess(*typed[1:]).ret == 0
