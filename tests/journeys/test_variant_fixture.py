"""A marked function and its fixtures know their variant, and patch what it calls."""

from __future__ import annotations

ANSWERS = """\
import asyncio
from pathlib import Path

def client(case):
    return "wrong"

def answer(case):
    return client(case)

async def note(name, case):
    with Path(__file__).with_name("asked.txt").open("a") as stream:
        stream.write(name)
    await asyncio.sleep(0.001)
    return case.expected

async def a(case):
    return await note("a", case)

async def b(case):
    return await note("b", case)
"""
HEAD = """\
import answers
import pytest

"""
KNOWS = """\
@pytest.fixture
def started(variant):
    return f"a server for {variant.name}"

@pytest.fixture
def patched(monkeypatch):
    monkeypatch.setattr(answers, "client", lambda case: case.expected)

@pytest.mark.ftgate("tickets.ftgate.yaml", min=0.5)
def test_knows(case, reply, variant, started, patched):
    assert variant.provider == "python"
    assert reply.text == case.expected
    return "current" in started

@pytest.mark.parametrize("variant", ["own"])
@pytest.mark.ftgate("tickets.ftgate.yaml", min=0.5)
def test_own(reply, variant, patched):
    assert variant == "own"
"""
SLOW = """\
@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("SETTING", "1")

@pytest.mark.ftgate("tickets.ftgate.yaml", min=0.5)
def test_slow(case, reply):
    assert reply.text == case.expected
"""


def test_function_and_fixtures_know_the_variant_and_patch_its_module(desk):
    desk.asking_suite(ANSWERS)
    desk.pytester.syspathinsert()
    desk.path("test_marked.py").write_text(HEAD + KNOWS)

    result = desk.run("test_marked.py", "-v")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["test_marked.py::test_knows[[]current] PASSED*"])


def test_variants_are_asked_together_though_an_autouse_fixture_stands(desk):
    desk.path("answers.py").write_text(ANSWERS)
    variants = {name: f'{{provider: python, function: "answers:{name}"}}' for name in ("a", "b")}
    desk.suite_of(variants, gates="{accuracy: {min: 0.5}}")
    desk.pytester.syspathinsert()
    desk.path("test_marked.py").write_text(HEAD + SLOW)

    desk.run("test_marked.py").assert_outcomes(passed=2)

    asked = desk.path("asked.txt").read_text()
    assert asked.index("b") < asked.rindex("a")
