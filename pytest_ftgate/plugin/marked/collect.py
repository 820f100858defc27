"""Collects marked functions, and for ``--ftgate-case`` single cases of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import astuple, replace
from functools import partial
from inspect import unwrap
from itertools import product
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_ftgate.client.results import Result
from pytest_ftgate.errors import SuiteError
from pytest_ftgate.plugin.cases import case_variant, chosen_cases, set_case_variant
from pytest_ftgate.plugin.item import set_property, state_of
from pytest_ftgate.plugin.marked.attempt import Attempt, run_on_attempts
from pytest_ftgate.plugin.marked.item import FunctionGate, placeholder_of
from pytest_ftgate.plugin.marked.marks import (
    PARAMETERS,
    SUITE,
    Mark,
    MarkedFunction,
    MarkLocation,
    Metric,
    Placeholder,
    argument_lines,
    set_parameters,
)
from pytest_ftgate.plugin.marked.suite import marked_function, suite_in_mark, suite_of_file
from pytest_ftgate.plugin.patching import patching_key, variant_scope
from pytest_ftgate.plugin.progress import wait_for_task
from pytest_ftgate.plugin.state import errors_key, session_key, set_up, settings_key, uses_fixture
from pytest_ftgate.readers.source import declared_keys, validation_message
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.suite.draft import SuiteSource
from pytest_ftgate.suite.function_references import without_static
from pytest_ftgate.suite.model import Case, Suite

#: Of an item: what runs its function.
_function_key = pytest.StashKey["FunctionGate | FunctionCase"]()


class FunctionCase:
    """One case of one variant of a marked function.

    The function runs in the call of its item, as pytest runs any test, so that a failed assertion
    is pytest's to show and a debugger stops in it.
    """

    def __init__(self, item: pytest.Function, placeholder: Placeholder, case: Case) -> None:
        self._item, self._case, self._placeholder = item, case, placeholder
        self._function, self._variant = placeholder.ftgate_function, placeholder.ftgate_variant
        self._patches = bool(item.config.stash[patching_key].of_item(item))
        self._session = item.config.stash[session_key]
        set_case_variant(item, self._variant.name)

    def setup(self) -> None:
        """Get the replies to the case."""
        set_up(self._item.config, self._prepare, lambda error: f"{self._variant.name}: {error}")

    def _prepare(self) -> None:
        with self._session.replies.internal_errors():
            attempts = [self._attempt(reply, n) for n, reply in enumerate(self._replies())]
        original = without_static(self._item.obj)
        # The subtests of a single case are pytest's own.
        names = [name for name in set_parameters(self._item) if name != "subtests"]
        begun = partial(_begun, attempts, names)
        self._item.obj = run_on_attempts(original, begun, around=nullcontext)

    def _replies(self) -> list[Reply | None]:
        if not self._function.planned:
            return [None]
        suite, look = self._function.suite, self._function.look
        suite = self._own_suite() if self._patches else suite
        look = replace(look, cases=frozenset({self._case.id}))
        wait_for_task(self._item.config, suite, self._variant, look)
        scores = self._session.scores.unscored(suite, self._variant, look)
        if self._case.id not in scores.results:
            pytest.skip(f"{self._variant.name} was trained on this case")
        result = scores.results[self._case.id]
        if not result.replies:
            pytest.fail(f"{self._variant.name}: {result.missing_reasons[0]}", pytrace=False)
        return [*result.replies]

    def _attempt(self, reply: Reply | None, repeat: int) -> Attempt:
        attempt = Attempt(self._placeholder, self._variant, self._case, reply)
        if "ask" in self._item.fixturenames:
            # The function may patch what it asks.
            attempt.converse(self._session, self._own_suite(), repeat, self._send)
        return attempt

    def _own_suite(self) -> Suite:
        return self._function.suite.for_test(self._item.nodeid, reads_cache=not self._patches)

    def _send(self, request: CaseRequest) -> Result:
        return self._session.replies.results([request])[request.request.fingerprint]


def _begun(
    attempts: list[Attempt], names: list[str], arguments: dict[str, Any]
) -> Iterator[Attempt]:
    """Put the values *names* of each attempt into *arguments*; fail where it is wrong."""
    __tracebackhide__ = True
    names = [name for name in names if name in arguments]
    for attempt in attempts:
        if attempt.ask:
            attempt.ask.restart()
        arguments |= [(name, getattr(attempt, name)) for name in names]
        yield attempt
        if attempt.score_value is not None and attempt.score_value < 1:
            pytest.fail(attempt.reason, pytrace=False)


_NO_METRICS = (
    "log_score needs the metrics that it logs, with their limits; write, such as, "
    'metrics={"tone": {"min": 0.9}}'
)
_NO_FILE = 'the suite is {!r}; write the path of a file, such as "prompts/tickets.ftgate.yaml"'


def _location(definition: pytest.Function) -> MarkLocation:
    root, path = definition.config.rootpath.resolve(), definition.path.resolve()
    function = unwrap(definition.function)
    return MarkLocation(
        session=definition.session,
        source=SuiteSource(root=root, path=path),
        function=function,
        name=definition.nodeid.partition("::")[2],
        lines=argument_lines(function),
    )


def _read_marks(
    location: MarkLocation, definition: pytest.Function, names: list[str]
) -> MarkedFunction | None:
    """Return the marked function, which takes the parameters *names*; None if it has errors.

    Errors are added to *location*, or raised.

    Raises:
        SuiteError: the suite cannot be used.
    """
    if problem := _parameter_problem(definition, names):
        location.add_error("", problem)
        return None
    arguments = _mark_arguments(location, definition)
    mark = _validated(location, arguments)
    if "log_score" in names and "metrics" not in arguments:
        location.add_error("", _NO_METRICS)
    # Without a valid suite path, the other arguments cannot be checked.
    is_checkable = SUITE not in arguments or mark.suite is not None
    find_suite = suite_in_mark if mark.suite is None else suite_of_file
    suite = find_suite(location, mark) if is_checkable else None
    return marked_function(location, mark, suite, planned="reply" in names) if suite else None


def _mark_arguments(location: MarkLocation, definition: pytest.Function) -> dict[str, Any]:
    """Return the arguments of all marks; nearer marks override outer ones."""
    arguments: dict[str, Any] = {}
    if [mark.name for mark in definition.own_markers].count("ftgate") > 1:
        message = "the function has two ftgate marks; write one, or a function for each"
        location.add_error("", message)
    for mark in reversed([*definition.iter_markers("ftgate")]):
        if len(mark.args) > 1:
            message = "a mark names one suite file; a function for two takes two functions"
            location.add_error(SUITE, message)
        arguments |= [(SUITE, path) for path in mark.args[:1]]
        arguments |= mark.kwargs
    return arguments


def _validated(location: MarkLocation, arguments: dict[str, Any]) -> Mark:
    """Return the valid arguments; add an error for each of the others."""
    try:
        return Mark.model_validate(arguments)
    except ValidationError as error:
        known = tuple(key for key in declared_keys(Mark) if key != SUITE)
        invalid = {str(details["loc"][0]): details for details in reversed(error.errors())}
        for key, details in invalid.items():
            first_key = {**details, "loc": details["loc"][:1]}
            message = validation_message(first_key, known, None, "argument")
            if key == "metrics":
                limits = tuple(declared_keys(Metric))
                message = f"metrics: {validation_message(details, limits, None)}"
            location.add_error(key, _NO_FILE.format(details["input"]) if key == SUITE else message)
        valid = {key: value for key, value in arguments.items() if key not in invalid}
        return Mark.model_validate(valid)


_NOT_A_GATE = (
    "this test is marked with ftgate and is no gate: write it as a function or a method of a plain "
    "class that takes case and reply, with the mark on it before it is collected"
)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Make an item for each variant of a marked function; its collector gets the errors."""
    definition = metafunc.definition
    marked_itself = any(mark.name == "ftgate" for mark in definition.own_markers)
    names = [name for name in PARAMETERS if name in metafunc.fixturenames]
    if not {"reply", "ask"} & {*names}:
        # In a marked class or module, some tests may take no reply.
        if "ftgate" in metafunc.fixturenames or not marked_itself:
            return
        names = []
    if "variant" in _parametrized(definition):
        # The name is a frequent one: a function that sets it keeps its own.
        names = [name for name in names if name != "variant"]
    location, function = _location(definition), None
    try:
        function = _read_marks(location, definition, names)
    except SuiteError as error:
        location.source.errors.extend(error.errors)
    if function is not None:
        parameters = [*_parameters(metafunc.config, function, names)]
        scope = variant_scope(definition) if "variant" in names else None
        metafunc.parametrize(names, parameters, scope=scope)
    elif definition.parent is not None:
        definition.parent.stash.setdefault(errors_key, []).extend(sorted(location.source.errors))


