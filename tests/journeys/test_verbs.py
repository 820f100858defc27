"""The verbs about a suite: explain, power and selftest."""

from __future__ import annotations

import re
import shlex
import shutil

import pytest

from pytest_ftgate.cli.main import INTERNAL_ERROR, main

#: One reply in five is wrong, at other times for each case.
NOISY = """\
from collections import Counter
from pathlib import Path

ASKED = Path(__file__).with_name("asked.txt")
times = Counter()

def answer(case):
    with ASKED.open("a") as stream:
        stream.write(case.id + "\\n")
    times[case.id] += 1
    unlucky = (int(case.id[1:]) * 3 + times[case.id] * 7) % 5 == 0
    return "other" if unlucky else case.expected
"""
#: A provider of the team's own, which replies at random.
HOUSE = """\
import random
from pytest_ftgate import Provider, Reply

class House(Provider):
    async def generate(self, request):
        return Reply(text=random.choice(["billing", "refund"]))

def pytest_ftgate_providers():
    return {"house": House}
"""
#: Answers rightly, but its headers cannot be read.
BREAKS = """
    @property
    def rate_limit_headers(self):
        return {"server": urlsplit("http://[")}  # here
"""
GATES = "{accuracy: {max_drop: 0.05}}"
SUITE = "tickets.ftgate.yaml"


@pytest.fixture
def run_verb(desk, monkeypatch, capsys):
    """Run a verb in the folder of the suite; return its exit code and its output."""
    monkeypatch.chdir(desk.pytester.path)
    monkeypatch.setattr("pytest_ftgate.cli.suite.PAIRS", 15)  # fewer take less time

    def run(*args):
        code = main(args)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def test_explain_puts_the_gates_own_numbers_into_the_rule_after_a_part_of_a_run_too(
    desk, run_verb, capsys
):
    desk.suite(current=2, draft=40)
    code, printed = run_verb("explain", f"{SUITE}::accuracy[draft]")
    assert (code, f"; run pytest --ftgate {SUITE} first" in printed) == (1, True)
    desk.run()
    desk.run("-k", "current")
    capsys.readouterr()

    code, printed = run_verb("explain", f"{SUITE}::accuracy[draft]")

    words = " ".join(printed.split())
    assert code == 0
    for said in (
        "on the same 100 cases, down 38 points",
        "38 regressed and 0 were fixed",
        "It passes if a true drop of 5 points would produce a result this good",
        "It fails if the observed drop reaches 5 points, and if an unchanged variant",
        "The 95 % CI lies beyond the limit, surely enough to fail the gate.",
        "With 100 cases a plain threshold would miss a true drop of 5 points",
    ):
        assert said in words
    for verbose, shown in ((), 10), (("-vv",), 38):
        _, printed = run_verb("explain", *verbose, f"{SUITE}::accuracy[draft]")
        assert printed.count("      │ expected  ") == shown


def test_every_screen_names_the_same_drop_that_the_cases_can_show(desk, run_verb, capsys):
    desk.cases = 50
    desk.suite("{accuracy: {}}", current=2, draft=12)
    ran = desk.run().stdout.str()
    plan = desk.run("--ftgate-plan").stdout.str()
    capsys.readouterr()
    doctor, explained = run_verb("doctor")[1], run_verb("explain", f"{SUITE}::accuracy[draft]")[1]

    (limit,) = set(re.findall(r"limit (\d+) \(what 50 cases can show", ran))

    assert f"can show drops of: accuracy {limit}\n" in doctor
    assert f"9 in 10 unchanged builds: {limit} points" in " ".join(explained.split())
    assert re.search(rf"accuracy\[current\] +50 +~{limit} +{limit} ", plan)
    assert f"accuracy[draft] rules out drops from {limit} on" in " ".join(plan.split())


def test_explain_after_the_run_of_one_gate_says_how_to_see_what_else_passes(desk, run_verb, capsys):
    desk.suite("{accuracy: {max_drop: 0.05}}", current=2, draft=40, new=2)
    whole = f"run the whole suite to see what else passes: pytest --ftgate {SUITE}"
    told = []
    for node in (SUITE, f"{SUITE}::accuracy[draft]"):
        desk.run(node)
        capsys.readouterr()
        told.append(" ".join(run_verb("explain", f"{SUITE}::accuracy[draft]")[1].split()))

    assert [("ship new" in text, whole in text) for text in told] == [(True, False), (False, True)]


def test_explain_offers_the_nearest_gate_or_lists_those_of_the_last_run(desk, run_verb, capsys):
    desk.suite(current=2, draft=40)
    desk.run()
    capsys.readouterr()

    code, nearest = run_verb("explain", f"{SUITE}::accuracy[drft]")
    _, none_near = run_verb("explain", "nonsense")
    _, of_suite = run_verb("explain", SUITE)

    assert code == 1
    assert f'did you mean "{SUITE}::accuracy[draft]"' in nearest
    head, *listed = none_near.rstrip().split("\n")
    assert head.startswith("no result for nonsense in ")
    assert head.endswith(", only of")
    assert [*map(str.strip, listed)] == [
        f"{SUITE}::accuracy[{one}]" for one in ("current", "draft")
    ]
    assert f"no result for {SUITE} in " in of_suite
    assert f"\n  {SUITE}::accuracy[draft]" in of_suite
    assert "first" not in of_suite


