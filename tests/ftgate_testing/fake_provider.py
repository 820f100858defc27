"""A suite whose provider counts its requests, and sessions to evaluate it without pytest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ftgate_testing.answer_files import write_rows
from pytest_ftgate.providers.base import Provider
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request
from pytest_ftgate.runner.planner import GateRun
from pytest_ftgate.runner.session import Session
from pytest_ftgate.settings import Settings
from pytest_ftgate.suite.draft import PluginContributions
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.model import Suite

__all__ = ["CASES", "House"]

LABELS = ("billing", "refund")
CASES = 100
SUITE = """\
cases: s.cases.jsonl
reply: {{format: {{choice: [billing, refund]}}{score}}}
variants:
  current: {{provider: house, model: current}}
  draft: {{provider: house, model: draft, training_data: train.jsonl, rung: fine-tuned{base}}}
gates: {gates}
"""


@dataclass(slots=True)
class House:
    """A provider, and a suite that uses it.

    Attributes:
        wrong: models that give the wrong label.
        served: the model that answers, by the declared one.
        like_base: tuned models that answer as their base does.
        retires: the day on which the models retire.
        says: what models answer to a request that is no ticket; None: who they are.
        asked: the model and the text of each request.
    """

    folder: Path
    wrong: set[str] = field(default_factory=set)
    served: dict[str, str] = field(default_factory=dict)
    like_base: set[str] = field(default_factory=set)
    retires: str = "2027-01-31"
    says: Callable[[Request], str] | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)

    def write(self, gates: str, score: str = "", base: str = "") -> None:
        rows = [
            {"id": f"t{n:03}", "input": f"Ticket {n}", "expected": LABELS[n % 2]}
            for n in range(CASES)
        ]
        taught = [{"input": f"Customer {n * 7919}", "expected": LABELS[n % 2]} for n in range(300)]
        write_rows(self.folder / "s.cases.jsonl", rows)
        write_rows(self.folder / "train.jsonl", taught)
        base = base and f", base: {base}"
        suite = SUITE.format(gates=gates, score=score, base=base)
        (self.folder / "s.ftgate.yaml").write_text(suite, "utf-8")

    def suite(self) -> Suite:
        plugins = PluginContributions(providers=["house"])
        return load_suite(self.folder / "s.ftgate.yaml", self.folder, plugins)

    def session(self, *, accept: bool = False) -> Session:
        settings = Settings(
            enabled=True, files=(), replies="auto", variants=(), inconclusive="fail", plan=False,
            accept=accept, concurrency=None, cache=self.folder / "cache.sqlite", root=self.folder,
            start=self.folder,
        )  # fmt: skip
        session = Session(settings, "run", {"house": self.provider})
        self.sessions.append(session)
        return session

    def provider(self, requests, environ) -> Provider:
        house = self

        class HouseProvider(Provider):
            async def generate(self, request) -> Reply:
                text = request.messages[-1][1]
                house.asked.append((request.model, text))
                served = house.served.get(request.model, request.model)
                facts = {"retires": house.retires, "region": "eu"}
                if house.says and not text.startswith("Ticket "):
                    return Reply(text=house.says(request), model=served, facts=facts)
                if not text.startswith("Ticket "):
                    prose = "so it is" if request.model in house.like_base else request.model
                    return Reply(text=prose, model=served, facts=facts)
                number = int(text.split()[1]) + (request.model in house.wrong)
                return Reply(text=LABELS[number % 2], model=served, facts=facts)

        return HouseProvider(requests, environ)

    def close(self) -> None:
        for session in self.sessions:
            session.close()

    def gate_run(self, gate: str = "accuracy", variant: str = "draft") -> GateRun:
        suite = self.suite()
        return GateRun(suite, suite.gates[gate], suite.variants[variant])
