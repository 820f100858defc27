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
    text = re.sub(r"^( +now +).*", r"\1", text, flags=re.MULTILINE)
    return re.sub(r"\d[\d.]*", "N", text)


def printed(result: pytest.RunResult) -> str:
    return without_figures(result.stdout.str())


@pytest.fixture(scope="module")
def cache() -> Path:
    return user_cache_path()


def test_a_suite_passes_a_new_prompt_fails_and_is_mended_and_becomes_the_current_one(
    cache, pytester, monkeypatch, capsys
) -> None:
    for name in KEY_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(scaffold, "LOCAL_PORTS", ())
    (pytester.path / "capitals.md").write_text(block("text"), "utf-8")
    (pytester.path / "capitals.csv").write_text(block("csv"), "utf-8")

    assert main(["init"]) == 0

    shown = capsys.readouterr().out
    assert without_figures(shown) == without_figures(block("", 1))
    suite = pytester.path / "capitals.ftgate.yaml"
    first = suite.read_text("utf-8")
    assert without_figures(first) == without_figures(block("yaml"))

    monkeypatch.setenv("COLUMNS", "80")
    accepts, evaluates, accepts_again = (shlex.split(block("", place)) for place in (2, 3, 4))
    assert pytester.runpytest_subprocess(*accepts[1:]).ret == 0

    new = pytester.path / "capitals-v2.md"
    new.write_text(block("text", 1), "utf-8")
    suite.write_text(first.replace("gates:", f"{block('yaml', 1)}gates:"), "utf-8")
    failed = pytester.runpytest_subprocess(*evaluates[1:], "-v")
    assert failed.ret == pytest.ExitCode.TESTS_FAILED
    failed.stdout.fnmatch_lines_random(
        ["*accuracy?current?*PASSED*", "BLOCKED  1 of 2 gates failed*", "* 12 requested*"]
    )
    assert without_figures(block("console")) in printed(failed)

    new.write_text(block("text", 2), "utf-8")
    assert pytester.runpytest_subprocess(*evaluates[1:]).ret == 0

    old, won = "prompt: capitals.md", "prompt: capitals-v2.md"
    assert f"`{won}` in place\nof `{old}`" in PAGE
    suite.write_text(first.replace(old, won), "utf-8")
    accepted = pytester.runpytest_subprocess(*accepts_again[1:])
    assert accepted.ret == 0
    accepted.stdout.fnmatch_lines(["PASSED  1 gate *", "accepted current in *"])
