"""On which inputs two variants of a suite differ by what the cache has, or two files of replies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.gates.design import LAST_LOOK_MISS
from pytest_ftgate.gates.disagreements import (
    Disagreements,
    draw_pairs,
    find_disagreements,
    known_truths,
)
from pytest_ftgate.gates.kinds import pools_inputs
from pytest_ftgate.readers.answers import Answers
from pytest_ftgate.reporting.inputs import LabelPlan, label_plan_text
from pytest_ftgate.runner.compare_files import read_compared
from pytest_ftgate.runner.plan import known_replies
from pytest_ftgate.runner.planner import GateRun, full_look
from pytest_ftgate.runner.session import Session
from pytest_ftgate.scoring.scores import VariantScores, score_replies
from pytest_ftgate.stats.differing import labels_needed
from pytest_ftgate.suite.model import Inputs, Suite, Variant


def cached_disagreements(session: Session, suite: Suite, variant: Variant) -> Disagreements:
    """Return on which inputs the cached replies of *variant* and of the baseline differ.

    Raises:
        ConfigurationError: the suite has no inputs, or the cache lacks the replies.
    """
    typed = session.settings.typed(suite.name)
    if suite.inputs is None:
        raise ConfigurationError(
            f"{typed} has no inputs; write inputs: FILE, with what production was asked"
        )
    baseline, own = (
        _cached_scores(session, suite, side) for side in (suite.variants[suite.baseline], variant)
    )
    found = find_disagreements(suite.inputs, baseline, own)
    if not found.inputs:
        raise ConfigurationError(
            f"{session.settings.cache} has no replies of {suite.baseline} and {variant.name} to "
            f"the inputs; run pytest --ftgate {typed} first"
        )
    return found


#: The share of inputs that differ, as long as no reply shows it.
_SUPPOSED_SHARE = 0.05


def label_plan_lines(session: Session, gates: Iterable[GateRun]) -> Iterator[str]:
    """Yield how many labels each gate takes that reads inputs."""
    for run in gates:
        suite, gate = run.gate_suite, run.gate
        if suite.inputs is None or not pools_inputs(suite, gate, run.variant):
            continue
        cases, inputs = len(gate.evaluated_cases(suite.cases)), len(suite.inputs.cases)
        try:
            found = cached_disagreements(session, suite, run.variant)
        except ConfigurationError:
            found = None
        differing = len(found.differing) if found else round(_SUPPOSED_SHARE * inputs)
        limit, alpha = gate.max_drop or 0.0, LAST_LOOK_MISS
        plan = LabelPlan(
            name=f"{gate.name}[{run.variant.name}]",
            inputs=inputs,
            differing=differing,
            needed=labels_needed(cases + inputs, differing, limit, alpha=alpha),
            labelled=_labelled(suite.inputs, found) if found else 0,
            is_known=found is not None,
        )
        yield label_plan_text(plan)


def _labelled(inputs: Inputs, found: Disagreements) -> int:
    draw = draw_pairs(inputs, found)
    truths = known_truths(inputs.labels, inputs.version)
    return len(draw.known) + len(draw.labelled(truths))


def _cached_scores(session: Session, suite: Suite, variant: Variant) -> VariantScores:
    asked = session.built.task(suite.inputs_suite, variant, full_look(suite))
    replies = known_replies(session, variant.name, asked, only_cached=True)
    # Those of a run that was stopped are a part: the other inputs are missing, and no error.
    cached = [one for one in asked if one.fingerprint in replies]
    return score_replies(variant.name, cached, replies, suite.path.parent)


def file_disagreements(
    base: Answers,
    candidate: Answers,
    labels: str | Path,
    *,
    scorer: str | Mapping[str, Any] | None = None,
    by_line: bool = False,
    **columns: Any,
) -> tuple[Inputs, Disagreements]:
    """Return the inputs of two files, and on which of them their replies differ.

    The inputs are the rows without an expected answer and a score. *labels* is their file of
    labels, which need not exist. The other arguments are those of `compare`; *columns* are ``id``,
    ``input``, ``reply``, ``expected`` and ``score``.

    Raises:
        FtgateError: a file cannot be read, nothing pairs, or every row has an answer.
    """
    named = {role: path for role, path in columns.items() if path}
    read = read_compared(
        base, candidate, named=named, scorer=scorer, by_line=by_line, labels=labels
    )
    suite = read.compared.suite
    if suite.inputs is None:
        raise ConfigurationError(
            f"{suite.name}: every row has an expected answer or a score, so nothing is left to "
            "label; compare them without --labels"
        )
    sides = (read.compared.scores(name, suite.inputs_suite) for name in suite.variants)
    return suite.inputs, find_disagreements(suite.inputs, *sides)
