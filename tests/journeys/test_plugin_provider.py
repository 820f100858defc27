"""A team's own gateway is a provider, offered by a conftest.py or an installed plugin."""

from __future__ import annotations

import os

import pytest
from ftgate_testing.foreign_plugins import load_installed

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
            stream.write(f"{request.model} {request.options.get('region')} {said}\\n")
        number = int(said.split()[1].strip(":")) if said.startswith("Ticket") else len(said)
        if request.model == "soon":
            return Reply(text=LABELS[number % 4 == 1])
        return Reply(text=LABELS[number % 2])

def pytest_ftgate_providers():
    return {"NAME": House}
"""
NOTHING = "\ndef pytest_ftgate_providers():\n    return {}\n"


def house(name="house"):
    return HOUSE.replace("NAME", name)


@pytest.fixture
def gateway(desk):
    """A desk with a conftest.py that offers the provider *house*."""
    desk.path("conftest.py").write_text(house(), "utf-8")
    return desk


def moved(desk, folder, *names):
    """Move files of the desk into *folder*."""
    desk.path(folder).mkdir(exist_ok=True)
    for name in names:
        desk.path(name).rename(desk.path(folder) / name)


SUITE = ("conftest.py", "tickets.ftgate.yaml", "tickets.cases.jsonl")


def suite_in(desk, folder, provider, offered):
    """Write a suite that asks *provider*, beside a conftest.py that offers *offered*."""
    desk.path("conftest.py").write_text(house(offered) if offered else NOTHING, "utf-8")
    desk.suite_of({"current": f"{{provider: {provider}, model: m}}"})
    moved(desk, folder, *SUITE)


def test_a_provider_of_a_conftest_is_planned_and_judged_and_its_replies_are_kept(gateway):
    gateway.suite_of(
        {"current": "{provider: house, model: m}", "soon": "{like: current, model: soon}"}
    )

    gateway.run("--ftgate-plan").stdout.fnmatch_lines(["  current * 100 * 0 * 100 *"])
    assert gateway.asked() == []
    gateway.run().assert_outcomes(passed=1, failed=1)
    gateway.run().assert_outcomes(passed=1, failed=1)

    assert len(gateway.asked()) == 2 * gateway.cases


def test_other_options_are_another_question(gateway):
    for region in ("north", "south"):
        gateway.suite_of(
            {"current": f"{{provider: house, model: m, options: {{region: {region}}}}}"}
        )
        gateway.run()

    assert [line.split()[1] for line in gateway.asked()].count("south") == gateway.cases


def test_two_folders_have_a_provider_each(desk):
    suite_in(desk, "one", "house", "house")
    suite_in(desk, "two", "barn", "barn")

    desk.run().assert_outcomes(passed=2)

    assert desk.path("one/asked.txt").exists()
    assert desk.path("two/asked.txt").exists()


@pytest.mark.parametrize(
    ("offered", "told"),
    [
        (None, '/tickets.ftgate.yaml:4: variant "current": unknown provider "house"; known: *'),
        # Replies are kept under the name.
        ("house", '/conftest.py: provider "house" is offered by one/conftest.py as well; rename *'),
    ],
)
def test_a_provider_of_another_folder_is_not_known_and_its_name_not_taken(desk, offered, told):
    suite_in(desk, "one", "house", "house")
    suite_in(desk, "two", "house", offered)

    result = desk.run()

    result.stdout.fnmatch_lines([f"  two{told}"])
    assert result.ret == pytest.ExitCode.INTERRUPTED


REFUSED = {
    '{"anthropic": House}': 'provider "anthropic" comes with the package; offer yours under *',
    "[House]": "pytest_ftgate_providers returned list; return a mapping of names to providers",
    '{"house": "House"}': 'provider "house" is str; offer a class derived from *',
}


@pytest.mark.parametrize("offers", REFUSED)
def test_what_cannot_be_offered_is_refused_before_anything_is_asked(desk, offers):
    code = house().replace('{"house": House}', offers)
    desk.path("conftest.py").write_text(code, "utf-8")
    desk.suite_of({"current": "{provider: house, model: m}"})

    result = desk.run()

    result.stdout.fnmatch_lines([f"  conftest.py: {REFUSED[offers]}"])
    assert (result.ret, desk.asked()) == (pytest.ExitCode.INTERRUPTED, [])


def test_what_is_no_reply_is_an_error_and_never_a_wrong_answer(desk):
    code = house().replace("return Reply(text=LABELS[number % 2])", "return LABELS[number % 2]")
    desk.path("conftest.py").write_text(code, "utf-8")
    desk.suite_of({"current": "{provider: house, model: m}"})

    result = desk.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["current: provider house returned str; it must return a Reply *"])


def test_several_processes_know_the_provider(gateway):
    variants = {"current": "{provider: house, model: m}", "soon": "{like: current, model: soon}"}
    gateway.suite_of(variants)

    result = gateway.run("-n", "2")

    result.assert_outcomes(passed=1, failed=1)
    assert len(gateway.asked()) == len(set(gateway.asked())) == 2 * gateway.cases


#: Looks the customer up before it answers.
WITH_TOOLS = """\
from pytest_ftgate import Provider, Reply, Step, ToolCall

