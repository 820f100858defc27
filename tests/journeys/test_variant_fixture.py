"""A marked function and its fixtures know their variant, and patch what it calls."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

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


# Fixtures of wider scopes -----------------------------------------------------------------------

SERVER = """\
import os
import pytest

@pytest.fixture(scope="{scope}")
def server(variant):
    with open("starts.txt", "a") as stream:
        stream.write(f"{{os.getpid()}} {{variant.name}}\\n")
    yield variant.name
    with open("starts.txt", "a") as stream:
        stream.write(f"{{os.getpid()}} -{{variant.name}}\\n")
"""
GATES = """\
import pytest

@pytest.mark.ftgate("tickets.ftgate.yaml", min=0.5, max_drop="none", variants=["worse"])
def test_worse(case, reply, server):
    return reply.text == case.expected

class TestBoth:
    @pytest.mark.ftgate("tickets.ftgate.yaml", max_drop=0.05)
    def test_it(self, case, reply, server):
        return reply.text == case.expected

    @pytest.mark.ftgate("tickets.ftgate.yaml", min=0.5)
    def test_name(self, case, reply, variant, server):
        return server == variant.name or variant.name == "current"

    @pytest.mark.ftgate("tickets.ftgate.yaml", min=0.5)
    def test_plain(self, case, reply):
        return True
"""


@pytest.fixture
def served(desk):
    """Write two modules with a server of the given scope; return a function that runs them."""
    desk.suite(current=2, good=2, worse=30)

    def run(scope, *args, gates=GATES):
        desk.path("conftest.py").write_text(SERVER.format(scope=scope))
        for name in ("test_one.py", "test_two.py"):
            desk.path(name).write_text(gates)
        desk.path("starts.txt").write_text("")
        return desk.run("test_one.py", "test_two.py", "-v", *args)

    return run


def _starts(desk, *, of=1):
    """Return what was started and, with a minus, ended, in order."""
    lines = [line.split() for line in desk.path("starts.txt").read_text().splitlines()]
    assert len({process for process, _ in lines}) <= of
    return [name for _, name in lines]


ONCE = ["current", "-current", "worse", "-worse", "good", "-good"]


@pytest.mark.parametrize(("scope", "starts"), [("session", ONCE), ("module", ONCE * 2)])
def test_a_server_of_a_wide_scope_starts_once_for_each_variant(desk, served, scope, starts):
    served(scope).assert_outcomes(passed=18, failed=2)

    assert _starts(desk) == starts


def test_the_baselines_gates_come_first_and_ids_stay_as_they_are(served):
    result = served("class", "-k", "test_one and not plain and not good")

    assert [
        line.split()[0] for line in result.outlines if "::test_" in line and line.endswith("%]")
    ] == [
        "test_one.py::test_worse[worse]",
        "test_one.py::TestBoth::test_it[current]",
        "test_one.py::TestBoth::test_name[current]",
        "test_one.py::TestBoth::test_it[worse]",
        "test_one.py::TestBoth::test_name[worse]",
    ]


def test_a_server_of_function_scope_leaves_the_order_as_it_is(desk, served):
    served("function", "-k", "test_one and TestBoth and not good and not plain")

    names = [name for name in _starts(desk) if not name.startswith("-")]
    assert names == ["current", "worse"] * 2


def test_what_failed_last_starts_its_own_server_alone(desk, served):
    served("session")

    served("session", "--lf").assert_outcomes(failed=2)

    assert _starts(desk) == ["worse", "-worse"]


def test_a_single_case_has_its_server(desk, served):
    result = served("session", "--ftgate-case=t050", "--ftgate-case=t051", "-k", "test_name")

    result.assert_outcomes(passed=12, deselected=28)
    assert sorted(_starts(desk)) == sorted(ONCE)


@pytest.mark.heavy
@pytest.mark.parametrize("mode", ["load", "loadfile", "loadgroup"])
def test_a_process_of_xdist_starts_a_server_once_for_each_variant(desk, served, mode):
    served("session", "-n2", f"--dist={mode}").assert_outcomes(passed=18, failed=2)

    lines = desk.path("starts.txt").read_text().splitlines()
    assert len({*lines}) == len(lines)
    assert {*_starts(desk, of=2)} == {*ONCE}


REAL = """\
from urllib.parse import urlsplit

import pytest
from ftgate_testing.chat_server import Said, chat_server

@pytest.fixture(scope="session")
def server(variant):
    def answer(request):
        assert request["model"] == variant.model
        right = ("billing", "refund")[int(request["messages"][-1]["content"].split()[1][:-1]) % 2]
        return Said("refund" if variant.name == "worse" else right)

    with chat_server(answer, port=urlsplit(variant.base_url).port):
        yield
"""


def test_requests_reach_the_server_of_their_variant_one_after_the_other(desk, unused_ports):
    desk.suite_of(
        {
            name: f'{{provider: openai-compatible, base_url: "http://127.0.0.1:{port}/v1", '
            f"model: {name}}}"
            for name, port in zip(("current", "worse"), unused_ports(2), strict=True)
        },
        "{accuracy: {max_drop: 0.05}}",
    )
    desk.path("conftest.py").write_text(REAL)
    for name in ("test_one", "test_two"):
        body = "def test_it(case, reply, server):\n    assert reply.text == case.expected\n"
        desk.marked(body, name=name)

    desk.run("test_one.py", "test_two.py").assert_outcomes(passed=2, failed=2)

    verdicts = desk.verdicts()
    assert verdicts["test_it[worse]"]["checks"][0]["after"] == 0.5


@pytest.fixture
def unused_ports():
    """Return a function that finds ports at which nothing serves."""

    def find(count):
        with ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            for one in sockets:
                one.bind(("127.0.0.1", 0))
            return [one.getsockname()[1] for one in sockets]

    return find
