"""Marked functions may be async: whoever runs such functions runs them, by its own rules."""

from __future__ import annotations

import pytest
from ftgate_testing.foreign_plugins import TWICE, awaken

BODY = """\
async def test_it(case, reply):
    await asyncio.sleep(0)
    assert reply.text == case.expected
"""


@pytest.fixture
def two(desk):
    desk.suite(current=2, worse=30)
    return desk


GROUPED = """\
async def test_it(case, reply):
    async def right():
        assert reply.text == case.expected
    async with asyncio.TaskGroup() as group:
        group.create_task(right())
"""
AUTO = "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function"


def write(desk, body=BODY, ini=""):
    desk.marked(body)
    module = desk.path("test_marked.py")
    module.write_text("import asyncio\n" + module.read_text())
    desk.path("pytest.ini").write_text(f"[pytest]\n{ini}\n")


def test_pytest_asyncio_runs_them(two, monkeypatch):
    awaken(monkeypatch, "asyncio")
    write(two, ini=AUTO)

    result = two.run("test_marked.py")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["it: down 28 points *: current 98 % → *", "      │ test_marked.py:7: in test_it"]
    )


#: anyio itself takes such a function if it names the fixture.
STATIC = "@staticmethod\n" + BODY.replace("reply)", "reply, anyio_backend)")


@pytest.mark.parametrize("body", [BODY, STATIC])
def test_anyio_runs_them(two, monkeypatch, body):
    if body is STATIC and pytest.version_tuple < (9,):
        pytest.skip("pytest 8 refuses such a function")
    awaken(monkeypatch, "anyio")
    write(two, f"@pytest.mark.anyio\n{body}")
    two.path("conftest.py").write_text(
        "import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n"
    )

    result = two.run("test_marked.py")

    result.assert_outcomes(passed=1, failed=1)
    line = 8 + body.startswith("@")
    result.stdout.fnmatch_lines([f"      │ test_marked.py:{line}: in test_it"])


def test_what_a_task_group_raises_is_looked_through(two, monkeypatch):
    awaken(monkeypatch, "asyncio")
    write(two, GROUPED, AUTO)

    two.run("test_marked.py").assert_outcomes(passed=1, failed=1)


def test_without_a_plugin_that_runs_them_they_are_errors(two):
    write(two)

    # pytest before 8.4 only warns, and skips them.
    result = two.run("-W", "default", "-W", TWICE, "test_marked.py")

    result.assert_outcomes(errors=2, warnings=2 if pytest.version_tuple < (8, 4) else 0)
    assert "async def functions are not natively supported" in result.stdout.str()
