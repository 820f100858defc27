"""Other plugins are told of verdicts as they are reached, and of the run at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from pytest_ftgate.run.offered import giver_of

__all__ = ["Observers"]


class Observers:
    """A plugin object of the process that reports.

    What a plugin does with what it is told is its own: where it breaks, that is said, and neither
    the verdicts nor the exit code change.

    Args:
        config: of the run.
        say: takes a sentence that the user should read.
    """

    def __init__(self, config: pytest.Config, say: Callable[[Iterable[str]], None]) -> None:
        self._config, self._say = config, say

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell of the verdict that a test has reached."""
        told = dict(report.user_properties).get("ftgate")
        reached = report.when == "call" or report.failed
        ended = report.outcome in ("passed", "failed", "skipped")
        if told is None or not reached or not ended or not self._are_there("verdict"):
            return
        from pytest_ftgate.record.verdicts import verdict_from_json

        self._tell("verdict", verdict=verdict_from_json(str(told)), nodeid=report.nodeid)

    def tell_run(self, report: Any) -> None:
        """Tell of the whole run."""
        self._tell("reporters", report=report)

    def _are_there(self, name: str) -> bool:
        return bool(getattr(self._config.hook, f"pytest_ftgate_{name}").get_hookimpls())

    def _tell(self, name: str, **given: Any) -> None:
        given["config"] = self._config
        for one in getattr(self._config.hook, f"pytest_ftgate_{name}").get_hookimpls():
            try:
                one.function(**{key: given[key] for key in one.argnames})
            except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:  # noqa: BLE001 - it may be any
                giver = giver_of(one.plugin_name, self._config.rootpath)
                what = f"{type(error).__name__}: {error}"
                self._say([f"pytest_ftgate_{name} of {giver} broke: {what}"])
