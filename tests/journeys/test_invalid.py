"""A variant that is not what it claims to be is invalid: a status of its own, proven first."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

#: A provider whose tuned model answers as its base.
HOUSE = """\
from pytest_ftgate import Provider, Reply

class House(Provider):
    async def generate(self, request):
        said = request.messages[-1][1]
        if said.startswith("Ticket"):
            return Reply(text=("billing", "refund")[int(said.split()[1].strip(":")) % 2])
        return Reply(text=said[:40])

def pytest_ftgate_providers():
    return {"house": House}
"""
GATES = "{accuracy: {min: 0.4}, forgetting: {skills: general-small, max_drop: 0.1}}"
REASON = "the fine-tune answers like its base"
MODULE = """\
import pytest

@pytest.mark.ftgate("tickets.ftgate.yaml", min=0.4, variants="tuned")
def test_it(case, reply):
    assert reply.text in ("billing", "refund")

@pytest.mark.ftgate("tickets.ftgate.yaml", min=0.4, variants="tuned")
def test_that(case, reply):
    assert reply.text in ("billing", "refund")
"""


@pytest.fixture
def house(desk):
    """A desk whose variant is a fine-tune."""

    def write(gates=GATES):
        desk.path("conftest.py").write_text(HOUSE, "utf-8")
        desk.suite_of({"tuned": "{provider: house, model: tuned, base: small}"}, gates)
        return desk

    return write


HEAD = "✗ accuracy[tuned], forgetting[tuned]   INVALID: not what it claims to be"


def assert_one_block(result):
    """Assert that the gates of a variant share one block and one reason."""
    closing = result.stdout.str().partition("= ftgate =")[2]
    assert closing.count(HEAD) == closing.count(REASON) == closing.count("INVALID") == 1


def test_invalid_is_a_status_of_its_own_and_the_run_fails(house):
    result = house().run("-v", "-rA")

    assert result.parseoutcomes() == {"invalid": 2}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "tickets.ftgate.yaml::accuracy[[]tuned] INVALID *",
            "INVALID tickets.ftgate.yaml::accuracy[[]tuned], forgetting[[]tuned] - not what it*",
        ]
    )
    result.stdout.no_fnmatch_line("*ERROR*")


@pytest.mark.parametrize("option", ["--ftgate-report-only", "--ftgate-inconclusive=warn"])
def test_no_option_lets_an_invalid_variant_pass(house, option):
    result = house().run("-q", option)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert_one_block(result)


def test_an_invalid_gate_has_a_letter_and_one_reason_in_every_report(house):
    desk = house()

    result = desk.run("--ftgate-markdown=comment.md", "--ftgate-html=page.html")

    result.stdout.fnmatch_lines(["tickets.ftgate.yaml !! *"])
    assert_one_block(result)
    cases = ET.parse(desk.path("junit.xml")).getroot().iter("testcase")
    messages = [[(part.tag, part.get("message")) for part in one][-1] for one in cases]
    assert [tag for tag, _ in messages] == ["failure", "failure"]
    assert all(text.startswith(f"not what it claims to be: {REASON}") for _, text in messages)
    comment, page = (desk.path(name).read_text("utf-8") for name in ("comment.md", "page.html"))
    assert comment.count(REASON) == 1
    assert "| gate" not in comment
    hero, verdicts = page.split('<section id="verdicts"')
    assert '<p class="sentence">not what it claims to be</p>' in hero
    assert "<p>the fine-tune answers like" in hero
    assert "<table" not in verdicts.partition("</section>")[0]
    assert verdicts.partition("</section>")[0].count("the fine-tune answers like") == 1


def test_marked_functions_of_an_invalid_variant_are_invalid_and_share_its_block(house):
    desk = house(gates="{accuracy: {min: 0.4}}")
    desk.path("test_it.py").write_text(MODULE, "utf-8")

    result = desk.run("test_it.py")

    assert result.parseoutcomes() == {"invalid": 2}
    closing = result.stdout.str().partition("= ftgate =")[2]
    assert closing.count(REASON) == 1
    assert "✗ test_it[tuned], test_that[tuned]   INVALID" in closing


@pytest.mark.heavy
def test_processes_of_xdist_report_invalid_gates(house):
    assert house().run("-n1", "-p", "xdist").parseoutcomes() == {"invalid": 2}
