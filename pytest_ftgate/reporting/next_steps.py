"""The words of a next step, made of its values: what to do, why, where, and the command."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from pytest_ftgate.gates.design import round_up
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.reporting.notes import named_note_text
from pytest_ftgate.reporting.number_text import percent, quantity, span, unsigned_points
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
        command: the command that does it, or that follows an edit; or "".
        is_command: True if the command alone says what to do.
    """

    text: str
    remark: str = ""
    where: str = ""
    command: str = ""
    is_command: bool = False


def step_line(step: NextStep) -> str:
    """Return sentence and command in one line."""
    command = step_command(step)
    return f"{step_text(step)}: {command}" if command else step_text(step)


def step_text(step: NextStep) -> str:
    """Return the sentence of a step, without its command."""
    words = step_words(step)
    remark = f" ({words.remark})" if words.remark else ""
    return words.text + (f", in {words.where}" if words.where else "") + remark


def step_command(step: NextStep) -> str:
    """Return the command that does the step, or ""."""
    return step_words(step).command


def step_words(step: NextStep) -> StepWords:
    """Return the words of a step."""
    return _WORDS[step.kind](step.values)


def gate_command(path: str, *options: str, repeated: Iterable[str] = ()) -> str:
    """Return the command that evaluates the gates of a file, or one gate by its node id.

    *repeated* are the options of the run; one of *options* replaces that of the same name.
    """
    own = {option.partition("=")[0] for option in options}
    kept = [option for option in repeated if option.partition("=")[0] not in own]
    quoted = path if re.fullmatch(r"[\w./\\~-]*", path) else f'"{path}"'
    return " ".join(filter(None, ["pytest --ftgate", *kept, *options, quoted]))


def _command(values: _Values, *options: str, of: str = "suite") -> str:
    """Return the command of a step for its suite or node, with the options of the run."""
    repeated = values.get("options", ())
    kept = options_of_node(repeated) if of == "node" else repeated
    return gate_command(values.get(of, ""), *options, repeated=kept)


def options_of_node(options: Iterable[str]) -> list[str]:
    """Return those of *options* that a command for a node id repeats: the id names its variant."""
    return [one for one in options if not one.startswith("--ftgate-variant=")]


def _cases_command(values: _Values) -> str:
    """Return the command that shows the cases of a gate, from replies that are cached by now."""
    options = [one for one in values.get("options", ()) if one != "--ftgate-replies=fresh"]
    return _command({**values, "options": options}, "-vv", of="node")


def _where(values: _Values) -> str:
    where: str = values.get("where", "")
    return where


# Fix --------------------------------------------------------------------------------------------


def _fix_cases(values: _Values) -> StepWords:
    more = values["count"] - values["cases"].count(", ") - 1
    cases = values["cases"] + (f" and {more:,} more" if more > 0 else "")
    if values["open"]:
        return StepWords(f"{cases}, and run again", _changed(values))
    return StepWords(cases, _changed(values), command=_cases_command(values))


def _changed(values: _Values) -> str:
    """Return in which keys two variants differ, as far as that is known."""
    changed = [
        f"prompt (+{values['added']} −{values['removed']} lines)"
        if key == "prompt" and "added" in values
        else key
        for key in values.get("changed", ())
    ]
    return f"changed: {', '.join(changed)}" if changed else ""


def _fix_part(values: _Values) -> StepWords:
    count = quantity(values["n"], "case")
    return StepWords(
        f"{values['kind']} {values['name']}: {values['regressed']} of {count} regressed"
    )


def _fix_must_pass(values: _Values) -> StepWords:
    replies = "every reply" if values["repeated"] else "the reply"
    remark = f"{replies} must be right; or remove must_pass there"
    return StepWords(values["cases"], remark, _where(values))


def _fix_format(values: _Values) -> StepWords:
    kind, count = values["format_error"], quantity(values["replies"], "reply")
    remedy = _FORMAT_REMEDIES.get(kind, "say in the prompt how replies must look")
    of = f" of {values['of']}" if "of" in values else ""
    return StepWords(remedy, f"the most common format error{of} is “{kind}”: {count}")


def _fix_label(values: _Values) -> StepWords:
    label, other, count = values["label"], values["taken_for"], quantity(values["replies"], "reply")
    return StepWords(f"tell “{label}” from “{other}”", f"{count} took {label} for {other}")


def _raise_max_tokens(values: _Values) -> StepWords:
    remark = f"{values['cut']} of {values['of']} regressed replies were cut off"
    return StepWords("raise max_tokens", remark, _where(values))


def _check_identity(values: _Values) -> StepWords:
    if values["claims"] == "adapter":
        text = "check that the adapter is loaded: its path, the server's --enable-lora, and the "
        return StepWords(
            f"{text}model name that is requested; or that the merged weights are served"
        )
    return StepWords("check which model the server serves, or declare it: served_model:")


