"""A marked function on a single case, as an ordinary test (``--ftgate-case``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

import pytest

from pytest_ftgate.client.results import Result
from pytest_ftgate.errors import EngineError, FtgateError
from pytest_ftgate.plugin.cases import set_case_variant
from pytest_ftgate.plugin.marked.attempt import Attempt, Conversation
from pytest_ftgate.plugin.marked.marks import Placeholder, set_parameters
from pytest_ftgate.plugin.patching import patching_key
from pytest_ftgate.plugin.progress import live_progress
from pytest_ftgate.plugin.state import session_key
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.suite.model import Case, Suite
from pytest_ftgate.suite.references import without_static

_function_case_key = pytest.StashKey["FunctionCase"]()


class FunctionCase:
    """One case of one variant of a marked function.

    The function runs in the call of its item, as pytest runs any test, so that a failed assertion
    is pytest's to show and a debugger stops in it.
    """

    def __init__(self, item: pytest.Function, placeholder: Placeholder, case: Case) -> None:
        self._item, self._case, self._metric = item, case, placeholder.ftgate_metric
        self._function, self._variant = placeholder.ftgate_function, placeholder.ftgate_variant
        self._patches = bool(item.config.stash[patching_key].of_item(item))
        self._session = item.config.stash[session_key]
        item.stash[_function_case_key] = self
        set_case_variant(item, self._variant.name)

    def setup(self) -> None:
        """Get the replies to the case."""
        if self._item.config.getoption("setuponly", default=False):
            return
        try:
            with self._session.internal_errors():
                attempts = [self._attempt(reply, n) for n, reply in enumerate(self._replies())]
        except (FtgateError, EngineError) as error:
            pytest.fail(f"{self._variant.name}: {error}", pytrace=False)
        for attempt in attempts:
            attempt.metric, attempt.metrics = self._metric, self._function.metrics
        original = without_static(self._item.obj)
        wrap = _async_runs if iscoroutinefunction(original) else _plain_runs
        # The subtests of a single case are pytest's own.
        names = [name for name in set_parameters(self._item) if name != "subtests"]
        self._item.obj = wrap(original, attempts, names)

    def _replies(self) -> list[Reply | None]:
        if not self._function.planned:
            return [None]
        suite, look = self._function.suite, self._function.look
        suite = self._own_suite() if self._patches else suite
        look = replace(look, cases=frozenset({self._case.id}))
        requests = self._session.workloads.task_requests(suite, self._variant, look)
        with live_progress(self._item.config) as on_progress:
            self._session.checked_results([requests], on_progress, suite.name)
        scores = self._session.scores.unscored(suite, self._variant, look)
        if self._case.id not in scores.results:
            pytest.skip(f"{self._variant.name} was trained on this case")
        result = scores.results[self._case.id]
        if not result.replies:
            pytest.fail(f"{self._variant.name}: {result.missing_reasons[0]}", pytrace=False)
        return [*result.replies]

    def _attempt(self, reply: Reply | None, repeat: int) -> Attempt:
        if "ask" not in self._item.fixturenames:
            return Attempt(self._variant, self._case, reply, None)
        # The function may patch what it asks.
        build_turn = self._session.workloads.turn_builder(self._own_suite(), self._variant)
        results = self._session.engine.results
        conversation = Conversation(self._case, build_turn, results, reply, repeat)
        conversation.send = self._send
        return Attempt(self._variant, self._case, reply, conversation)

    def _own_suite(self) -> Suite:
        return self._function.suite.for_test(self._item.nodeid, reads_cache=not self._patches)

    def _send(self, request: CaseRequest) -> Result:
        return self._session.results([request])[request.request.fingerprint]


def function_case_of(item: pytest.Item) -> FunctionCase | None:
    """Return the case that *item* runs a marked function on, or None."""
    return item.stash.get(_function_case_key, None)


def _plain_runs(
    original: Callable[..., Any], attempts: list[Attempt], names: list[str]
) -> Callable[..., None]:
    @wraps(original)
    def run(**arguments: Any) -> None:
        __tracebackhide__ = True
        for attempt in _begun(attempts, names, arguments):
            attempt.set_result(original(**arguments))
            _check(attempt)

    return run


def _async_runs(
    original: Callable[..., Any], attempts: list[Attempt], names: list[str]
) -> Callable[..., Any]:
    @wraps(original)
    async def run(**arguments: Any) -> None:
        __tracebackhide__ = True
        for attempt in _begun(attempts, names, arguments):
            attempt.set_result(await original(**arguments))
            _check(attempt)

    return run


def _begun(
    attempts: list[Attempt], names: list[str], arguments: dict[str, Any]
) -> Iterator[Attempt]:
    """Put the values *names* of each attempt into *arguments*, and yield it."""
    names = [name for name in names if name in arguments]
    for attempt in attempts:
        if attempt.ask:
            attempt.ask.restart()
        arguments |= [(name, getattr(attempt, name)) for name in names]
        yield attempt


def _check(attempt: Attempt) -> None:
    __tracebackhide__ = True
    if attempt.score_value is not None and attempt.score_value < 1:
        pytest.fail(attempt.reason, pytrace=False)
