"""Users notice nothing of how requests are planned: each is sent once, in the recorded order.

Each scenario runs a small suite against a provider that notes its requests. What it notes stands in
``tests/recorded/order_of_sending.json``: fingerprint, model and content of each request, in order,
with the verdicts. After a change that is meant to be seen, record it again and read the difference:

    FTGATE_RECORD=1 .venv/bin/pytest -n 0 tests/journeys/test_order_of_sending.py && git diff

Processes of xdist and nodes of Ray race, so these scenarios compare the set of requests.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from ftgate_testing.noting_house import CONFTEST, FAMILIES, MODELS, is_waiting, known_replies
from ftgate_testing.tables import heavy

from pytest_ftgate import evaluate
from pytest_ftgate.cli.main import main
from pytest_ftgate.suite.cases import leveled_cases, skill_cases

RECORDED = Path(__file__).parents[1] / "recorded" / "order_of_sending.json"
RECORD = "FTGATE_RECORD"
WEEK = 7 * 86_400
MOST_LINES = 80
TUNED = "tuned variants with a forgetting gate"
NAMES = {role: model for model, role in MODELS.items()}
RATES = "accuracy: {min: 0.4, max_drop: 0.4}"
SKILLS = "forgetting: {skills: logic, max_drop: 0.3}"
LEVELS = f"forgetting: {{skills: [{', '.join(FAMILIES)}], max_drop: 0.3}}"


def of_house(role: str, more: str = "") -> str:
    return f"{{provider: house, model: {NAMES[role]}{more}}}"


def tuned(role: str = "tuned", more: str = "") -> str:
    return of_house(role, f", base: {NAMES['base']}{more}")


class Sending:
    """A desk whose suite asks the noting provider, and what it was asked."""

    def __init__(self, desk, monkeypatch) -> None:
        self.desk, self.monkeypatch = desk, monkeypatch
        desk.cases = 24
        self.write_conftest(in_order=True)

    def write_conftest(self, *, in_order: bool) -> None:
        text = CONFTEST.replace("IN_ORDER", str(in_order))
        self.desk.path("conftest.py").write_text(text, "utf-8")

    def suite(self, *gates: str, more: str = "", **variants: str) -> None:
        self.desk.suite_of(variants, f"{{{', '.join(gates)}}}")
        path = self.desk.path("tickets.ftgate.yaml")
        path.write_text(f"{path.read_text('utf-8')}{more}", "utf-8")

    def mark_case(self, number: int, **marks: object) -> None:
        path = self.desk.path("tickets.cases.jsonl")
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        rows[number] |= marks
        self.desk.write_rows(path.name, rows)

    def run(self, *args: str) -> pytest.RunResult:
        """Run the suite; what earlier runs were asked is forgotten."""
        for name in ("sent.jsonl", "planned.jsonl", "run.json"):
            self.desk.path(name).unlink(missing_ok=True)
        return self.desk.run("--ftgate-concurrency=1", "--ftgate-json=run.json", *args)

    def noted(self, name: str) -> list[tuple[str, str, str]]:
        path = self.desk.path(f"{name}.jsonl")
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [tuple(json.loads(line)) for line in lines]

    def lines(self, name: str = "sent") -> list[str]:
        lines = (f"{key[:12]} {role} {label}" for key, role, label in self.noted(name))
        return [*dict.fromkeys(lines)]

    def verdicts(self) -> list[str]:
        run = json.loads(self.desk.path("run.json").read_text("utf-8"))
        found = [f"{one['gate']}[{one['variant']}] {one['outcome']}" for one in run["verdicts"]]
        failed = [f"{row['node']} not evaluated" for row in run["not_evaluated"]]
        return sorted(found + failed)

    def told(self, *, planned: bool = False) -> dict[str, list[str]]:
        """Return what is recorded of the last run.

        A plugin may see a request in several plans; the first one counts.
        """
        shown = {"verdicts": self.verdicts(), "sent": self.lines()}
        if planned:
            shown["planned"] = self.lines("planned")
        sent = Counter(key for key, *_ in self.noted("sent"))
        assert [key for key, count in sent.items() if count > 1] == []
        assert shown["verdicts"]
        assert [line for line in shown["verdicts"] if line.endswith("not evaluated")] == []
        return shown


# The scenarios -----------------------------------------------------------------------------------


def _two_tuned(sending: Sending) -> None:
    # A seed and a temperature repeat some requests, which shows whether the seed holds.
    sending.suite(
        *(RATES, "format: {min: 0.5}", SKILLS),
        current=of_house("current", ", temperature: 0.5, seed: 7"),
        tuned=tuned(),
        other=tuned("other", ", gated: false"),
        third=tuned("other", ", options: {region: eu}"),
    )


def _tuned_variants(sending: Sending):
    _two_tuned(sending)
    sending.run()
    return sending.told()


def _tuned_variants_evaluated_from_python(sending: Sending):
    _two_tuned(sending)
    folder = sending.desk.pytester.path
    run = evaluate(folder / "tickets.ftgate.yaml", rootdir=folder)
    sending.desk.path("run.json").write_text(run.to_json(), "utf-8")
    return sending.told()


def _tuned_variants_in_part(sending: Sending):
    _two_tuned(sending)
    sending.run("-k", "forgetting or current")
    return sending.told()


def _leveled(sending: Sending) -> None:
    under = LEVELS.replace("max_drop", "under: prompt, max_drop")
    sending.desk.path("short.md").write_text("Sort the ticket.\n", "utf-8")
    sending.suite(
        *(RATES, under), current=of_house("current"), tuned=tuned(), more="prompt: short.md\n"
    )


def _leveled_skills(sending: Sending):
    _leveled(sending)
    sending.run()
    return sending.told()


def _recorded_base(sending: Sending):
    cases = [*skill_cases(("logic",))]
    for family in FAMILIES:
        for level in (*range(1, 6), None):
            cases += leveled_cases(family, level)
    known = known_replies()
    texts = {case.id: tuple(text for _, text in case.messages) or (case.input,) for case in cases}
    sending.desk.write_rows(
        "base.jsonl", [{"id": key, "text": known[text]} for key, text in texts.items()]
    )
    sending.suite(
        *(RATES, LEVELS.replace("[", "[logic, ")),
        current=of_house("current"),
        tuned=of_house("tuned", ", base_replies: base.jsonl"),
    )
    sending.run()
    return sending.told(planned=True)


def _accepted_record(sending: Sending):
    _leveled(sending)
    sending.run("--ftgate-accept", "--ftgate-accept-failed")
    assert sending.desk.path("tickets.accepted.json").exists()
    sending.run("--ftgate-cache=again/cache.sqlite")
    return sending.told()


def _old_baseline(sending: Sending):
    sending.desk.cases = 100
    sending.suite("accuracy: {max_drop: 0.2}", current=of_house("current"))
    sending.run()
    with closing(sqlite3.connect(sending.desk.path(".ftgate") / "cache.sqlite")) as cache, cache:
        cache.execute("UPDATE replies SET at = at - ?", (WEEK,))
    sending.suite("accuracy: {max_drop: 0.2}", current=of_house("current"), worse=of_house("worse"))
    sending.run()
    # A request to the baseline is repeated for this run alone, and its fingerprint names the run.
    told = sending.told()
    of_run = re.compile(r"^[0-9a-f]{12} (?=current )")
    return {**told, "sent": [of_run.sub("(of this run) ", line) for line in told["sent"]]}


def _xdist(sending: Sending):
    sending.write_conftest(in_order=False)
    _two_tuned(sending)
    sending.run("-n", "2")
    return sending.told()


def _plan(sending: Sending):
    _leveled(sending)
    result = sending.run("--ftgate-plan")
    assert sending.noted("sent") == sending.noted("planned") == []
    lines = [line.rstrip() for line in result.outlines]
    first = next(at for at, line in enumerate(lines) if "= ftgate plan =" in line)
    # Then come the path of the JUnit file and the seconds that the run took.
    return {"printed": lines[first : lines.index("", lines.index("", first) + 1)]}


def _stop_early(sending: Sending):
    sending.desk.cases = 80
    sending.suite(
        "accuracy: {min: 0.5, max_drop: 0.1, stop_early: true}",
        "format: {max_drop: 0.3, stop_early: true}",
        current=of_house("current"),
        worse=of_house("worse"),
        tuned=tuned(),
    )
    sending.run()
    return sending.told()


def _skills_stop_early(sending: Sending):
    # The first look of each gate in their order, and a later one before the next gate: the first
    # verdict waits for the probes and the first block alone.
    sending.desk.cases = 80
    sending.suite(
        "accuracy: {min: 0.5, max_drop: 0.1, stop_early: true}",
        SKILLS.replace("}", ", stop_early: true}"),
        current=of_house("current", ", gated: false"),
        forgetful=tuned("worse"),
        tuned=tuned(),
    )
    sending.run()
    return sending.told()


def _settle(sending: Sending):
    sending.desk.cases = 40
    gate = "accuracy: {max_drop: 0.08, settle: 4}"
    sending.suite(gate, current=of_house("current"), worse=of_house("other"))
    sending.run()
    return sending.told()


def _must_pass(sending: Sending):
    skills = SKILLS.replace("max_drop", "must_keep: [logic-001, logic-002], max_drop")
    sending.suite(
        *(RATES, skills), current=of_house("current"), worse=of_house("worse"), tuned=tuned("other")
    )
    sending.mark_case(3, must_pass=True)
    sending.run()
    return sending.told()


JUDGED = """\
cases: cases.jsonl
reply:
  score:
    judge:
      rubric: The reply says please.
      model: {{provider: house, model: {judge}}}
      {more}
