"""The words of a next step, made of its values: what to do, why, where, and the command."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pytest_ftgate.gates.number_text import percent, points, quantity, unsigned_points
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.settings import docs_page

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


class StepWords(NamedTuple):
    """A next step in words.

    Attributes:
        text: what to do.
        remark: why, or what it brings; "" if the text says it all.
        where: the file, with the line to edit; or "".
        command: the command that does it; or "".
    """

    text: str
    remark: str = ""
    where: str = ""
    command: str = ""


def step_line(step: NextStep) -> str:
    """Return sentence and command in one line."""
    command = step_command(step)
    return f"{step_text(step)}: {command}" if command else step_text(step)


def step_text(step: NextStep) -> str:
    """Return the sentence of a step, without its command."""
    words = step_words(step)
    remark = f" ({words.remark})" if words.remark else ""
    return words.text + remark + (f", in {words.where}" if words.where else "")


def step_command(step: NextStep) -> str:
    """Return the command that does the step, or ""."""
    return step_words(step).command


def step_words(step: NextStep) -> StepWords:
    """Return the words of a step."""
    return _WORDS[step.kind](step.values)


def gate_command(path: str, *options: str) -> str:
    """Return the command that evaluates the gates of a file, or one gate by its node id."""
    quoted = path if re.fullmatch(r"[\w./\\~-]*", path) else f'"{path}"'
    return " ".join(filter(None, ["pytest --ftgate", *options, quoted]))


def _run_again(values: _Values) -> StepWords:
    missing = quantity(values["missing"], "reply")
    remark = f"{missing} missing; those that came are cached"
    options = [values["option"]] if "option" in values else []
    return StepWords("run again", remark, command=gate_command(values.get("suite", ""), *options))


def _add_replies(values: _Values) -> StepWords:
    missing = quantity(values["missing"], "missing reply")
    remark = "no run can bring them, since the variant is recorded"
    return StepWords(f"add the {missing} to {values['file']}", remark)


def _settle(values: _Values) -> StepWords:
    remark = f"up to {values['repeats']} replies to a case, as long as it is inconclusive"
    return StepWords(f"add {values['setting']}", remark, values.get("where", ""))


def _add_cases(values: _Values) -> StepWords:
    cases = quantity(values["needed"], values["cases"])
    return StepWords(f"add about {cases}", "settles it 9 times in 10, if they behave like these")


def _set_limit(values: _Values) -> StepWords:
    return StepWords(f"set {values['setting']}", "these replies pass it", values.get("where", ""))


def _repeat_baseline(values: _Values) -> StepWords:
    rates = f"{percent(values['passes'])} of runs, now {percent(values['now'])}"
    remark = f"requested once; an unchanged variant then passes in {rates}"
    return StepWords(
        f"add repeats: {{baseline: {values['repeats']}}}", remark, values.get("where", "")
    )


def _accept_run(values: _Values) -> StepWords:
    option = "--ftgate-accept-anchor" if values["anchor"] else "--ftgate-accept"
    remark = "if the change is intended; commit the record"
    # What is to be accepted has failed.
    command = gate_command(values.get("suite", ""), option, "--ftgate-accept-failed")
    return StepWords("accept this run", remark, command=command)


def _make_baseline(values: _Values) -> StepWords:
    remark = "if the change is intended; later variants are compared with it"
    return StepWords(f"set baseline: {values['variant']}", remark, values.get("where", ""))


def _check_cause(values: _Values) -> StepWords:
    return StepWords(f"check a likely cause: {values['cause']}")


def _ship_other(values: _Values) -> StepWords:
    gates = quantity(values["gates"], "gate")
    passes = f"it passes its {gates} in this run" if values["gates"] > 1 else "it passes its gate"
    verb = "keep" if values["is_baseline"] else "ship"
    leave_out = f"set gated: false for {values['for']}"
    return StepWords(f"{verb} {values['variant']}: {passes}", leave_out, values.get("where", ""))


def _check_identity(values: _Values) -> StepWords:
    if values["claims"] == "adapter":
        text = "check that the adapter is loaded: its path, the server's --enable-lora, and the "
        return StepWords(
            f"{text}model name that is requested; or that the merged weights are served"
        )
    return StepWords("check which model the server serves, or declare it: served_model:")


def _settle_skill(values: _Values) -> StepWords:
    low, high = (points(values[key]) for key in ("low", "high"))
    return StepWords(
        f"raise the limit of {values['skill']} in margins:, or add cases",
        f"its {values['n']} cases leave a change of {low} to {high} possible, and a loss of "
        f"{unsigned_points(values['margin'])} is too much",
    )


def _fix_must_pass(values: _Values) -> StepWords:
    replies = "each of their replies" if values["repeated"] else "their reply"
    remark = f"{replies} must be right; or remove must_pass from them"
    return StepWords(f"fix {values['cases']}", remark)


def _fix_format(values: _Values) -> StepWords:
    kind, count = values["format_error"], values["replies"]
    remedy = _FORMAT_REMEDIES.get(kind, "change the prompt")
    replies = "reply" if count == 1 else "replies"
    of = f" of {values['of']}" if "of" in values else ""
    return StepWords(remedy, f"the most common format error{of} is “{kind}”: {count} {replies}")


def _fix_label(values: _Values) -> StepWords:
    label, other, count = values["label"], values["taken_for"], values["replies"]
    return StepWords(
        f"explain in the prompt how “{label}” differs from “{other}”",
        f"the most common mistake: {count} replies with “{other}” for “{label}”",
    )


def _train_again(_: _Values) -> StepWords:
    remedies = "or train for fewer epochs, at a lower rate or rank"
    return StepWords(f"mix general data into the training set, {remedies}", docs_page("forgetting"))


def _request_to_measure(values: _Values) -> StepWords:
    command = gate_command(values.get("suite", ""), "--ftgate-replies=fresh")
    remark = "the times of cached replies are not those of this run"
    return StepWords("request all replies again", remark, command=command)


def _request_both(values: _Values) -> StepWords:
    command = gate_command(values.get("suite", ""), "--ftgate-replies=fresh")
    return StepWords("request all replies again, so that both sides are current", command=command)


def _improve_judge(values: _Values) -> StepWords:
    remark = "pytest-ftgate labels writes replies to label"
    if "ungraded" in values:
        remark = "the same judge with the same rubric would only repeat its cached replies"
    return StepWords("sharpen the rubric, or take a stronger judge", remark)


def _accept_exam(values: _Values) -> StepWords:
    command = gate_command(values.get("suite", ""), "--ftgate-accept")
    remark = "if this is intended, and commit the record; else restore what decided"
    return StepWords("accept this run", remark, command=command)


def _accept_first(values: _Values) -> StepWords:
    command = gate_command(values.get("suite", ""), "--ftgate-accept")
    return StepWords("accept a run, so that later ones are compared with it", command=command)


_WORDS: Mapping[StepKind, Callable[[_Values], StepWords]] = {
    StepKind.ADD_MINIMUM: lambda values: StepWords(
        "write a min: above 0", where=values.get("where", "")
    ),
    StepKind.ACCEPT: _accept_first,
    StepKind.ACCEPT_EXAM: _accept_exam,
    StepKind.ACCEPT_RUN: _accept_run,
    StepKind.MAKE_BASELINE: _make_baseline,
    StepKind.SHIP_OTHER: _ship_other,
    StepKind.REQUEST_BOTH_AGAIN: _request_both,
    StepKind.REQUEST_TO_MEASURE: _request_to_measure,
    StepKind.DECLARE_MINIMUM: lambda values: StepWords(
        "add min:", "this comparison cannot show a drop", values.get("where", "")
    ),
    StepKind.RAISE_MINIMUM: lambda values: StepWords(
        "raise min: above the rate of guessing", where=values.get("where", "")
    ),
    StepKind.CHECK_SCORE: lambda values: StepWords(
        "check the score, the format and the expected answers",
        "no reply is right",
        values.get("where", ""),
    ),
    StepKind.DECLARE_LIMIT: lambda values: StepWords(
        "add a limit without a baseline",
        "this comparison cannot show anything",
        values.get("where", ""),
    ),
    StepKind.RUN_AGAIN: _run_again,
    StepKind.ADD_REPLIES: _add_replies,
    StepKind.SETTLE: _settle,
    StepKind.ADD_CASES: _add_cases,
    StepKind.SET_LIMIT: _set_limit,
    StepKind.REPEAT_BASELINE: _repeat_baseline,
    StepKind.FIX_CASES: lambda values: StepWords(f"fix {values['cases']}", "and run again"),
    StepKind.SETTLE_SKILL: _settle_skill,
    StepKind.FIX_MUST_PASS: _fix_must_pass,
    StepKind.SHOW_REGRESSED: lambda values: StepWords(
        "all regressed cases", command=f'pytest --ftgate -vv "{values["node"]}"'
    ),
    StepKind.FIX_FORMAT: _fix_format,
    StepKind.FIX_LABEL: _fix_label,
    StepKind.FIX_TRAINING_DATA: lambda values: StepWords(str(values["remedy"])),
    StepKind.LOWER_USAGE: lambda _: StepWords("choose a smaller model or a shorter prompt"),
    StepKind.TRAIN_AGAIN: _train_again,
    StepKind.KEEP_THOUGHTS: lambda values: StepWords(
        "train on answers that keep the thoughts of the base",
        "if the change is intended, raise the limit under thoughts or remove it",
        values.get("where", ""),
    ),
    StepKind.CHECK_CAUSE: _check_cause,
    StepKind.CHECK_IDENTITY: _check_identity,
    StepKind.IMPROVE_JUDGE: _improve_judge,
}
