"""A provider of the user breaks where no request is sent: the run ends, and says where."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

#: Answers rightly, but from some request on its headers cannot be read.
HOUSE = """\
from pathlib import Path
from pytest_ftgate import Provider, Reply

ASKED = Path(__file__).with_name("asked.txt")

class House(Provider):
    concurrency = 1
    answered = 0

    async def generate(self, request):
        self.answered += 1
        with ASKED.open("a") as stream:
            stream.write("one\\n")
        number = int(request.messages[-1][1].split()[1].strip(":"))
        return Reply(text=("billing", "refund")[number % 2])

    @property
    def rate_limit_headers(self):
        if self.answered > 20:
            raise LookupError("no headers today")  # here
        return {}

def pytest_ftgate_providers():
    return {"house": House}
"""
PLACE = f"conftest.py:{1 + HOUSE[: HOUSE.index('# here')].count(chr(10))}"
SENTENCE = f"unexpected LookupError: no headers today at {PLACE}; the run ends, and every reply"
VARIANTS = {"current": "{provider: house, model: m}", "next": "{provider: house, model: n}"}


@pytest.fixture
def house(desk):
    """A desk whose provider breaks after twenty replies; three gates ask it."""
    desk.path("conftest.py").write_text(HOUSE, "utf-8")
    desk.suite_of(VARIANTS)
    return desk


def kept(desk) -> int:
    with closing(sqlite3.connect(desk.path(".ftgate/cache.sqlite"))) as cache:
        return int(cache.execute("SELECT count(*) FROM replies").fetchone()[0])


def test_the_run_ends_as_after_an_internal_error_and_names_the_line(house):
    result = house.run("--ftgate-markdown=report.md")

    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    printed = result.stdout.str()
    assert SENTENCE in " ".join(printed.split())
    # With the traceback, and once: the second gate does not run.
    assert 'raise LookupError("no headers today")  # here' in printed
    result.assert_outcomes(errors=1)
    report = house.path("report.md").read_text("utf-8")
    assert "PASSED" not in report.splitlines()[0]
    assert SENTENCE in report


def test_what_was_answered_is_kept_and_the_next_run_asks_the_rest(house):
    house.run()
    before = kept(house)
    house.path("conftest.py").write_text(HOUSE.replace("> 20", "> 2000"), "utf-8")

    house.run().assert_outcomes(passed=2)

    assert before >= 21
    assert kept(house) == 2 * house.cases
    assert len(house.asked()) == 2 * house.cases
