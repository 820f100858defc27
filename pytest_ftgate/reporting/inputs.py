"""The words of inputs without an expected answer: what is equal, what is labelled, what is open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_ftgate.gates.figure import InputChange
from pytest_ftgate.gates.verdict import Check, Outcome
from pytest_ftgate.reporting.number_text import in_points, quantity


def input_counts(inputs: InputChange, *, turns: bool = False) -> str:
    """Return ``22 of 50 differing inputs labelled, 950 of 1,000 equal, 130 cases``.

    *turns* adds how many of those that are labelled got better and worse.
    """
    cases = [quantity(inputs.cases, "case")] if inputs.cases else []
    if not inputs.differing:
        return ", ".join([f"{quantity(inputs.inputs, 'input')} equal", *cases])
    labelled = inputs.known + inputs.labelled
    text = f"{labelled:,} of {quantity(inputs.differing, 'differing input')} labelled"
    if turns and labelled:
        text += f" ({inputs.better:,} better, {inputs.worse:,} worse)"
    return ", ".join([text, f"{inputs.equal:,} of {inputs.inputs:,} equal", *cases])


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPlan:
    """How many labels a gate takes, so that an unchanged variant passes 9 times in 10.

    Attributes:
        name: the gate with its variant.
        inputs: the number of inputs.
        differing: how many differ: by cached replies, or supposed if not *is_known*.
        needed: the labels; 0 if it passes without any, None if all are too few.
        labelled: how many of them there are.
    """

    name: str
    inputs: int
    differing: int
    needed: int | None
    labelled: int = 0
    is_known: bool = True


def label_plan_text(plan: LabelPlan) -> str:
    """Return in a sentence how many labels a gate takes."""
    inputs, differing = quantity(plan.inputs, "input"), f"{plan.differing:,}"
    if plan.is_known:
        text = f"{plan.name}: {differing} of {inputs} differ by the replies so far"
    else:
        text = f"{plan.name}: how many of {inputs} differ is not known yet; if 5 % do ({differing})"
    if plan.needed is None:
        return (
            f"{text}: even all labels pass an unchanged variant less than 9 times in 10; add inputs"
        )
    if not plan.needed:
        return f"{text}: no label is needed"
    labels = f"{quantity(plan.needed, 'label')} pass an unchanged variant 9 times in 10"
    return f"{text}: {labels}" + (f" ({plan.labelled:,} are there)" if plan.labelled else "")


def input_sentences(check: Check, inputs: InputChange) -> Iterator[str]:
    """Yield the rule of a check of inputs, in sentences with its numbers."""
    yield (
        f"Of {quantity(inputs.inputs, 'input')}, {inputs.equal:,} got equal replies, which cannot "
        "change the result, whatever is right. Equal is not right: this is a difference."
    )
    cases = f" The {quantity(inputs.cases, 'labelled case')} count beside them."
    if inputs.differing:
        yield (
            f"{inputs.known + inputs.labelled:,} of {inputs.differing:,} that differ are labelled; "
            "each of the others is taken to be like those of the random order, and one that lost "
            f"everything is added.{cases * bool(inputs.cases)}"
        )
    if inputs.look:
        yield (
            f"Look {inputs.look} of {inputs.looks} decides at a risk of {check.miss * 100:.2g} % "
            "(O'Brien and Fleming), so that all looks together have one of 5 %."
        )
    elif inputs.differing:
        yield "Before the first look all that differ count as lost."
    limit = in_points(check.limit)
    if check.outcome is Outcome.PASSED:
        yield f"A drop of {limit} is ruled out, so this check passed."
    elif check.outcome is Outcome.FAILED:
        yield f"A drop is shown, and {limit} or more are lost, so it failed."
    else:
        yield f"A drop of {limit} is not ruled out, and none is shown: it is inconclusive."