variants:
  current: {{provider: house, model: {current}}}
  worse: {{provider: house, model: {worse}}}
gates: {{accuracy: {{max_drop: 0.3}}}}
"""


def _judged(sending: Sending, more: str):
    desk = sending.desk
    ids = [f"c{n:02}" for n in range(24)]
    desk.write_rows(
        "cases.jsonl", [{"id": f"c{n:02}", "input": f"Ask {n}: so?"} for n in range(24)]
    )
    rows = [
        {"case": name, "reply": f"{n} {word}, said once", "grade": grade}
        for n, name in enumerate(ids)
        for word, grade in [(("please", "good"), ("now", "bad"))[n % 2]]
    ]
    desk.write_rows("labels.jsonl", rows)
    desk.path("tickets.ftgate.yaml").write_text(JUDGED.format(more=more, **NAMES), "utf-8")
    sending.run()
    return sending.told()


def _grading_judge(sending: Sending):
    return _judged(sending, "human: labels.jsonl")


def _pairwise_judge(sending: Sending):
    return _judged(sending, "compare: baseline")


def _ray(sending: Sending):
    pytest.importorskip("ray", reason='not installed: pip install "pytest-ftgate[ray]"')
    sending.monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    sending.monkeypatch.delenv("RAY_ADDRESS", raising=False)
    sending.write_conftest(in_order=False)
    _two_tuned(sending)
    result = sending.desk.pytester.runpytest_subprocess(
        *("--ftgate", "--ftgate-concurrency=1", "-oftgate_engine=ray", "--ftgate-json=run.json")
    )
    assert "error" not in result.parseoutcomes(), str(result.stdout)
    return sending.told()


CONVERSATION = """\
def test_it(case, ask):
    assert ask().text == case.expected
    assert ask(f"Ticket {1 + int(case.id[1:])}: why?").text
