"""The sentence and the command of a next step, made of its values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.gates.units import points, quantity, unsigned_points
from pytest_ftgate.reporting.headlines import not_measured_text

_Values = Mapping[str, Any]

#: The remedy for a kind of format error, by default a change of the prompt.
_FORMAT_REMEDIES = {
    "truncated": "raise max_tokens, or ask for shorter replies",
    "refusal": "read what the model refused",
    "fenced": "ask for the bare answer without a code fence, or restrict the model to a schema",
    "preamble": "ask for the answer and nothing else",
    "trailing text": "ask for the answer and nothing else",
    "wrong label casing": "show the labels in the required spelling",
    "repetition loop": "ask for shorter replies, or raise the temperature",
}


def step_line(step: NextStep) -> str:
    """Return sentence and command in one line."""
    command = step_command(step)
    return f"{step_text(step)}: {command}" if command else step_text(step)


def step_text(step: NextStep) -> str:
    """Return the sentence of a step, without its command."""
    sentence = _SENTENCES[step.kind]
    return sentence if isinstance(sentence, str) else sentence(step.values)


def step_command(step: NextStep) -> str:
    """Return the command that does the step, or ""."""
    command = _COMMANDS.get(step.kind, "")
    return command.format_map(step.values)


def _settle(values: _Values) -> str:
    parts = ["run again for the missing replies, or record them"] if values.get("missing") else []
    return "; ".join([*parts, *_settle_parts(values, "cases", "drop")]) or "more cases are needed"


def _settle_skills(values: _Values) -> str:
    return "; ".join(_settle_parts(values, "skills cases", "mean loss"))


def _settle_parts(values: _Values, cases: str, loss: str) -> Iterator[str]:
    """Yield what the cases can show, and what would settle the check, the best remedy first."""
    if "certifiable" in values:
        yield (
            f"{values['n']} {cases} cannot rule out a {loss} of {_share(values, 'limit')} points "
            f"(they can show {_share(values, 'certifiable')}: {_setting(values)})"
        )
    if "repeats" in values:
        yield f"{values['setting']}{values['repeats']} settles it, since replies vary"
    if "needed" in values:
        needed = quantity(values["needed"], "more case")
        yield f"{'or ' if 'repeats' in values else ''}about {needed} would settle it"


def _settle_skill(values: _Values) -> str:
    low, high = (points(values[key]) for key in ("low", "high"))
    return (
        f"{values['n']} cases of {values['skill']} cannot rule out a loss of "
        f"{_share(values, 'margin')} points (they leave {low} to {high}); allow more, or add cases"
    )


def _share(values: _Values, key: str) -> str:
    return unsigned_points(values[key])


def _setting(values: _Values) -> str:
    """Return the largest allowed drop that the cases can show, as it is written."""
    return f"max_drop: {values['certifiable']:g}"


def _read_must_pass(values: _Values) -> str:
    repeated = ", also when repeated" if values["repeated"] else ""
    return f"a must-pass case is wrong{repeated}; it is the first of the regressed cases"


def _fix_format(values: _Values) -> str:
    kind, count = values["format_error"], values["replies"]
    remedy = _FORMAT_REMEDIES.get(kind, "change the prompt")
    return f"the most common format error is “{kind}” ({count} replies); {remedy}"


def _train_again(values: _Values) -> str:
    return (
        f"do not ship {values['variant']} as it is: mix general data into its training set, train "
        "for fewer epochs, lower the learning rate or the rank, or go back to the last one that "
        "passed (docs/forgetting.md)"
    )


def _request_to_measure(values: _Values) -> str:
    remedy = "request all of them again to measure it: --ftgate-replies=fresh"
    return f"{not_measured_text(values)}; {remedy}"


_SENTENCES: Mapping[StepKind, str | Callable[[_Values], str]] = {
    StepKind.ADD_MINIMUM: "nothing to compare with yet: macro-F1 is compared with the baseline "
    "alone; add min: to evaluate this one",
    StepKind.ACCEPT: "nothing to compare with yet; accept this run with --ftgate-accept",
    StepKind.REQUEST_BOTH_AGAIN: "request all replies again, so that both sides are current: "
    "--ftgate-replies=fresh",
    StepKind.REQUEST_TO_MEASURE: _request_to_measure,
    StepKind.DECLARE_MINIMUM: "declare a minimum (min:): this comparison cannot show a drop",
    StepKind.DECLARE_LIMIT: "declare a limit of its own, since the comparison cannot show anything",
    StepKind.SETTLE: _settle,
    StepKind.SETTLE_SKILLS: _settle_skills,
    StepKind.SETTLE_SKILL: _settle_skill,
    StepKind.READ_MUST_PASS: _read_must_pass,
    StepKind.READ_REGRESSED: "read the regressed cases; if the drop is intended, accept it in a "
    "reviewed change",
    StepKind.SHOW_REGRESSED: "all regressed cases",
    StepKind.FIX_FORMAT: _fix_format,
    StepKind.FIX_TRAINING_DATA: lambda values: str(values["remedy"]),
    StepKind.LOWER_USAGE: "choose a smaller model or a shorter prompt, or raise the limit in a "
    "reviewed change",
    StepKind.TRAIN_AGAIN: _train_again,
    StepKind.KEEP_THOUGHTS: "train on answers that keep the thoughts of the base; if the change is "
    "intended, raise the limit under thoughts: in a reviewed change",
    StepKind.IMPROVE_JUDGE: "sharpen the rubric, or take a stronger judge; pytest-ftgate labels "
    "writes replies to label",
}
_COMMANDS = {StepKind.SHOW_REGRESSED: 'pytest --ftgate -vv "{node}"'}
