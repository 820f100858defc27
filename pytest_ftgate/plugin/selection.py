"""Which gates run, in which order; and the plan, where only that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pytest

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.plugin.item import gate_run_of
from pytest_ftgate.plugin.patching import patching_key
from pytest_ftgate.plugin.state import is_marked_as_gate, session_key, settings_key, uses_fixture
from pytest_ftgate.runner.planner import GateRun
from pytest_ftgate.runner.session import Session
from pytest_ftgate.settings import Settings

#: Of a worker of pytest-xdist: why the command line cannot be used.
usage_error_key = pytest.StashKey[str]()


def arrange_items(config: pytest.Config, settings: Settings, items: list[pytest.Item]) -> None:
    """Put gates after ordinary tests, and deselect variants that ``--ftgate-variant`` omits.

    Raises:
        pytest.UsageError: a named variant is in no suite, or has no gates; a named case is in no
            suite. A worker of pytest-xdist, which must not raise it, notes it and runs nothing.
    """
    try:
        arrange = _keep_cases if settings.cases else _arrange_gates
        arrange(config, settings, items)
    except pytest.UsageError as error:
        if not hasattr(config, "workerinput"):
            raise
        config.stash[usage_error_key], items[:] = str(error), []


def _keep_cases(config: pytest.Config, settings: Settings, items: list[pytest.Item]) -> None:
    """Keep the items that run a single case of a chosen variant.

    Raises:
        pytest.UsageError: a case is in no suite.
    """
    from pytest_ftgate.plugin.cases import case_variant, unknown_case_error

    if error := unknown_case_error(config):
        raise pytest.UsageError(error)
    chosen = [
        item
        for item in items
        if (variant := case_variant(item))
        and (not settings.variants or variant in settings.variants)
    ]
    deselected = [item for item in items if item not in chosen]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
    items[:] = chosen


def _arrange_gates(config: pytest.Config, settings: Settings, items: list[pytest.Item]) -> None:
    gates = [(item, gate_run) for item in items if (gate_run := gate_run_of(item))]
    gated = {gate_run.variant.name for _, gate_run in gates}
    known = {name for _, gate_run in gates for name in gate_run.suite.variants}
    for name in settings.variants if gates else ():
        if name not in gated:
            unknown = f"is in no suite{did_you_mean(name, known)}"
            reason = "is not gated" if name in known else unknown
            raise pytest.UsageError(f'--ftgate-variant: "{name}" {reason}')
    chosen = settings.variants or gated
    selected = [item for item, gate_run in gates if gate_run.variant.name in chosen]
    deselected = [item for item, gate_run in gates if gate_run.variant.name not in chosen]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
    others = [item for item in items if not gate_run_of(item)]
    early = _early_gates(config, [*others, *selected])
    items[:] = [*early, *others, *(item for item in selected if item not in early)]


def _early_gates(config: pytest.Config, items: list[pytest.Item]) -> Mapping[pytest.Item, GateRun]:
    """Return the gates that call functions, if fixtures of other items would still stand then.

    Such a fixture may have patched the function, so these gates come before all fixtures.
    """
    gates = ((item, gate_run) for item in items if (gate_run := gate_run_of(item)))
    early = {
        item: gate_run
        for item, gate_run in gates
        if gate_run.suite.calls_code and not gate_run.suite.only_for
    }
    files, patching = {item.path for item in early}, config.stash[patching_key]
    is_needed = bool(early) and any(patching.outlives_its_test(item, files) for item in items)
    return early if is_needed else {}


def gate_nodes(items: list[pytest.Item]) -> list[str]:
    """Return the node ids of the gates among *items*, and of tests marked as one that are none."""
    return [
        item.nodeid
        for item in items
        if gate_run_of(item) or (is_marked_as_gate(item) and not uses_fixture(item))
    ]


def show_plan(session: pytest.Session) -> None:
    """Print the plan: requests, costs, and what the gates can show.

    The session fails if a run could not evaluate a gate.
    """
    from pytest_ftgate.reporting.text import break_command
    from pytest_ftgate.runner.preflight import blocked_gates

    run, settings = session.config.stash[session_key], session.config.stash[settings_key]
    items = [(item, gate_run) for item in session.items if (gate_run := gate_run_of(item))]
    blocked = blocked_gates(run, {settings.typed(item.nodeid): gate for item, gate in items})
    session.testsfailed += sum(map(len, blocked.values()))
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    reporter.section("ftgate plan")
    if not items:
        reporter.write_line("no gate was collected, so the run would send no request")
        return
    gate_runs = [gate_run for _, gate_run in items]
    for line in _plan_lines(run, gate_runs, blocked, _patched_lines(session)):
        reporter.write_line(break_command(line))


def _plan_lines(
    run: Session,
    gate_runs: Sequence[GateRun],
    blocked: Mapping[str, Sequence[str]],
    patched: Iterable[str],
) -> Iterator[str]:
    from pytest_ftgate.reporting import plan
    from pytest_ftgate.runner import plan as preview

    yield from plan.plan_lines(*preview.estimate_variants(run, gate_runs, told=blocked))
    yield from preview.adapter_lines(gate_runs)
    yield from plan.contamination_lines(preview.contaminations(gate_runs))
    yield from preview.variant_lines(run, gate_runs)
    yield from patched
    yield from preview.coverage_lines(gate_runs)
    yield ""
    notes = preview.limit_lines(gate_runs)
    yield from plan.power_lines(preview.power_estimates(run, gate_runs), notes)
    yield from dict.fromkeys(run.replies.user_messages)
    if blocked:
        yield from plan.blocked_lines(blocked, len(gate_runs))


def _patched_lines(session: pytest.Session) -> Iterator[str]:
    """Yield a line for each test that makes replies of functions under its own fixtures."""
    from pytest_ftgate.plugin.marked.item import function_gate_of

    lines = {
        gate_run.suite.only_for: session.config.stash[patching_key].names(gate.patches)
        for item in session.items
        if (gate := function_gate_of(item)) and (gate_run := gate.state.gate_run).suite.only_for
    }
    for test, fixtures in lines.items():
        yield f"  python: called in every run for {test} alone:"
        yield f"    {fixtures} may patch the function"
