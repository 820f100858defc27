"""One gate on its way to its verdict: asked and proven in setup, judged in its call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from pytest_ftgate.ask.answers import Answer
from pytest_ftgate.gate.looks import Look
from pytest_ftgate.gate.verdict import Outcome, Verdict
from pytest_ftgate.plan.call import Ask
from pytest_ftgate.report.quote import guarded
from pytest_ftgate.run.asks import Judged
from pytest_ftgate.run.progress import ticking
from pytest_ftgate.run.session import Session, session_key
from pytest_ftgate.settings import settings_key

__all__ = ["Stopped", "Trial", "gates_of", "judged_of", "trial_of"]

_trial_key = pytest.StashKey["Trial"]()


class Stopped(Exception):
    """Ends an item whose verdict blocks; carries the verdict to the failure section."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.headline)


class Trial:
    """What the two kinds of gate share, suite files' and marked functions'.

    Args:
        item: the test that stands for the gate.
        judged: the gate.
        late: what it asks is known once the test's own fixtures are set up, and no earlier.
    """

    def __init__(self, item: pytest.Item, judged: Judged, *, late: bool = False) -> None:
        self.item, self.judged, self.late = item, judged, late
        #: How far it has asked.
        self.look = Look()
        #: What it has come to, if it has.
        self.verdict: Verdict | None = None
        self._notes: tuple[str, ...] = ()
        self._facts: dict[str, str] = {}
        item.stash[_trial_key] = self
        if item.config.pluginmanager.has_plugin("rerunfailures"):
            # A second run would find the same replies, and a verdict is never rolled again.
            item.add_marker(pytest.mark.flaky(reruns=0), append=False)

    @property
    def session(self) -> Session:
        """The run's own state."""
        return self.item.config.stash[session_key]

    @property
    def asks_nothing(self) -> bool:
        """Whether the user wants to see how tests are set up, and no more."""
        return bool(self.item.config.getoption("setuponly"))

    @property
    def accepts(self) -> bool:
        """Whether the run is to be accepted."""
        return self.item.config.stash[settings_key].accept

    def begin(self) -> None:
        """Hand in the calls, with those of all gates that can be planned by now."""
        if self.session.has_begun(self.judged):
            return
        # A pytest-xdist worker does not know which gates it will be given, so it plans its own.
        alone = self.late or hasattr(self.item.config, "workerinput")
        self.session.begin([self.judged] if alone else _together(self.item.session))

    def answered(self, look: Look) -> str:
        """Wait for what *look* takes in; return what makes the variant invalid, or "".

        Raises:
            FtgateError: it cannot be asked, or too little of it was answered.
        """
        found = self.waited(self.session.asks.of(self.judged, look))
        self.look = look
        return self.proven(found) if look.number == 1 else ""

    def waited(self, groups: list[tuple[Ask, ...]]) -> Mapping[str, Answer]:
        """Wait for the asks of *groups*, and show how far that has come."""
        with ticking(self.item.config) as tick:
            return self.session.answers(groups, tick, self.judged.suite.name)

    def proven(self, found: Mapping[str, Answer], asked: tuple[Ask, ...] = ()) -> str:
        """Return why the variant is not what it claims to be, or "".

        Args:
            found: what became of its calls.
            asked: those of its calls that no plan foresaw.
        """
        from pytest_ftgate.run.proofs import invalid, known, proofs

        proven = proofs(self.session, self.judged, found, asked)
        self._facts = known(self.session, self.judged, found, asked)
        self._notes = tuple(p.sentence for p in proven if p.outcome is Outcome.INCONCLUSIVE)
        for proof in proven:
            if proof.outcome is Outcome.INVALID:
                node = self.item.nodeid if self.judged.rules else ""
                self._keep(invalid(self.judged, proof.sentence, self._facts, node))
                return f"not what it claims: {proof.sentence}"
        return ""

    def fail(self, trouble: str) -> None:
        """End the item's setup: it could not be judged."""
        pytest.fail(guarded(f"{self.judged.variant.name}: {trouble}"), pytrace=False)

    def conclude(self, verdict: Verdict) -> None:
        """Keep the verdict, and stop the item where it blocks."""
        verdict = replace(verdict, notes=(*verdict.notes, *self._notes), facts=self._facts)
        self._keep(verdict)
        lenient = self.item.config.stash[settings_key].inconclusive == "warn"
        open_ = verdict.outcome is Outcome.INCONCLUSIVE
        if verdict.outcome is not Outcome.PASSED and not (open_ and lenient):
            raise Stopped(verdict)

    def _keep(self, verdict: Verdict) -> None:
        from pytest_ftgate.record.verdicts import verdict_to_json

        self.verdict = verdict
        self.keep("ftgate", verdict_to_json(verdict))

    def keep(self, name: str, value: str) -> None:
        """Let the item's report carry *value*, in place of what a run before has left there."""
        own = self.item.user_properties
        own[:] = [*(one for one in own if one[0] != name), (name, value)]


def trial_of(item: Any) -> Trial | None:
    """Return the trial of an item that stands for a gate, or None."""
    found: Trial | None = item.stash.get(_trial_key, None)
    return found


def judged_of(item: pytest.Item) -> Judged | None:
    """Return the gate that *item* stands for, or None."""
    trial = trial_of(item)
    return trial.judged if trial else None


def gates_of(items: list[pytest.Item]) -> list[Judged]:
    """Return the gates among *items*."""
    return [judged for item in items if (judged := judged_of(item))]


def _together(session: pytest.Session) -> Iterator[Judged]:
    trials = (trial_of(item) for item in session.items)
    return (trial.judged for trial in trials if trial and not trial.late)
