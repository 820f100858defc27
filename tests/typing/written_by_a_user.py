"""What a user writes who has types: mypy and pyright accept it as it stands, both strictly.

No run collects it; the checkers read it. What they know of a name is what an editor completes.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_ftgate import (
    Case,
    CompareResult,
    Conversation,
    EvaluateResult,
    Ftgate,
    Outcome,
    Provider,
    Reply,
    Report,
    Request,
    SuiteHandle,
    Verdict,
    compare,
    evaluate,
    gate,
)


@pytest.mark.ftgate("prompts/tickets.ftgate.yaml", max_drop=0.02)
def test_never_promises_a_refund(case: Case, reply: Reply) -> None:
    assert "will refund" not in reply.text.lower(), case.id


@gate("prompts/tickets.ftgate.yaml", max_drop=0.02, tags=["refund"], evidence="statistics")
def test_names_no_sum(reply: Reply) -> bool:
    return "EUR" not in reply.text


@gate(
    "tickets.ftgate.yaml",
    metrics={"polite": {"max_drop": "none", "min": 0.9}, "short": {"max_drop": 0.05}},
)
def test_tone(reply: Reply) -> dict[str, bool]:
    return {"polite": "please" in reply.text, "short": len(reply.text) < 200}


@gate("tickets.ftgate.yaml", metrics={"polite": {"mim": 0.9}})  # type: ignore[typeddict-unknown-key]
def test_misspelt(reply: Reply) -> dict[str, bool]:
    return {"polite": "please" in reply.text}


@pytest.mark.ftgate(
    cases=[{"input": "Where is my parcel?", "tags": ["delivery"]}],
    variants={"current": {"provider": "anthropic", "model": "claude-haiku-5-5"}},
    min=0.9,
    evidence="point",
)
class TestTone:
    def test_is_short(self, reply: Reply) -> bool:
        words: int = len(reply.text.split())
        return words < 60 and reply.stop == "end" and reply.usage.get("output", 0) < 100

    def test_uses_the_tool(self, case: Case, reply: Reply) -> float:
        names: list[str] = [call.name for call in reply.tool_calls]
        return 1.0 if str(case.vars.get("tool", "")) in names else 0.5

    async def test_remembers(self, case: Case, ask: Conversation) -> None:
        first: Reply = ask()
        again = ask("What was my question?")
        assert case.input_text in again.text or first.model == again.model


@pytest.fixture(scope="module")
def tickets(ftgate: Ftgate) -> SuiteHandle:
    return ftgate.suite("prompts/tickets.ftgate.yaml")


def test_a_suite_in_a_test_of_ones_own(tickets: SuiteHandle) -> None:
    case: Case = tickets.cases["t1"]
    reply: Reply = tickets.ask("current", replace(case, input="Hello?"))
    verdict: Verdict = tickets.verdict("accuracy", "lora-v7")
    assert reply.text
    assert verdict.outcome is Outcome.PASSED
    assert verdict.check is None or verdict.check.after > 0.9
    scores: dict[str, float] = {
        name: float(column.correct.mean()) for name, column in tickets.scores.items()
    }
    assert scores["lora-v7"] >= scores["current"] - 0.05


def pytest_ftgate_plan_modifyitems(items: list[Request], config: pytest.Config | None) -> None:
    if config is not None and config.getoption("verbose"):
        items.sort(key=lambda request: request.model)


def pytest_ftgate_verdict(verdict: Verdict, nodeid: str, config: pytest.Config | None) -> None:
    folder = str(config.rootpath) if config else ""
    assert f"{folder}/{nodeid}".endswith(f"[{verdict.variant}]")


def pytest_ftgate_report(report: Report, config: pytest.Config | None) -> None:
    del config
    bad: list[Verdict] = [
        verdict for verdict in report.gated_verdicts if verdict.outcome is not Outcome.PASSED
    ]
    assert report.verdict == ("blocked" if bad else "passed"), report.facts.get("commit", "")
    assert report.requests.sent <= report.requests.replies


def test_the_new_model_is_not_worse() -> None:
    result: CompareResult = compare("base.jsonl", "tuned.jsonl", max_drop=0.03, by=["topic"])
    in_memory = compare([{"id": "1", "score": 1}], [[{"id": "1", "score": 0.5}]], id="id")
    regressed: list[str] = [flip.case for verdict in result.verdicts for flip in verdict.flips]
    assert result.passed, f"{result}: {regressed}"
    assert in_memory.outcome is Outcome.INCONCLUSIVE


class InMemory(Provider):
    async def generate(self, request: Request) -> Reply:
        return Reply(text=request.model)


def test_the_gates_hold_in_a_script() -> None:
    run: EvaluateResult = evaluate("tickets.ftgate.yaml", providers={"mine": InMemory})
    right: float = float(run.scores["lora-v7"].correct.mean())
    assert run.passed, run.to_markdown()
    assert right > 0.9 or run.verdict("accuracy", "lora-v7").outcome is not Outcome.FAILED