def _train_again(_: _Values) -> StepWords:
    return StepWords("mix general data into the training set", docs_page("forgetting"))


def _improve_judge(values: _Values) -> StepWords:
    remark = "pytest-ftgate labels writes replies to label"
    if "ungraded" in values:
        remark = "the same judge with the same rubric would only repeat its cached replies"
    return StepWords("sharpen the rubric, or take a stronger judge", remark)


# Add evidence -----------------------------------------------------------------------------------


def _run_again(values: _Values) -> StepWords:
    missing = quantity(values["missing"], "reply")
    remark = f"{missing} missing; those that came are cached"
    budget = values.get("max_usd")
    if budget == 0.0:
        text = "raise --ftgate-max-usd to the USD of the plan, which this command shows"
        return StepWords(text, remark, command=_command(values, "--ftgate-plan"))
    options = []
    if budget:
        options = [f"--ftgate-max-usd={round_up(budget)}"]
        remark = f"{missing} missing, for about {round_up(budget)} USD; those that came are cached"
    return StepWords("run again", remark, command=_command(values, *options), is_command=True)


def _add_replies(values: _Values) -> StepWords:
    if values.get("tokens"):
        text = f"add {quantity(values['missing'], 'reply')} with usage to {values['file']}"
        return StepWords(text, "or declare usd_per_1k for the variant")
    missing = quantity(values["missing"], "missing reply")
    remark = "no run can bring them, since the variant is recorded"
    return StepWords(f"add the {missing} to {values['file']}", remark)


def _request_to_measure(values: _Values) -> StepWords:
    remark = "the times of cached replies are not those of this run"
    command = _command(values, "--ftgate-replies=fresh")
    return StepWords("request all replies again", remark, command=command, is_command=True)


def _request_both(values: _Values) -> StepWords:
    text = "request all replies again, so that both sides are of today"
    command = _command(values, "--ftgate-replies=fresh")
    return StepWords(text, command=command, is_command=True)


def _add_cases(values: _Values) -> StepWords:
    noun, chances, remarks = values["cases"], [], []
    if values["unchanged"]:
        chances.append(f"about {_rounded(values['unchanged'])} more if nothing has changed")
    if values["needed"]:
        chances.append(f"about {_rounded(values['needed'])} more if the result stays as it is")
        remarks += ["with this result the gate then fails"] * values["fails"]
    if values["default"]:
        remarks.append("the default limit falls with more cases; declare it to keep it")
    return StepWords(f"add {noun}s: {', '.join(chances)}", "; ".join(remarks))


def _rounded(count: int) -> str:
    """Return a number of cases with two figures, rounded up: it is an estimate."""
    step = 10 ** max(0, len(str(count)) - 2)
    return f"{-(-count // step) * step:,}"


def _decide_otherwise(values: _Values) -> StepWords:
    cases = f"{values['n']:,} {values['cases']}s"
    return StepWords(
        "improve the replies: no affordable number of cases decides this",
        f"it takes over five times the {cases} that there are",
    )


def _settle(values: _Values) -> StepWords:
    remark = f"up to {values['repeats']} replies to a case, as long as it is inconclusive"
    return StepWords(f"add {values['setting']}", remark, _where(values))


def _repeat_baseline(values: _Values) -> StepWords:
    rates = f"{percent(values['passes'])} of runs, now {percent(values['now'])}"
    remark = f"requested once; an unchanged variant then passes in {rates}"
    return StepWords(f"add repeats: {{baseline: {values['repeats']}}}", remark, _where(values))


# Ship, or accept --------------------------------------------------------------------------------

#: What a reader of a change must know of a limit that was moved until it passed.
_CHOSEN = "chosen after the result; say why in the review"


def _ship_other(values: _Values) -> StepWords:
    gates = "its gate" if values["gates"] == 1 else f"its {values['gates']} gates"
    verb = "keep" if values["is_baseline"] else "ship"
    text = f"{verb} {values['variant']}, which passes {gates}"
    # The place is of the remark: without it, it does not say what to edit there.
    remark = f"gated: false for {values['for']}, {_where(values)}"
    return StepWords(text, remark, command=_record_command(values))


def _settle_skill(values: _Values) -> StepWords:
    change, margin = span(values["low"], values["high"]), unsigned_points(values["margin"])
    return StepWords(
        f"raise the limit of {values['skill']} in margins:, or add cases",
        f"its {values['n']} cases leave a change of {change} possible, and a loss of {margin} is "
        "too much",
        _where(values),
    )


def _accept_run(values: _Values) -> StepWords:
    options = ["--ftgate-accept-anchor" if values["anchor"] else "--ftgate-accept"]
    options += ["--ftgate-accept-failed"] * bool(values["failed"])
    remark = "if the drop is intended; commit the record, and say why in the review"
    command = _command(values, *options)
    return StepWords("accept this run", remark, command=command, is_command=True)