def test_a_folder_in_place_of_a_suite_is_answered_with_its_suites(desk, run_verb):
    desk.suite(current=2)

    for verb in ("power", "selftest"):
        assert run_verb(verb, ".") == (1, f". is a folder; name a suite in it: {SUITE}\n")


def test_a_provider_that_breaks_is_one_line_which_names_its_own_code(desk, run_verb):
    house = HOUSE.replace("\ndef ", f"{BREAKS}\ndef ")
    code = f"from urllib.parse import urlsplit\n{house}"
    desk.pytester.makeconftest(code)
    desk.suite_of({"current": "{provider: house, model: m, temperature: 1}"}, GATES)

    status, printed = run_verb("selftest", SUITE)

    line = 1 + code[: code.index("# here")].count("\n")
    assert status == INTERNAL_ERROR
    (told,) = (one for one in printed.splitlines() if "unexpected" in one)
    assert told.startswith("unexpected ValueError: Invalid IPv6 URL at ")
    assert f" at conftest.py:{line}; the run ends, and every reply" in told
    assert "Traceback" not in printed


def test_a_selftest_stops_at_the_budget_of_the_configuration(desk, run_verb):
    desk.pytester.makeini("[pytest]\nftgate_max_usd = 5\n")
    desk.asking_suite(NOISY, gates=GATES, first="current")
    dear = '{provider: python, function: "answers:answer", usd_per_1k: 1000}'
    desk.suite_of({"current": dear}, GATES)

    code, printed = run_verb("selftest", SUITE)

    assert code == 0
    assert len(desk.asked()) == 5
    assert "budget of 5.00 USD (--ftgate-max-usd) reached\n" in printed

    code, printed = run_verb("selftest", SUITE, "--repeats", "20")

    assert code == 1
    stopped = "budget of 5.00 USD (--ftgate-max-usd) reached"
    assert f"{stopped}; no case brought all 20 replies" in printed


def test_a_suite_is_held_against_itself_on_its_own_replies_which_are_asked_once(desk, run_verb):
    desk.asking_suite(NOISY, gates=GATES)

    code, printed = run_verb("selftest", SUITE, "--repeats", "5")

    row = next(line.split() for line in printed.splitlines() if line.startswith("  accuracy"))
    assert code == 0
    # Two runs differ where just one of them is the unlucky fifth.
    assert float(row[-5].strip("%")) == pytest.approx(40, abs=3)
    assert float(row[-2].strip("%")) <= 2
    assert run_verb("selftest", SUITE, "--repeats", "5") == (code, printed)
    assert len(desk.asked()) == 5 * desk.cases


def test_replies_that_do_not_vary_or_are_single_are_no_test(desk, run_verb):
    desk.suite(current=2)

    code, printed = run_verb("selftest", SUITE)

    assert code == 1
    assert "do not vary" in printed
    assert run_verb("selftest", SUITE, "--repeats", "1")[0] == 1


@pytest.fixture
def twins(desk, monkeypatch):
    """Two suites of one name, in the root directory and in a folder, where the run starts."""
    desk.pytester.makeini("[pytest]\n")
    desk.suite(current=2, draft=50)
    shutil.copytree(desk.path("."), desk.path("sub"), ignore=shutil.ignore_patterns("sub"))
    desk.path("sub/tox.ini").unlink()
    desk.suite(current=2, draft=40)
    monkeypatch.chdir(desk.path("sub"))
    return desk


@pytest.mark.parametrize(("suite", "regressed"), [(SUITE, 48), (f"../{SUITE}", 38)])
def test_the_gate_that_a_step_names_is_explained_in_the_folder_of_the_run(
    twins, suite, regressed, capsys
):
    printed = twins.run(suite).stdout.str()
    command = next(line for line in printed.splitlines() if "pytest --ftgate -vv " in line)
    node = shlex.split(command)[-1]

    assert node == f"{suite}::accuracy[draft]"
    capsys.readouterr()
    assert main(["explain", node]) == 0
    assert f"{regressed} regressed" in capsys.readouterr().out


def test_the_command_that_brings_missing_replies_names_the_suite_from_the_folder_of_the_run(twins):
    twins.path("answers.py").write_text("def answer(case): return case.expected\n", "utf-8")
    twins.suite_of({"current": '{provider: python, function: "answers:answer"}'})

    printed = twins.run("--ftgate-replies=recorded", f"../{SUITE}").stdout.str()

    command = f"run pytest --ftgate ../{SUITE} && pytest-ftgate cache export ../{SUITE}"
    assert command in " ".join(printed.split())


def test_the_short_summary_names_inconclusive_gates_from_the_folder_of_the_run(twins):
    twins.cases = 60
    twins.suite(current=2, draft=4)

    result = twins.run(f"../{SUITE}")

    result.stdout.fnmatch_lines([f"INCONCLUSIVE ../{SUITE}::accuracy[[]draft] - *"])
