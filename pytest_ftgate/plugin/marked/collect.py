"""Collects marked functions."""

from __future__ import annotations

from inspect import unwrap
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_ftgate.errors import Fault, SuiteFaults
from pytest_ftgate.plugin.item import Stopped, trial_of
from pytest_ftgate.plugin.marked.item import FunctionGate, gate_of, slot_of
from pytest_ftgate.plugin.marked.marks import NAMES, SUITE, Mark, Marked, Place, Slot, lines_of
from pytest_ftgate.plugin.marked.suite import marked, named_suite
from pytest_ftgate.readers.source import keys_of, sentence
from pytest_ftgate.settings import faults_key
from pytest_ftgate.suite.plugins import SuiteSource

__all__ = ["begin", "collected", "end", "explain", "faults_in", "parametrize", "read_marks"]

_NO_FILE = 'the suite is {!r}; write the path of a file, such as "prompts/tickets.ftgate.yaml"'


def read_marks(definition: pytest.Function, *, planned: bool) -> Marked:
    """Return what the marks of a function come to; those nearer to it win, argument by argument.

    Args:
        definition: the function.
        planned: it takes replies that are asked before it is run.

    Raises:
        SuiteFaults: they cannot be used; every fault is named, with its line and its remedy.
    """
    function = unwrap(definition.function)
    root, path = definition.config.rootpath.resolve(), definition.path.resolve()
    place = Place(
        session=definition.session,
        source=SuiteSource(root=root, path=path),
        function=function,
        name=definition.nodeid.partition("::")[2],
        lines=lines_of(function),
    )
    given = _given(place, definition)
    mark = _read(place, given)
    # Where the suite itself is no path, what it would say of the other arguments is not known.
    known = SUITE not in given or mark.suite is not None
    suite = named_suite(place, mark) if known else None
    if suite is None:
        raise SuiteFaults(place.source.name(path), place.source.faults)
    return marked(place, mark, suite, planned=planned)


def _given(place: Place, definition: pytest.Function) -> dict[str, Any]:
    """Return the arguments of all marks, those nearer to the function in place of others."""
    given: dict[str, Any] = {}
    for mark in reversed([*definition.iter_markers("ftgate")]):
        if len(mark.args) > 1:
            told = "a mark names one suite file; a function for two takes two functions"
            place.say(SUITE, told)
        given |= [(SUITE, one) for one in mark.args[:1]]
        given |= mark.kwargs
    return given


def _read(place: Place, given: dict[str, Any]) -> Mark:
    """Return the arguments; what is wrong is said and left out, and the rest is read on."""
    try:
        return Mark.model_validate(given)
    except ValidationError as error:
        known = tuple(key for key in keys_of(Mark) if key != SUITE)
        wrong = {str(one["loc"][0]): one for one in reversed(error.errors())}
        for key, one in wrong.items():
            told = sentence({**one, "loc": one["loc"][:1]}, known, None)
            told = told.replace("unknown key", "unknown argument")
            place.say(key, _NO_FILE.format(one["input"]) if key == SUITE else told)
        return Mark.model_validate({key: one for key, one in given.items() if key not in wrong})


_UNJUDGED = (
    "this test is marked with ftgate and is no gate: write it as a function or a method of a plain "
    "class that takes case and reply, with the mark on it before it is collected"
)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Make an item for each variant of a marked function; its faults go to its collector."""
    definition = metafunc.definition
    names = [name for name in NAMES if name in metafunc.fixturenames]
    if not {"reply", "ask"} & {*names}:
        # A class or a module may be marked though not every test of it marks replies.
        if "ftgate" in metafunc.fixturenames or not _is_marked_itself(definition):
            return
        names = []
    try:
        _refuse(definition, names)
        marked = read_marks(definition, planned="reply" in names)
    except SuiteFaults as error:
        parent = definition.parent
        if parent is not None:
            parent.stash.setdefault(faults_key, []).extend(error.faults)
        return
    given = [
        pytest.param(*(Slot(name, marked, variant) for name in names), id=variant.name)
        for variant in marked.variants
    ]
    metafunc.parametrize(names, given)


def _is_marked_itself(definition: pytest.Function) -> bool:
    return any(mark.name == "ftgate" for mark in definition.own_markers)


def _refuse(definition: pytest.Function, names: list[str]) -> None:
    """Refuse a function that could not be run.

    Raises:
        SuiteFaults: it takes no reply, or takes it from elsewhere.
    """
    taken = {
        one.strip()
        for mark in definition.iter_markers("parametrize")
        for one in _names_of(mark.args[0] if mark.args else mark.kwargs.get("argnames", ()))
    }
    told = ""
    if not names:
        name = definition.name
        told = f"{name} takes neither reply nor ask; write def {name}(case, reply)"
    elif taken & {*names}:
        name = min(taken & {*names})
        told = f"parametrize gives {name}, which the ftgate mark gives too; rename the parameter"
    if told:
        where = SuiteSource(root=definition.config.rootpath, path=definition.path).name(
            definition.path
        )
        line = lines_of(definition.function)[()]
        raise SuiteFaults(where, [Fault(where, line, told)])


def _names_of(written: object) -> list[str]:
    return written.split(",") if isinstance(written, str) else [*map(str, written)]  # type: ignore[call-overload]


def faults_in(collector: pytest.Collector, report: pytest.CollectReport) -> pytest.CollectReport:
    """Fail the collection of what holds marked functions with faults; all are told at once."""
    faults = collector.stash[faults_key]
    report.outcome, report.result = "failed", []
    report.longrepr = str(SuiteFaults(faults[0].path, faults))
    return report


def collected(item: pytest.Item) -> None:
    """Make a gate of an item that a marked function has been parametrised to."""
    slot = slot_of(item)
    if slot is not None and isinstance(item, pytest.Function):
        FunctionGate(item, slot)


def begin(item: pytest.Item) -> None:
    """Before the fixtures of *item* are set up, refuse what would pass unjudged."""
    trial = trial_of(item)
    if trial is not None:
        # An error that comes before any verdict is one of a gate, and counted as such.
        trial.keep("ftgate_gate", item.nodeid)
    elif "ftgate" in getattr(item, "fixturenames", ()):
        item.user_properties.append(("ftgate_used", item.nodeid))
    else:
        pytest.fail(_UNJUDGED, pytrace=False)


def end(item: pytest.Item) -> None:
    """Once its fixtures are set up, ask and mark."""
    gate = gate_of(item)
    if gate is not None:
        gate.setup()


def explain(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Put the verdict in place of the traceback that ended a marked function."""
    gate = gate_of(item)
    stopped = call.excinfo.value if call.excinfo else None
    if gate is not None and isinstance(stopped, Stopped):
        report.longrepr = gate.section
