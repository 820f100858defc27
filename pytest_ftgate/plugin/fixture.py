"""The ``ftgate`` fixture: suites, replies and verdicts in ordinary tests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import pytest

from pytest_ftgate.client.results import Answer
from pytest_ftgate.errors import Unavailable, did_you_mean
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.plugin.suites import suite_at
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.runner.evaluate import is_clear, judge, sides_of
from pytest_ftgate.runner.progress import ticking
from pytest_ftgate.runner.session import Session, session_key, whole
from pytest_ftgate.runner.workloads import Judged
from pytest_ftgate.suite.model import Case, Suite, Variant

if TYPE_CHECKING:
    from pytest_ftgate.scoring.scores import Column

__all__ = ["Ftgate", "UsedSuite"]

_Thing = TypeVar("_Thing")
#: So many names are told where none is near.
_TOLD = 10


class Ftgate:
    """What the fixture ``ftgate`` is."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session

    def suite(self, path: str | os.PathLike[str]) -> UsedSuite:
        """Return the suite in the file *path*, relative to the root directory.

        Raises:
            Unavailable: there is no such file.
            SuiteFaults: it cannot be used.
        """
        found = self._session.config.rootpath / path
        if not found.is_file():
            raise Unavailable(f"{path} does not exist (looked in {self._session.config.rootpath})")
        return UsedSuite(self._session, suite_at(self._session, found.resolve()))


class UsedSuite:
    """A suite that a test asks and judges as it likes; replies are kept as those of any gate.

    Attributes:
        cases: the cases, by id.
        variants: the names of the variants.
    """

    def __init__(self, session: pytest.Session, suite: Suite) -> None:
        self._config, self._suite = session.config, suite
        self.cases: Mapping[str, Case] = {case.id: case for case in suite.cases}
        self.variants: tuple[str, ...] = tuple(suite.variants)

    @property
    def _session(self) -> Session:
        return self._config.stash[session_key]

    def ask(self, variant: str, case: Case | str) -> Reply:
        """Return the reply of *variant* to *case*.

        Args:
            variant: its name.
            case: one of the cases, its id, or a case of your own: ``replace(case, input="...")``.

        Raises:
            Unavailable: there is no such variant or case.
            ReplyError: no reply came.
        """
        put = case if isinstance(case, Case) else _named(case, self.cases, "case")
        ask = self._session.asks.turns(self._suite, self._variant(variant))(put, None, (), 0)
        answer = self._session.waited([ask])[ask.call.fingerprint]
        if isinstance(answer, Reply):
            return answer
        raise answer

    @property
    def sheet(self) -> Mapping[str, Column]:
        """The scores of every variant, by its name; each column has a row for each case.

        Raises:
            FtgateError: a variant cannot be asked, or too little of it was answered.
        """
        return {name: self._column(self._suite.variants[name]) for name in self.variants}

    def _column(self, variant: Variant) -> Column:
        look = whole(self._suite)
        with ticking(self._config) as tick:
            asks = self._session.asks.task(self._suite, variant, look)
            self._session.answers([asks], tick, self._suite.name)
        return self._session.columns.task(self._suite, variant, look)

    def verdict(self, gate: str, variant: str) -> Verdict:
        """Return what *gate* decides about *variant*, as the suite's own test would.

        Args:
            gate: ``accuracy``, or another kind that the suite declares.
            variant: its name.

        Raises:
            Unavailable: there is no such gate or variant.
            FtgateError: it cannot be asked, or too little of it was answered.
        """
        gates = {one.kind: one for one in self._suite.gates_of(self._gated(variant))}
        judged = Judged(self._suite, _named(gate, gates, "gate"), self._variant(variant))
        for look in self._session.asks.looks(judged):
            with ticking(self._config) as tick:
                asks = self._session.asks.of(judged, look)
                found = self._session.answers(asks, tick, self._suite.name)
            sides_of(self._session, judged, look)
            verdict = judge(self._session, judged, look)
            if is_clear(verdict):
                break
        return self._proven(judged, verdict, found)

    def _proven(self, judged: Judged, verdict: Verdict, found: Mapping[str, Answer]) -> Verdict:
        from pytest_ftgate.runner.identity import proofs

        strange = [p for p in proofs(self._session, judged, found) if p.outcome is Outcome.INVALID]
        if not strange:
            return verdict
        return replace(verdict, outcome=Outcome.INVALID, headline=strange[0].sentence, checks=())

    def _variant(self, name: str) -> Variant:
        return _named(name, self._suite.variants, "variant")

    def _gated(self, name: str) -> Variant:
        return replace(self._variant(name), gated=True)


def _named(name: str, known: Mapping[str, _Thing], what: str) -> _Thing:
    if name not in known:
        near = did_you_mean(name, known) or f"; known: {', '.join([*known][:_TOLD]) or 'none'}"
        raise Unavailable(f'the suite has no {what} "{name}"{near}')
    return known[name]