def _parameters(config: pytest.Config, function: MarkedFunction, names: list[str]) -> Iterator[Any]:
    """Yield the parameters of each metric of each variant, or of each of its chosen cases."""
    cases: list[Case | None] = [None]
    if config.stash[settings_key].cases:
        used = [case for case in function.suite.cases if function.look.includes(case.id, 0)]
        cases = [*chosen_cases(config, used)]
    for variant, case, metric in product(function.variants, cases, function.metrics or [""]):
        values = [
            variant if name == "variant" else Placeholder(name, function, variant, metric, case)
            for name in names
        ]
        parts = (variant.name, case.id if case else "", metric)
        yield pytest.param(*values, id="-".join(filter(None, parts)))


def _parameter_problem(definition: pytest.Function, names: list[str]) -> str:
    """Return "" unless a marked function takes no reply, or ``parametrize`` gives another one."""
    if not names:
        name = definition.name
        return f"{name} takes neither reply nor ask; write def {name}(case, reply)"
    if given_twice := _parametrized(definition) & {*names}:
        name = min(given_twice)
        return f"parametrize gives {name}, which the ftgate mark gives too; rename the parameter"
    return ""


def _parametrized(definition: pytest.Function) -> set[str]:
    """Return the parameters that ``parametrize`` gives."""
    return {
        name.strip()
        for mark in definition.iter_markers("parametrize")
        for name in _names_of(mark.args[0] if mark.args else mark.kwargs.get("argnames", ()))
    }


