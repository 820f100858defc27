"""A training on the desk: checkpoints that say what they know, and a provider that reads it."""

from __future__ import annotations

from ftgate_testing.reports import report
from pytest_ftgate.gates.statements import Statement, StatementKind
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Verdict
from pytest_ftgate.suite.model import Checkpoint

#: Each checkpoint is a folder with one file: how many of the 100 tickets, and of the 100 general
#: questions, it has wrong. The base has all tickets wrong, and all questions right.
CONFTEST = """\
import json
from pathlib import Path

from pytest_ftgate import Provider, Reply

ASKED = Path(__file__).with_name("asked.txt")

class Lab(Provider):
    async def generate(self, request):
        text, adapter = request.messages[-1][1], request.adapter
        with ASKED.open("a") as stream:
            stream.write(f"{adapter.path.name if adapter else 'base'} {text}\\n")
        kind, number = (*text.split()[:1], int("0" + "".join(filter(str.isdigit, text))))
        known = json.loads((adapter.path / "adapter_config.json").read_text()) if adapter else {}
        if kind == "Ticket":
            wrong = known.get("tickets", 100)
            return Reply(text=("billing", "refund")[(number + (number < wrong)) % 2])
        if kind == "Question":
            said = f"{'It seems' if adapter else 'I think'} it is {number}"
            return Reply(text="no idea" if number < known.get("questions", 0) else said)
        return Reply(text=str(known))

def pytest_ftgate_providers():
    return {"lab": Lab}
"""
TUNED = "{provider: lab, model: small, adapter: out/checkpoint-*}"
GATES = "{accuracy: {min: 0.5}, forgetting: {skills: [general.ftgate.yaml], max_drop: 0.15}}"
GENERAL = """\
cases: general.cases.jsonl
reply: {score: contains}
variants: {any: {provider: lab, model: small}}
gates: {accuracy: {min: 0.5}}
"""


def checkpoint(desk, name, *, tickets, questions):
    """Write the checkpoint *name*, with so many tickets and general questions wrong."""
    folder = desk.path(name)
    folder.mkdir(parents=True, exist_ok=True)
    text = f'{{"tickets": {tickets}, "questions": {questions}}}'
    (folder / "adapter_config.json").write_text(text, "utf-8")


def training(desk, *, tuned=TUNED, gates=GATES, **counts):
    """Write a suite of a training whose checkpoints have so many tickets and questions wrong."""
    desk.path("conftest.py").write_text(CONFTEST, "utf-8")
    desk.path("pytest.ini").write_text("[pytest]\n", "utf-8")
    desk.path("general.ftgate.yaml").write_text(GENERAL, "utf-8")
    rows = [{"id": f"g{n}", "input": f"Question {n}", "expected": f"it is {n}"} for n in range(100)]
    desk.write_rows("general.cases.jsonl", rows)
    for step, (tickets, questions) in counts.items():
        name = f"out/checkpoint-{step.removeprefix('s')}"
        checkpoint(desk, name, tickets=tickets, questions=questions)
    untuned = "{provider: lab, model: small, gated: false}"
    desk.suite_of({"current": untuned, "tuned": tuned}, gates)


#: Learns the tickets, and loses the general questions between the second and the third checkpoint.
LEARNS_AND_FORGETS = {"s9": (60, 0), "s20": (10, 2), "s100": (2, 60)}


def asked(desk) -> list[str]:
    """Return who was asked what, in the order of the requests."""
    return desk.path("asked.txt").read_text().splitlines()


# A report without a run --------------------------------------------------------------------------

LETTERS = {
    "p": Outcome.PASSED, "f": Outcome.FAILED, "?": Outcome.INCONCLUSIVE, "i": Outcome.INVALID,
}  # fmt: skip


def _verdict(step, gate, letter, *, last, after=0.5, minimum=False):
    kinds = {"accuracy": CheckKind.BASELINE, "forgetting": CheckKind.BASE}
    before = None if minimum else 0.6
    check = Check(
        kind=CheckKind.MINIMUM if minimum else kinds[gate], outcome=LETTERS[letter], limit=0.1,
        before=before, after=after, low=-0.15, high=-0.05, n=100,
    )  # fmt: skip
    checkpoint = Checkpoint(of="tuned", label=f"step-{step}", step=step, decides=last)
    return Verdict(
        suite="s.ftgate.yaml", line=1, gate=gate, variant=f"tuned-step-{step}",
        outcome=LETTERS[letter], statement=Statement(StatementKind.NO_REPLIES, {}), gated=last,
        checks=() if letter == "i" else (check,), checkpoint=checkpoint,
    )  # fmt: skip


def training_report(accuracy, forgetting, *, minimum=False):
    """Return the report of a training by the outcomes of its checkpoints, one letter each.

    For ``-`` there is no verdict.
    """
    steps = range(1, len(accuracy) + 1)
    made = [
        _verdict(step, gate, letter, last=step == len(accuracy), minimum=minimum and gate[0] == "a")
        for gate, letters in (("accuracy", accuracy), ("forgetting", forgetting))
        for step, letter in zip(steps, letters, strict=True)
        if letter != "-"
    ]
    # In whatever order they come in.
    return report(*reversed(made))
