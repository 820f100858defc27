"""A loaded suite as a run evaluates it: with the settings of the run, and limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pytest_ftgate.gates.feasibility import exclude_unrunnable_skills, with_default_limits
from pytest_ftgate.runner.exam import check_accepted_limits
from pytest_ftgate.runner.session import Session
from pytest_ftgate.suite.cases import equal_inputs
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.safe_mode import check_safe
from pytest_ftgate.suite.variants import with_batching


def prepare_suite(session: Session, suite: Suite) -> Suite:
    """Return *suite* with the settings of *session*, and load the replies committed beside it.

    Raises:
        SuiteError: the committed replies or the accepted record cannot be read, or a gate has too
            few cases for a default limit; or safe mode does not allow what the suite names.
    """
    if session.settings.safe:
        check_safe(suite, session.settings.root)
    suite = exclude_unrunnable_skills(suite)
    suite = with_batching(suite) if session.settings.batch else suite
    session.use_committed_replies(suite)
    session.user_messages += _messages(session, suite)
    suite = with_default_limits(suite, session.accepted_limits(suite))
    check_accepted_limits(session, suite)
    if suite.repeats is None:
        from pytest_ftgate.gates.power import needed_repeats  # imports SciPy

        suite = replace(suite, repeats=needed_repeats(suite))
    session.suites.append(suite)
    return suite


def _messages(session: Session, suite: Suite) -> Iterator[str]:
    """Yield what is probably a mistake in *suite*, and which of its cases count as one."""
    typed, same = session.settings.typed, equal_inputs(suite.cases)
    yield from (str(replace(one, path=typed(one.path))) for one in suite.warnings)
    if same:
        yield f"{typed(suite.name)}: {same}"