def _make_baseline(values: _Values) -> StepWords:
    text = f"baseline: {values['variant']}"
    if values["in_mark"]:
        text = f"put {values['variant']} first in variants="
    remark = "if the drop is intended; say why in the review"
    return StepWords(text, remark, _where(values), _record_command(values))


def _set_limit(values: _Values) -> StepWords:
    return StepWords(values["setting"], _CHOSEN, _where(values), _record_command(values))


def _record_command(values: _Values) -> str:
    """Return the command that accepts a change of what decides, where there is a record."""
    return _command(values, "--ftgate-accept", of="record") if "record" in values else ""


def _after_fixes(values: _Values) -> str:
    return "once no gate fails: " if values.get("after_fixes") else ""


def _accept_exam(values: _Values) -> StepWords:
    remark = "if this is intended, and commit the record; if not, restore the cases and limits"
    remark = f"{_after_fixes(values)}{remark}"
    command = _command(values, "--ftgate-accept")
    return StepWords("accept this run", remark, command=command, is_command=True)


def _accept_first(values: _Values) -> StepWords:
    text = f"{_after_fixes(values)}accept a run, so that later ones are compared with it"
    return StepWords(text, command=_command(values, "--ftgate-accept"), is_command=True)


# See --------------------------------------------------------------------------------------------


def _show_regressed(values: _Values) -> StepWords:
    return StepWords("all regressed cases", command=_cases_command(values), is_command=True)


def _explain(values: _Values) -> StepWords:
    command = f'pytest-ftgate explain "{values.get("node", "")}"'
    return StepWords("why", command=command, is_command=True)


_WORDS: Mapping[StepKind, Callable[[_Values], StepWords]] = {
    StepKind.ACCEPT: _accept_first,
    StepKind.ACCEPT_EXAM: _accept_exam,
    StepKind.ACCEPT_RUN: _accept_run,
    StepKind.ADD_CASES: _add_cases,
    StepKind.ADD_MINIMUM: lambda values: StepWords("write a min: above 0", where=_where(values)),
    StepKind.ADD_REPLIES: _add_replies,
    StepKind.CHECK_CAUSE: lambda values: StepWords(
        f"check a likely cause: {named_note_text('cause', values)}"
    ),
    StepKind.CHECK_IDENTITY: _check_identity,
    StepKind.CHECK_SCORE: lambda values: StepWords(
        "check the score, the format and the expected answers",
        "no reply is right",
        _where(values),
    ),
    StepKind.DECIDE_OTHERWISE: _decide_otherwise,
    StepKind.DECLARE_LIMIT: lambda values: StepWords(
        "add a limit that needs no baseline, such as max_usd_per_1k",
        "this comparison cannot show anything",
        _where(values),
    ),
    StepKind.DECLARE_MINIMUM: lambda values: StepWords(
        "add min: with the lowest rate that you accept",
        "this comparison cannot show a drop",
        _where(values),
    ),
    StepKind.EXPLAIN: _explain,
    StepKind.FIX_CASES: _fix_cases,
    StepKind.FIX_FORMAT: _fix_format,
    StepKind.FIX_LABEL: _fix_label,
    StepKind.FIX_MUST_PASS: _fix_must_pass,
    StepKind.FIX_PART: _fix_part,
    StepKind.FIX_TRAINING_DATA: lambda values: StepWords(named_note_text("remedy", values)),
    StepKind.IMPROVE_JUDGE: _improve_judge,
    StepKind.KEEP_THOUGHTS: lambda values: StepWords(
        "train on answers that keep the thoughts of the base",
        "if the change is intended, raise the limit under thoughts or remove it",
        _where(values),
    ),
    StepKind.LOWER_USAGE: lambda _: StepWords("choose a smaller model or a shorter prompt"),
    StepKind.MAKE_BASELINE: _make_baseline,
    StepKind.RAISE_MAX_TOKENS: _raise_max_tokens,
    StepKind.RAISE_MINIMUM: lambda values: StepWords(
        "raise min: above the rate of guessing", where=_where(values)
    ),
    StepKind.REPEAT_BASELINE: _repeat_baseline,
    StepKind.REQUEST_BOTH_AGAIN: _request_both,
    StepKind.REQUEST_TO_MEASURE: _request_to_measure,
    StepKind.RUN_AGAIN: _run_again,
    StepKind.SETTLE: _settle,
    StepKind.SETTLE_SKILL: _settle_skill,
    StepKind.SET_LIMIT: _set_limit,
    StepKind.SHIP_OTHER: _ship_other,
    StepKind.SHOW_REGRESSED: _show_regressed,
    StepKind.TRAIN_AGAIN: _train_again,
}
