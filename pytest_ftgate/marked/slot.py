"""What stands for case and reply until the function is run: fixtures are set up before that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from pytest_ftgate.gate.looks import Look
from pytest_ftgate.suite.margins import RateGate
from pytest_ftgate.suite.model import Suite, Variant

__all__ = ["NAMES", "Marked", "Slot"]

#: What a marked function may take beside its fixtures.
NAMES = ("case", "reply", "ask")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What the marks of a function come to.

    Attributes:
        suite: whose cases are put to its variants.
        rules: the suite that the function is for the statistics.
        gate: its margins.
        variants: those that it judges.
        look: the cases that it looks at, and how often each is asked.
        planned: it takes replies, which are asked before it is run.
    """

    suite: Suite
    rules: Suite
    gate: RateGate
    variants: tuple[Variant, ...]
    look: Look
    planned: bool


class Slot:
    """The value of ``case``, ``reply`` and ``ask`` that fixtures see.

    Attributes:
        ftgate_marked: the function's marks.
        ftgate_variant: the variant that its item judges.
    """

    def __init__(self, name: str, marked: Marked, variant: Variant) -> None:
        self._name, self.ftgate_marked, self.ftgate_variant = name, marked, variant

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"{self._name}.{name} is not known here: a fixture is set up once for all cases of a "
            "test marked with ftgate; read it in the test function itself"
        )

    def __repr__(self) -> str:
        return f"<{self._name} of {self.ftgate_variant.name}>"
