"""Runs for the page of all ends: suites of tickets, evaluated in a folder of their own."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from ftgate_testing.answer_files import write_rows
from ftgate_testing.bounded import Copier
from ftgate_testing.canary import KEY_NAMES
from pytest_ftgate import evaluate
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.results.run import Report, read_run

SUITE = "suite.ftgate.yaml"
#: What a run takes on the page: how long it really took is no part of how it ends.
SECONDS = 12.0
LABELS = ("billing", "refund")
FORMAT = f"reply: {{format: {{choice: [{', '.join(LABELS)}]}}}}"
#: A case, a reply or a row of training data.
Row = Mapping[str, object]
#: What a variant replies to a case, by its number: a text, more than that, or nothing.
Replies = Callable[[int], str | Row | None]
#: Answers rightly; most of the time, for as long as a server is up.
ANSWERS = """\
def answer(case):
    return case.expected
"""
DOWN = """\
def answer(case):
    if case.id >= "t020":
        raise OSError("connection refused")
    return case.expected
"""
#: Interrupts its run as Ctrl-C does, with sixteen requests in flight, which answer as it ends.
INTERRUPTING = """\
import asyncio
import os
import signal
from pathlib import Path

HERE = Path(__file__).parent
asked = 0

async def answer(case):
    global asked
    asked += 1
    if asked == 36:
        os.kill(os.getpid(), signal.SIGINT)
    if asked > 20:
        while not (HERE / "ending").exists():
            await asyncio.sleep(0.01)
        await asyncio.sleep(3.0)
    return case.expected
"""
NOTICES_THE_END = """\
from pathlib import Path

import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    Path("ending").touch()
"""


def tickets(count: int, change: Callable[[int], Row] = lambda _: {}) -> list[Row]:
    """Return *count* cases, each with what *change* adds to it by its number."""
    return [
        {"id": f"t{n:03}", "input": f"Ticket {n}: help", "expected": LABELS[n % 2], **change(n)}
        for n in range(count)
    ]


def wrong(count: int, said: str = "") -> Replies:
    """Return replies that are wrong in the first *count* cases: *said*, or the other label."""
    return lambda n: LABELS[n % 2] if n >= count else said or LABELS[(n + 1) % 2]


def missing(count: int, of: int) -> Replies:
    """Return right replies without the last *count* ones of so many cases."""
    return lambda n: LABELS[n % 2] if n < of - count else None


def evaluated(
    gates: str,
    cases: Sequence[Row],
    files: Mapping[str, Sequence[Row]] = {},
    *,
    more: Mapping[str, str] = {},
    **replies: Replies,
) -> Report:
    """Return the run record of ``pytest_ftgate.evaluate`` on a suite with recorded replies.

    Args:
        gates: the gates, as lines of YAML.
        cases: those of the suite.
        files: further files of rows, by name.
        more: further keys of variants, in YAML.
        replies: of each variant, by the number of the case; None for a missing one.
    """
    rows: dict[str, Sequence[Row]] = {"cases.jsonl": cases, **files}
    for name, said in replies.items():
        told = ((case["id"], said(n)) for n, case in enumerate(cases))
        rows[f"{name}.jsonl"] = [
            {"id": key, **({"text": one} if isinstance(one, str) else one)}
            for key, one in told
            if one is not None
        ]
    declared = {
        name: f"{{provider: recorded, replies: {name}.jsonl{more.get(name, '')}}}"
        for name in replies
    }
    with TemporaryDirectory() as name, chdir(name):
        _write(Path(name), rows, {SUITE: _suite(declared, gates)})
        report = evaluate(SUITE, rootdir=name).report
    return _without_time(report)


def verdict_of(report: Report, variant: str = "new") -> Verdict:
    """Return the verdict on *variant* that did not pass, else the first one on it."""
    verdicts = [one for one in report.verdicts if one.variant == variant]
    return next((one for one in verdicts if one.outcome != "passed"), verdicts[0])


@cache
def ended_run(
    variant: str,
    *options: str,
    code: str = ANSWERS,
    conftest: str = "",
    gate: str = "{min: 0.85}",
    cases: int = 100,
) -> Report:
    """Return the run record of ``pytest --ftgate`` on a suite with one variant.

    Args:
        variant: what the suite declares of the variant, in YAML.
        options: of the command line.
        code: the module of the function that answers.
        conftest: the code of ``conftest.py``.
        gate: the accuracy gate, in YAML.
        cases: how many there are.
    """
    texts = {
        "answers.py": code,
        "conftest.py": conftest,
        "pytest.ini": "[pytest]\n",
        SUITE: _suite({"current": variant}, f"accuracy: {gate}"),
    }
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, {"cases.jsonl": tickets(cases)}, texts)
        _copier().run(folder, ["--ftgate", "--ftgate-json=run.json", *options], {})
        return _without_time(read_run(folder / "run.json"))


@cache
def _copier() -> Copier:
    """Return what runs pytest without keys, and without the options of the pytest that asks."""
    copier = Copier(without=(*KEY_NAMES, "PYTEST_ADDOPTS", "PYTEST_PLUGINS"))
    atexit.register(copier.close)
    return copier


def _suite(variants: Mapping[str, str], gates: str) -> str:
    lines = [f"  {name}: {declared}" for name, declared in variants.items()]
    gate_lines = [f"  {line}" for line in gates.splitlines()]
    parts = ["cases: cases.jsonl", FORMAT, "variants:", *lines, "gates:", *gate_lines]
    return "\n".join(parts) + "\n"


def _write(folder: Path, rows: Mapping[str, Sequence[Row]], texts: Mapping[str, str]) -> None:
    for name, of in rows.items():
        write_rows(folder / name, of)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")


def _without_time(report: Report) -> Report:
    return replace(report, requests=replace(report.requests, seconds=SECONDS))
