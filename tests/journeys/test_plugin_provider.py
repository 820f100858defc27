"""A team's own gateway is a provider, offered by a conftest.py or an installed plugin."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import heavy

#: Answers rightly; *soon* is wrong for every other ticket. Notes which model was asked what.
HOUSE = """\
from pathlib import Path
from pytest_ftgate import Provider, Reply

LABELS = ("billing", "refund")
ASKED = Path(__file__).with_name("asked.txt")

class House(Provider):
    async def generate(self, request):
        said = request.messages[-1][1]
        with ASKED.open("a") as stream:
            stream.write(f"{request.model} {said}\\n")
        number = int(said.split()[1].strip(":"))
        if request.model == "soon":
            return Reply(text=LABELS[number % 4 == 1])
        return Reply(text=LABELS[number % 2])

def pytest_ftgate_providers():
    return {"NAME": House}
"""
NOTHING = "\ndef pytest_ftgate_providers():\n    return {}\n"


def house(name="house"):
    return HOUSE.replace("NAME", name)


def suite_in(desk, folder, provider, offered):
    """Write a suite that asks *provider*, beside a conftest.py that offers *offered*."""
    desk.path("conftest.py").write_text(house(offered) if offered else NOTHING, "utf-8")
    desk.suite_of({"current": f"{{provider: {provider}, model: m}}"})
    desk.path(folder).mkdir()
    for name in ("conftest.py", "tickets.ftgate.yaml", "tickets.cases.jsonl"):
        desk.path(name).rename(desk.path(folder) / name)


@pytest.mark.parametrize("processes", [(), heavy(("-n2",))])
def test_a_provider_of_a_conftest_is_planned_and_judged_and_its_replies_are_kept(desk, processes):
    desk.path("conftest.py").write_text(house(), "utf-8")
    desk.suite_of(
        {"current": "{provider: house, model: m}", "soon": "{like: current, model: soon}"}
    )

    desk.run("--ftgate-plan").stdout.fnmatch_lines(["  current * 0 * 100 *"])
    assert desk.asked() == []
    for _ in range(2):
        desk.run(*processes).assert_outcomes(passed=1, failed=1)

    assert len(desk.asked()) == len(set(desk.asked())) == 2 * desk.cases


def test_two_folders_have_a_provider_each(desk):
    suite_in(desk, "one", "house", "house")
    suite_in(desk, "two", "barn", "barn")

    desk.run().assert_outcomes(passed=2)

    assert desk.path("one/asked.txt").exists()
    assert desk.path("two/asked.txt").exists()


TAKEN = "is offered by one/conftest.py as well; rename one of them"


@pytest.mark.parametrize(
    ("offered", "told"),
    [
        (None, '/tickets.ftgate.yaml:4: variant "current": unknown provider "house"; known: *'),
        # Replies are kept under the name.
        ("house", f'/conftest.py: provider "house" {TAKEN}'),
    ],
)
def test_a_provider_of_another_folder_is_not_known_and_its_name_not_taken(desk, offered, told):
    suite_in(desk, "one", "house", "house")
    suite_in(desk, "two", "house", offered)

    result = desk.run()

    result.stdout.fnmatch_lines([f"  two{told}"])
    assert result.ret == pytest.ExitCode.INTERRUPTED
