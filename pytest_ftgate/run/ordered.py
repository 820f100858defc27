"""The order in which the calls of a plan are asked, where other plugins have a say in it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_ftgate.errors import Unavailable
from pytest_ftgate.plan.call import Call
from pytest_ftgate.run.offered import broken

__all__ = ["ordered"]


def ordered(config: pytest.Config, calls: Iterable[Call]) -> Iterable[Call]:
    """Return *calls* in the order that plugins want; what they take out is asked when needed.

    Raises:
        Unavailable: one breaks, or puts in what nobody asks.
    """
    hook = config.hook.pytest_ftgate_plan_modifyitems
    if not hook.get_hookimpls():
        return calls
    planned = {call.fingerprint: call for call in calls}
    items = [*planned.values()]
    try:
        hook(config=config, items=items)
    except Exception as error:
        raise Unavailable(str(broken("plan_modifyitems", error, config.rootpath))) from error
    if any(planned.get(call.fingerprint) is not call for call in items):
        raise Unavailable("pytest_ftgate_plan_modifyitems may order calls, not add or change any")
    return items
