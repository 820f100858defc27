"""The ``ftgate`` fixture: suites, replies and verdicts in ordinary tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from itertools import count
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import pytest

from pytest_ftgate.errors import ConfigurationError, EngineError, FtgateError, did_you_mean
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.plugin.patching import patching_key
from pytest_ftgate.plugin.progress import live_progress, wait_for_task
from pytest_ftgate.plugin.state import session_key
from pytest_ftgate.plugin.suites import load_suite_once
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.requests.reply import Reply, read_reply
from pytest_ftgate.runner.evaluate_gate import evaluate_gate
from pytest_ftgate.runner.planner import GateRun, full_look
from pytest_ftgate.suite.model import Case, Suite, Variant, digest

if TYPE_CHECKING:
    from pytest_ftgate.scoring.scores import VariantScores

_Value = TypeVar("_Value")
_Params = ParamSpec("_Params")
#: The most known names in an error message.
_MAX_NAMES = 10
#: Numbers the calls of functions by tests.
_calls = count()


def _shown_at_the_test(method: Callable[_Params, _Value]) -> Callable[_Params, _Value]:
    """Return *method* with errors that pytest shows at the line of the test, not at ours."""

    @wraps(method)
    def run(*args: _Params.args, **kwargs: _Params.kwargs) -> _Value:
        __tracebackhide__ = True
        try:
            return method(*args, **kwargs)
        except (FtgateError, EngineError) as error:
            raise error.with_traceback(None) from None

    return run


class Ftgate:
    """The value of the fixture ``ftgate``."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session

    @_shown_at_the_test
    def suite(self, path: str | os.PathLike[str]) -> SuiteHandle:
        """Return the suite in the file *path*, relative to the root directory.

        Raises:
            ConfigurationError: the file does not exist.
            SuiteError: the suite cannot be used.
        """
        root = self._session.config.rootpath
        file = root / path
        if not file.is_file():
            raise ConfigurationError(f"{path} does not exist (looked in {root})")
        return SuiteHandle(self._session, load_suite_once(self._session, file.resolve()))


class SuiteHandle:
    """A suite in the hands of a test; its replies are cached like those of any gate.

    A test may patch what a function calls. So no gate uses the replies of functions that it makes,
    and where its fixtures may patch, it does not use those of the cache.

    Attributes:
        cases: the cases, by id.
        variants: the names of the variants.
    """

    def __init__(self, session: pytest.Session, suite: Suite) -> None:
        self._config, self._suite = session.config, suite
        self._session = session.config.stash[session_key]
        self.cases: Mapping[str, Case] = {case.id: case for case in suite.cases}
        self.variants: tuple[str, ...] = tuple(suite.variants)

    @property
    def _own_suite(self) -> Suite:
        """The suite as the test that runs now may use it."""
        node, patches = self._config.stash[patching_key].of_running_test()
        return self._suite.for_test(node, reads_cache=not patches)

    @_shown_at_the_test
    def ask(self, variant: str, case: Case | str) -> Reply:
        """Return the reply of *variant* to *case*.

        *case* is a case, its id, or a case of your own: ``replace(case, input="...")``.

        Raises:
            ConfigurationError: there is no such variant or case.
            ReplyError: no reply came.
        """
        asked = case if isinstance(case, Case) else _by_name(case, self.cases, "case")
        build = self._session.built.turn_builder(self._own_suite, self._variant(variant))
        request = build(asked, None, (), 0)
        if request.request.only_for:
            # The test may patch something else before each call.
            fingerprint = digest([request.fingerprint, next(_calls)])
            request = replace(request, request=replace(request.request, fingerprint=fingerprint))
        result = self._session.replies.results([request])[request.request.fingerprint]
        if isinstance(result, Reply):
            return read_reply(result, request.request.thoughts)
        raise result

    @property
    @_shown_at_the_test
    def scores(self) -> Mapping[str, VariantScores]:
        """The scores of every variant, by its name, with a row for each case.

        Raises:
            FtgateError: requests of a variant cannot be sent, or too few replies came.
        """
        return {name: self._scores(self._suite.variants[name]) for name in self.variants}

    def _scores(self, variant: Variant) -> VariantScores:
        suite = self._own_suite
        look = full_look(suite)
        wait_for_task(self._config, suite, variant, look)
        with self._session.replies.internal_errors():
            return self._session.scores.task_scores(suite, variant, look)

    @_shown_at_the_test
    def verdict(self, gate: str, variant: str) -> Verdict:
        """Return the verdict of *gate* on *variant*, as the suite's own test would.

        *gate* is ``accuracy``, or another kind that the suite declares.

        Raises:
            ConfigurationError: there is no such gate or variant, or nothing can fail the gate.
            FtgateError: a scorer cannot be used, requests cannot be sent, or too few replies came.
        """
        gated = replace(self._variant(variant), gated=True)
        gates = {gate.kind: gate for gate in self._suite.gates_for(gated)}
        gate_run = GateRun(self._own_suite, _by_name(gate, gates, "gate"), self._variant(variant))
        with self._session.replies.internal_errors(), live_progress(self._config):
            verdict = evaluate_gate(self._session, gate_run).verdict
        if not verdict.gated:
            # Its outcome is that nothing has failed it, and a test would read that as a pass.
            raise ConfigurationError(f"{gate}[{variant}]: {headline(verdict)}")
        return verdict

    def _variant(self, name: str) -> Variant:
        return _by_name(name, self._suite.variants, "variant")


def _by_name(name: str, values: Mapping[str, _Value], noun: str) -> _Value:
    if name not in values:
        known = f"; known: {', '.join([*values][:_MAX_NAMES]) or 'none'}"
        raise ConfigurationError(
            f'the suite has no {noun} "{name}"{did_you_mean(name, values) or known}'
        )
    return values[name]
