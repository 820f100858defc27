"""What the evaluation itself lacks: prompts without a suite, thin labels, gates that are blunt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftgate.plan.asks import varies
from pytest_ftgate.suite.margins import ForgettingGate, RateGate
from pytest_ftgate.suite.model import Suite

if TYPE_CHECKING:
    from pytest_ftgate.advise.parts import Debt

__all__ = ["debt"]

#: A label that is right in all of fewer cases may still be wrong in one of four (0.05^(1/10)).
_FEW = 10
#: A gate that rules out only drops over so much shows nothing useful.
_BLUNT = 0.10
#: Documents that lie beside prompts and are none.
_NO_PROMPTS = ("readme", "changelog", "contributing", "license")


def debt(suite: Suite) -> Debt:
    """Return what the evaluation of *suite* lacks."""
    from pytest_ftgate.advise.parts import Debt

    return Debt(unclaimed=tuple(_unclaimed(suite)), thin=_thin(suite), blunt=dict(_blunt(suite)))


def _unclaimed(suite: Suite) -> Iterator[str]:
    """Yield the files beside the suite's prompts that look like prompts and no suite mentions."""
    prompts = {one.prompt_path for one in suite.variants.values() if one.prompt_path}
    kinds = {(path.parent, path.suffix) for path in prompts}
    for folder, suffix in sorted(kinds):
        near = {suite.path, *folder.glob("*.ftgate.yaml")}
        told = "\n".join(path.read_text("utf-8", errors="replace") for path in sorted(near))
        for path in sorted(folder.glob(f"*{suffix}")):
            own = path.stem.lower() in _NO_PROMPTS or path.name in told
            if path not in prompts and not own and path.is_file():
                yield _shown(path, suite)


def _shown(path: Path, suite: Suite) -> str:
    root = Path(str(suite.path).removesuffix(suite.name))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _thin(suite: Suite) -> dict[str, int]:
    labels = [label for rule in suite.reply.format if rule.kind == "choice" for label in rule.value]
    answers = [one for case in suite.cases for one in _listed(case.expected)]
    times = Counter(one for one in answers if isinstance(one, str))
    return {label: times[label] for label in labels if times[label] < _FEW}


def _listed(expected: object) -> list[object]:
    return list(expected) if isinstance(expected, list) else [expected]


def _blunt(suite: Suite) -> Iterator[tuple[str, float | None]]:
    """Yield the gates that could not clear an unchanged variant of a drop of ten points."""
    from pytest_ftgate.gate.certain import certain

    for variant in suite.variants.values():
        repeats = (suite.repeats or 1) if varies(variant) else None
        for gate in suite.gates_of(variant):
            if not isinstance(gate, RateGate | ForgettingGate) or gate.max_drop is None:
                continue
            if variant.name == suite.baseline:
                continue
            least = certain(suite, gate, variant.name, repeats=repeats).least
            if least is None or least > _BLUNT:
                yield f"{gate.kind}[{variant.name}]", least
