"""Which gates run, in which order; and the plan, where only that is asked for."""

from __future__ import annotations

import pytest

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.plugin.item import gates_of, judged_of
from pytest_ftgate.runner.session import session_key
from pytest_ftgate.settings import Settings

__all__ = ["arrange", "show_plan"]


def arrange(config: pytest.Config, settings: Settings, items: list[pytest.Item]) -> None:
    """Put gates after ordinary tests, and deselect the variants that were not named."""
    gates = [(item, judged) for item in items if (judged := judged_of(item))]
    named = {judged.variant.name for _, judged in gates}
    known = {name for _, judged in gates for name in judged.suite.variants}
    for name in settings.variants if gates else ():
        if name not in named:
            stranger = f"is in no suite{did_you_mean(name, known)}"
            reason = "is not gated" if name in known else stranger
            raise pytest.UsageError(f'--ftgate-variant: "{name}" {reason}')
    chosen = settings.variants or named
    wanted = [item for item, judged in gates if judged.variant.name in chosen]
    dropped = [item for item, judged in gates if judged.variant.name not in chosen]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
    items[:] = [*(item for item in items if not judged_of(item)), *wanted]


def show_plan(session: pytest.Session) -> None:
    """Print what would be asked and what it could show."""
    from pytest_ftgate.reporting.plan import leak_lines, planned, power_lines
    from pytest_ftgate.runner.preview import estimates, lacks, leaks, lints, powers

    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    gates = gates_of(session.items)
    own = session.config.stash[session_key]
    reporter.section("ftgate plan")
    if not gates:
        reporter.write_line("no gate was collected, and nothing is asked")
        return
    asked = planned(*estimates(own, gates))
    told = (*asked, *leak_lines(leaks(gates)), *lints(own, gates), *lacks(gates))
    for line in (*told, "", *power_lines(powers(own, gates)), *dict.fromkeys(own.told)):
        reporter.write_line(line)