"""


def _conversation(sending: Sending):
    sending.suite(RATES, current=of_house("current"), worse=of_house("worse"), tuned=tuned())
    sending.desk.marked(CONVERSATION, "min=0.4, max_drop=0.4")
    sending.desk.marked(
        "def test_it(case, reply):\n    assert reply.text == case.expected\n",
        "min=0.4, repeats=2",
        name="test_reply",
    )
    sending.run("test_marked.py", "test_reply.py")
    return sending.told()


def _recorded_replies(sending: Sending):
    _two_tuned(sending)
    sending.run()
    desk = sending.desk
    before = sending.verdicts()
    assert main(["cache", "export", str(desk.path("tickets.ftgate.yaml"))]) == 0
    (desk.path(".ftgate") / "cache.sqlite").unlink()
    sending.run("--ftgate-replies=recorded")
    assert sending.verdicts() == before
    assert sending.noted("sent") == []
    return sending.told(planned=True)


def _withdrawn(sending: Sending):
    sending.suite(*(RATES, SKILLS), current=of_house("current"), copy=tuned("copy"), tuned=tuned())
    sending.run()
    of_copy = [label for _, role, label in sending.noted("sent") if role == "copy"]
    assert of_copy
    assert not [label for label in of_copy if label.startswith("Ticket")]
    return sending.told()


def _thinking(sending: Sending):
    sending.suite(*(RATES, SKILLS), current=of_house("current"), tuned=tuned("thinker"))
    sending.run()
    return sending.told()


def _held_out(sending: Sending):
    sending.suite(
        RATES,
        current=of_house("worse"),
        newer=of_house("current", ", rung: stronger-model, gated: false"),
        tuned=of_house("other", ", rung: fine-tuned, gated: false"),
    )
    for number in range(16, 24):
        sending.mark_case(number, holdout=True)
    sending.run()
    return sending.told()


SCENARIOS: dict[str, Callable[[Sending], dict[str, list[str]]]] = {
    TUNED: _tuned_variants,
    "tuned variants evaluated from Python": _tuned_variants_evaluated_from_python,
    "tuned variants in part": _tuned_variants_in_part,
    "levels of skills": _leveled_skills,
    "a recorded base": _recorded_base,
    "an accepted record": _accepted_record,
    "an old baseline": _old_baseline,
    "processes of xdist": _xdist,
    "a plan": _plan,
    "gates that stop early": _stop_early,
    "skills that stop early": _skills_stop_early,
    "gates that settle": _settle,
    "cases that must pass and be kept": _must_pass,
    "a judge that grades": _grading_judge,
    "a judge that compares": _pairwise_judge,
    "nodes of Ray": _ray,
    "conversations of a marked function": _conversation,
    "recorded replies": _recorded_replies,
    "a variant that is withdrawn": _withdrawn,
    "a tuned model that thinks": _thinking,
    "held-out cases": _held_out,
}


#: Scenarios that are held against another one, whose suite they run in another way.
LIKE = {"tuned variants evaluated from Python": TUNED, "processes of xdist": TUNED}
LIKE |= {"nodes of Ray": TUNED}
#: Those of them in which several processes send, so that the order is another one each time.
RACING = ("processes of xdist", "nodes of Ray")
#: Those that take longest, each of a suite that another scenario runs too.
SLOW = (*RACING, "an accepted record", "tuned variants evaluated from Python")


def _record(name: str, found: dict[str, list[str]]) -> None:
    recorded = json.loads(RECORDED.read_text("utf-8")) if RECORDED.exists() else {}
    recorded[name] = found
    kept = {name: recorded[name] for name in SCENARIOS if name in recorded and name not in LIKE}
    RECORDED.write_text(json.dumps(kept, indent=0, ensure_ascii=False) + "\n", "utf-8")


def _difference(before: dict[str, list[str]], after: dict[str, list[str]]) -> str:
    """Return what has changed, for a person: which lines are gone, new, or elsewhere."""
    told: list[str] = []
    for part in {**before, **after}:
        old, new = before.get(part, []), after.get(part, [])
        if old == new:
            continue
        gone, come = Counter(old) - Counter(new), Counter(new) - Counter(old)
        counts = f"{gone.total()} gone, {come.total()} new"
        told.append(f"{part}: {len(old)} lines before, {len(new)} now; {counts}")
        if not gone and not come:
            told.append("the same lines in another order:")
        told += difflib.unified_diff(old, new, "recorded", "now", n=2, lineterm="")
    more = len(told) - MOST_LINES
    return "\n".join([*told[:MOST_LINES], *([f"… {more} more lines"] if more > 0 else [])])


@pytest.mark.parametrize(
    "name", [heavy(name, id=name) if name in SLOW else name for name in SCENARIOS]
)
def test_each_request_is_sent_once_in_the_recorded_order(desk, monkeypatch, name):
    found = SCENARIOS[name](Sending(desk, monkeypatch))
    if os.environ.get(RECORD):
        _record(name, found)
    recorded = json.loads(RECORDED.read_text("utf-8"))[LIKE.get(name, name)]
    if name in RACING:
        recorded, found = (
            {part: sorted(lines) for part, lines in one.items()} for one in (recorded, found)
        )

    difference = _difference(recorded, found)

    assert not difference, f"{name}\n{difference}"


def test_a_main_thread_that_was_woken_waits_no_more_even_before_it_runs_on():
    # The main thread cannot run on while another thread has the lock of the condition.
    condition, found = threading.Condition(), list[bool]()

    def wake() -> None:
        while not is_waiting():
            time.sleep(0.0002)
        with condition:
            (waiter,) = condition._waiters
            found.append(is_waiting())
            condition.notify()
            while not waiter.locked():
                time.sleep(0.0002)
            found.append(is_waiting())

    thread = threading.Thread(target=wake)
    with condition:
        thread.start()
        condition.wait(60)
    thread.join()

    assert found == [True, False]


def test_a_changed_order_is_told_line_by_line():
    told = _difference({"sent": ["a", "b", "c"]}, {"sent": ["a", "c", "b"]})

    assert told.splitlines()[:2] == [
        "sent: 3 lines before, 3 now; 0 gone, 0 new",
        "the same lines in another order:",
    ]
    assert {"-b", "+b"} <= {*told.splitlines()} or {"-c", "+c"} <= {*told.splitlines()}
