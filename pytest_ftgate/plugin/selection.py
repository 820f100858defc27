"""Which gates run, in which order; and the plan, where only that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pytest

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.plugin.item import gates_in
from pytest_ftgate.plugin.patching import patching_key, variant_scope
from pytest_ftgate.plugin.state import is_marked_as_gate, session_key, settings_key, uses_fixture
from pytest_ftgate.plugin.suites import override_error
from pytest_ftgate.reporting.text import break_command
from pytest_ftgate.runner.planner import GateRun
from pytest_ftgate.runner.session import Session
from pytest_ftgate.settings import Settings

#: Of a worker of pytest-xdist: why the command line cannot be used.
usage_error_key = pytest.StashKey[str]()


def arrange_items(config: pytest.Config, settings: Settings, items: list[pytest.Item]) -> None:
    """Put gates after ordinary tests, and deselect variants that ``--ftgate-variant`` omits.

    Raises:
        pytest.UsageError: a named variant is in no suite, or has no gates; a named case, or the
            variant of a key that is set, is in no suite. A worker of pytest-xdist, which must not
            raise it, notes it and runs nothing.
    """
    choose = _chosen_cases if settings.cases else _arranged_gates
    try:
        chosen = choose(config, settings, items)
    except pytest.UsageError as error:
        if not hasattr(config, "workerinput"):
            raise
        config.stash[usage_error_key], items[:] = str(error), []
        return
    kept = {*chosen}
    if deselected := [item for item in items if item not in kept]:
        config.hook.pytest_deselected(items=deselected)
    items[:] = chosen


def _chosen_cases(
    config: pytest.Config, settings: Settings, items: Sequence[pytest.Item]
) -> list[pytest.Item]:
    """Return the items that run a single case of a chosen variant.

    Raises:
        pytest.UsageError: a case is in no suite.
    """
    from pytest_ftgate.plugin.cases import case_variant, unknown_case_error

    if error := override_error(config) or unknown_case_error(config):
        raise pytest.UsageError(error)
    return [
        item
        for item in items
        if (variant := case_variant(item))
        and (not settings.variants or variant in settings.variants)
    ]


def _arranged_gates(
    config: pytest.Config, settings: Settings, items: Sequence[pytest.Item]
) -> list[pytest.Item]:
    if error := override_error(config):
        raise pytest.UsageError(error)
    gates = gates_in(items)
    gated = {name for gate_run in gates.values() for name in gate_run.names}
    variants = [one for run in gates.values() for one in run.suite.variants.values()]
    known = {name for one in variants for name in (one.name, one.declared_name)}
    for name in settings.variants if gates else ():
        if name not in gated:
            unknown = f"is in no suite{did_you_mean(name, known)}"
            reason = "is not gated" if name in known else unknown
            raise pytest.UsageError(f'--ftgate-variant: "{name}" {reason}')
    chosen = {*(settings.variants or gated)}
    selected = _by_variant({i: run for i, run in gates.items() if not chosen.isdisjoint(run.names)})
    others = [item for item in items if item not in gates]
    early = _early_gates(config, [*others, *selected])
    return [*early, *others, *(item for item in selected if item not in early)]


#: The node at whose end pytest undoes a fixture, by its scope.
_NODES: Mapping[str, type[pytest.Collector]] = {
    "session": pytest.Session,
    "package": pytest.Package,
    "module": pytest.Module,
    "class": pytest.Class,
}


def _by_variant(gates: Mapping[pytest.Item, GateRun]) -> list[pytest.Item]:
    """Return *gates* so that a fixture of a wide scope is set up once for each variant it takes.

    The baseline comes first: others compare with its replies, which its server must bring.
    """
    first: dict[tuple[object, ...], int] = {}

    def rank(numbered: tuple[int, tuple[pytest.Item, GateRun]]) -> tuple[int, ...]:
        number, (item, gate_run) = numbered
        scope, name = variant_scope(item), gate_run.variant.name
        if scope is None:
            return (number,)
        node, suite = item.getparent(_NODES[scope]), gate_run.suite
        keys = ((node,), (node, name), (node, suite.name))
        place, variant, group = (first.setdefault(key, number) for key in keys)
        return place, name != suite.baseline, variant, group

    ranked = sorted((rank(one), one[0], one[1][0]) for one in enumerate(gates.items()))
    return [item for *_, item in ranked]


def _early_gates(config: pytest.Config, items: list[pytest.Item]) -> Mapping[pytest.Item, GateRun]:
    """Return the gates that call functions, if fixtures of other items would still stand then.

    Such a fixture may have patched the function, so these gates come before all fixtures.
    """
    early = {
        item: gate_run
        for item, gate_run in gates_in(items).items()
        if gate_run.suite.calls_code and not gate_run.suite.only_for
    }
    files, patching = {item.path for item in early}, config.stash[patching_key]
    is_needed = bool(early) and any(patching.outlives_its_test(item, files) for item in items)
    return early if is_needed else {}


def gate_nodes(items: Sequence[pytest.Item]) -> list[str]:
    """Return the node ids of the gates among *items*, and of tests marked as one that are none."""
    gates = gates_in(items)
    return [
        item.nodeid
        for item in items
        if item in gates or (is_marked_as_gate(item) and not uses_fixture(item))
    ]


def show_plan(session: pytest.Session) -> None:
    """Print the plan: requests, costs, and what the gates can show.

    The session fails if a run could not evaluate a gate.
    """
    from pytest_ftgate.runner.preflight import blocked_gates

    run, settings = session.config.stash[session_key], session.config.stash[settings_key]
    gates = gates_in(session.items)
    named = {settings.typed(item.nodeid): gate_run for item, gate_run in gates.items()}
    blocked = blocked_gates(run, named)
    session.testsfailed += sum(map(len, blocked.values()))
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    reporter.section("ftgate plan")
    if not gates:
        reporter.write_line("no gate was collected, so the run would send no request")
        return
    patched = _patched_lines(session.config, gates)
    for line in _plan_lines(run, [*gates.values()], blocked, patched):
        reporter.write_line(break_command(line))


def _plan_lines(
    run: Session,
    gate_runs: Sequence[GateRun],
    blocked: Mapping[str, Sequence[str]],
    patched: Iterable[str],
) -> Iterator[str]:
    from pytest_ftgate.reporting import checkpoints, plan, tables
    from pytest_ftgate.results.builder import shown_overrides
    from pytest_ftgate.runner import plan as preview

    estimates, problems = preview.estimate_variants(run, gate_runs, told=blocked)
    yield from filter(None, [tables.override_line(shown_overrides(run.settings))])
    yield from plan.plan_lines(estimates, problems, run.settings.max_usd)
    found = (run.variant.checkpoint for run in gate_runs)
    yield from checkpoints.planned_lines(one for one in found if one)
    yield from preview.adapter_lines(gate_runs)
    yield from plan.contamination_lines(preview.contaminations(gate_runs))
    yield from preview.variant_lines(run, gate_runs)
    yield from patched
    yield from preview.coverage_lines(gate_runs)
    yield ""
    notes = [*preview.limit_lines(gate_runs)]
    if any(one.suite.inputs for one in gate_runs):
        from pytest_ftgate.runner.labelling import label_plan_lines

        notes += label_plan_lines(run, gate_runs)
    yield from plan.power_lines(preview.power_estimates(run, gate_runs), notes)
    yield from dict.fromkeys(run.replies.user_messages)
    if blocked:
        yield from plan.blocked_lines(blocked, len(gate_runs))


def _patched_lines(config: pytest.Config, gates: Mapping[pytest.Item, GateRun]) -> Iterator[str]:
    """Yield a line for each test that makes replies of functions under its own fixtures."""
    patching = config.stash[patching_key]
    lines = {
        gate_run.suite.only_for: patching.names(patching.of_item(item))
        for item, gate_run in gates.items()
        if gate_run.suite.only_for
    }
    for test, fixtures in lines.items():
        yield f"  python: called in every run for {test} alone:"
        yield f"    {fixtures} may patch the function"