def _names_of(written: object) -> list[str]:
    return written.split(",") if isinstance(written, str) else [*map(str, written)]  # type: ignore[call-overload]


def fail_collection(
    collector: pytest.Collector, report: pytest.CollectReport
) -> pytest.CollectReport:
    """Fail the collection of a collector whose marks have errors; show all at once."""
    errors = collector.stash[errors_key]
    error = SuiteError(errors[0].path, errors)
    # A collector of suites has failed by itself.
    if report.passed:
        report.outcome, report.result = "failed", []
        report.longrepr = str(error)
    # Of these types pytest-xdist sends them from its processes.
    report.ftgate_errors = [[*astuple(one)] for one in error.errors]  # type: ignore[attr-defined]
    return report


def make_gate(item: pytest.Item) -> None:
    """Make a gate of an item of a parametrized marked function."""
    placeholder = placeholder_of(item)
    if placeholder is not None and isinstance(item, pytest.Function):
        if item.get_closest_marker("ftgate") is None:
            # The mark of a static method outside a class does not reach its items.
            item.add_marker("ftgate")
        case = placeholder.ftgate_case
        item.stash[_function_key] = (
            FunctionCase(item, placeholder, case) if case else FunctionGate(item, placeholder)
        )


def before_setup(item: pytest.Item) -> None:
    """Before the fixtures of *item* are set up, fail it if it is marked and not a gate."""
    __tracebackhide__ = True
    if case_variant(item) is not None:
        return
    state = state_of(item)
    if state is None and uses_fixture(item):
        set_property(item, "ftgate_used", item.nodeid)
        return
    # The property makes an error before any verdict count as an error of a gate.
    set_property(item, "ftgate_gate", item.nodeid)
    if state is None:
        pytest.fail(_NOT_A_GATE, pytrace=False)


def after_setup(item: pytest.Item) -> None:
    """After the fixtures of *item* are set up, ask and score."""
    function = item.stash.get(_function_key, None)
    if function is not None:
        function.setup()