class House(Provider):
    async def generate(self, request):
        if not request.steps:
            said = request.messages[-1][1]
            wanted = ToolCall(name=request.tools[0].name, arguments={"said": said})
            return Reply(text="", stop="tool", steps=(Step("", (wanted,)),))
        return Reply(text=request.steps[0].calls[0].result)

def pytest_ftgate_providers():
    return {"house": House}
"""
TOOL = """\
def kind_of(said: str) -> str:
    \"\"\"Return the kind of a ticket.\"\"\"
    return ("billing", "refund")[int(said.split()[1].strip(":")) % 2]
"""


def test_a_model_behind_it_may_use_tools(desk):
    desk.path("conftest.py").write_text(WITH_TOOLS, "utf-8")
    desk.path("desk_tools.py").write_text(TOOL, "utf-8")
    desk.suite_of({"current": '{provider: house, model: m, tools: ["desk_tools:kind_of"]}'})

    desk.run().assert_outcomes(passed=1)


@pytest.fixture
def installed(desk, monkeypatch):
    """A desk with a distribution that has been installed, whose plugin offers *house*."""
    site = desk.path("site")
    facts = site / "acme-1.0.dist-info"
    facts.mkdir(parents=True)
    (site / "acme_pytest.py").write_text(house(), "utf-8")
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n", "utf-8")
    (facts / "entry_points.txt").write_text("[pytest11]\nacme = acme_pytest\n", "utf-8")
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), known])))
    desk.suite_of({"current": "{provider: house, model: m}"})
    load_installed(monkeypatch)
    return desk


def test_an_installed_plugin_offers_a_provider_to_every_suite(installed):
    result = installed.pytester.runpytest_subprocess("--ftgate")

    result.assert_outcomes(passed=1)


def test_a_name_that_a_plugin_and_a_conftest_offer_names_both(installed):
    installed.path("conftest.py").write_text(house(), "utf-8")

    result = installed.pytester.runpytest_subprocess("--ftgate")

    result.stdout.fnmatch_lines(['*: provider "house" is offered by * as well; rename one of them'])
    assert {"acme", "conftest.py"} <= set(result.stdout.str().replace(":", " ").split())


# Fine-tunes ---------------------------------------------------------------------------------

FORGETTING = "{forgetting: {skills: arithmetic, max_drop: 0.2}}"
#: The base can do sums; its fine-tunes say a label to everything, or are the base after all.
TUNED = """\
from pytest_ftgate import Provider, Reply
from pytest_ftgate.suite.cases import skill_cases

SUMS = {case.input: case.expected for case in skill_cases(("arithmetic",))}

class House(Provider):
    async def generate(self, request):
        if request.model == "lora":
            return Reply(text="billing")
        return Reply(text=f"I make it {SUMS[request.messages[-1][1]]}.")

def pytest_ftgate_providers():
    return {"house": House}
"""


@pytest.mark.parametrize(("model", "outcome"), [("lora", "failed"), ("never-loaded", "invalid")])
def test_a_fine_tune_behind_it_is_held_against_its_base(desk, model, outcome):
    desk.path("conftest.py").write_text(TUNED, "utf-8")
    desk.suite_of({"tuned": f"{{provider: house, model: {model}, base: m}}"}, FORGETTING)

    desk.run()

    assert desk.verdicts()["forgetting[tuned]"]["outcome"] == outcome
