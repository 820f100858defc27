"""The words of a next step, made of its values: what to do, why, where, and the command."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from pytest_ftgate.gates.design import round_up
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.reporting.notes import BOUND_COST, named_note_text
from pytest_ftgate.reporting.number_text import fill, percent, quantity
from pytest_ftgate.results.run import Report
from pytest_ftgate.results.steps import more_budget
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
        is_edit: True if the remark is what to write, so that no screen may drop it.
    """

    text: str
    remark: str = ""
    where: str = ""
    command: str = ""
    is_command: bool = False
    is_edit: bool = False


def error_fix(report: Report) -> str:
    """Return what to do about errors that kept gates from being evaluated; their texts say how."""
    if more_budget(report):
        return "raise the budget"
    return "mend the error named above; replies that came are cached"


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
    return " ".join(filter(None, ["pytest --ftgate", *kept, *options, _quoted(path)]))


def _quoted(path: str) -> str:
    return path if re.fullmatch(r"[\w./\\~-]*", path) else f'"{path}"'


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


def _fix_format(values: _Values) -> StepWords:
    kind, count = values["format_error"], quantity(values["replies"], "reply")
    remedy = _FORMAT_REMEDIES.get(kind, "say in the prompt how replies must look")
    of = f" of {values['of']}" if "of" in values else ""
    return StepWords(remedy, f"the most common format error{of} is “{kind}”: {count}")


def _check_identity(values: _Values) -> StepWords:
    if values["claims"] == "adapter":
        # The cache has the replies of the server as it was.
        return StepWords(
            "check that the adapter is loaded: its path, the server's --enable-lora, and the model "
            "name that is requested; or that the merged weights are served; then run with "
            "--ftgate-replies=fresh"
        )
    if values["claims"] == "skill":
        return StepWords(
            "put the skill where the agent reads its skills, let its description say when to use "
            "it, or correct uses:",
            where=values.get("where", ""),
        )
    if values["claims"] == "schema":
        return StepWords(
            "take a server that holds replies to a schema, or remove response_schema",
            where=values.get("where", ""),
        )
    return StepWords("check which model the server serves, or declare it: served_model:")


def _record_uses(values: _Values) -> StepWords:
    uses = json.dumps({"uses": [values["skill"]]})
    if values["recorded"]:
        return StepWords(
            "keep the trace beside each run, such as agent/trajectory.json of Harbor, or write "
            f'"run": {uses} into lines of recorded replies'
        )
    return StepWords(f'let the program print "uses": {uses[9:-1]} beside its reward')


def _settle(values: _Values) -> StepWords:
    if values.get("recorded"):
        return StepWords(f"record {values['repeats']} runs of each task, on both sides")
    remark = f"up to {values['repeats']} replies to a case, as long as it is inconclusive"
    return StepWords(f"add {values['setting']}", remark, values["where"])


def _improve_judge(values: _Values) -> StepWords:
    remark = "pytest-ftgate label SUITE --judge writes replies to label"
    if "ungraded" in values:
        remark = "the same judge with the same rubric would only repeat its cached replies"
    return StepWords("sharpen the rubric, or take a stronger judge", remark)


# Add evidence -----------------------------------------------------------------------------------


def _run_again(values: _Values) -> StepWords:
    missing = quantity(values["missing"], "reply")
    remark = f"{missing} missing; those that came are cached"
    budget = values.get("max_usd")
    if budget == 0.0:
        text = "raise --ftgate-max-usd to the most USD of the plan, which this command shows"
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


#: The keys in which a run states what the unit of a check counts.
_STATED_IN = {
    "usd": "cost_usd",
    "usd_per_success": "cost_usd",
    "tokens": "total_tokens",
    "seconds": "seconds",
    "tool_calls": "tool_calls",
}


def _state_amount(values: _Values) -> StepWords:
    key, missing = _STATED_IN[values["unit"]], values["missing"]
    where = values.get("file") or values["where"]
    text = f"state {key} of {quantity(missing, 'run')}"
    if values["program"]:
        usage = '"input": 1200, "output": 300' if key == "total_tokens" else f'"{key}": …'
        remark = f'in its last line: {{"reward": 1, {usage}}}'
        return StepWords(text, remark, where, is_edit=True)
    remark = f'write "run": {{"{key}": …}} in each line' if values.get("file") else ""
    if values.get("by_tool"):
        remark = "the runner of the agent has to write it into its results"
    return StepWords(text, remark, where)


def _add_cases(values: _Values) -> StepWords:
    noun, chances, remarks = values["cases"], [], []
    if values["unchanged"]:
        chances.append(f"about {_rounded(values['unchanged'])} more if nothing has changed")
    if values["needed"]:
        chances.append(f"about {_rounded(values['needed'])} more if the result stays as it is")
        remarks += ["if the result stays, the gate fails"] * values["fails"]
    if values["default"]:
        key = "--max-drop" if values.get("as_option") else "max_drop:"
        kept = f"write {key} {values['default']:g} to keep it"
        remarks.append(f"more cases lower the default limit; {kept}")
    return StepWords(f"add {noun}s: {', '.join(chances)}", "; ".join(remarks))


def _rounded(count: int) -> str:
    """Return a number of cases with two figures, rounded up: it is an estimate."""
    step = 10 ** max(0, len(str(count)) - 2)
    return f"{-(-count // step) * step:,}"


def _label(values: _Values) -> StepWords:
    n = values["n"]
    text = f"label {quantity(n, 'input')} that {'differs' if n == 1 else 'differ'}"
    now, last = percent(values["chance"]), values["last"]
    remark = f"if nothing has changed it passes then in {now}"
    if last > n:
        remark += f", with all {last:,} in {percent(values['at_last'])}"
    return StepWords(text, remark, command=_label_command(values))


def _label_command(values: _Values) -> str:
    if files := values.get("files"):
        scorer = ["--scorer", values["scorer"]] if "scorer" in values else []
        named = ["--labels", values["labels"], *scorer]
        return shlex.join(["pytest-ftgate", "label", *files, *named])
    variant = f" --variant {shlex.quote(values['variant'])}" if values.get("variant") else ""
    return f"pytest-ftgate label {_quoted(values['suite'])}{variant}"


def _record_command(values: _Values) -> str:
    """Return the command that accepts a change of what decides, where there is a record."""
    return _command(values, "--ftgate-accept", of="record") if "record" in values else ""


def _words(
    text: str,
    remark: str = "",
    where: str = "",
    *,
    does: Callable[[_Values], str] | None = None,
    follows: Callable[[_Values], str] = lambda _: "",
    is_edit: bool = False,
) -> Callable[[_Values], StepWords]:
    """Return what makes the words of a kind of step.

    *text*, *remark* and *where* are templates. *does* returns the command that is the step,
    *follows* one that follows an edit, and *is_edit* says that the remark is one.
    """

    def words(values: _Values) -> StepWords:
        command = (does or follows)(values)
        filled = fill(text, values), fill(remark, values), fill(where, values)
        return StepWords(*filled, command, is_command=does is not None, is_edit=is_edit)

    return words


def _fresh_command(values: _Values) -> str:
    return _command(values, "--ftgate-replies=fresh")


def _accept_command(values: _Values) -> str:
    option = "--ftgate-accept-anchor" if values.get("anchor") else "--ftgate-accept"
    failed = ["--ftgate-accept-failed"] * bool(values.get("failed"))
    return _command(values, option, *failed)


_AT = "{where}"
#: What the accepted record has, a run that is accepted changes.
_THEN_ACCEPT = "{record:?; then accept a run, since the record has it}"
_NARROW = "lower max_tokens or max_cost_per_case, or write evidence: point"
_AFTER_FIXES = "{after_fixes:?once no gate fails: }"

_WORDS: Mapping[StepKind, Callable[[_Values], StepWords]] = {
    StepKind.FIX_CASES: _fix_cases,
    StepKind.FIX_PART: _words("{kind} {name}: {regressed} of {n:#case} regressed"),
    StepKind.FIX_MUST_PASS: _words(
        "{cases}", "{repeated:every reply/the reply} must be right; or remove must_pass there", _AT
    ),
    StepKind.FIX_FORMAT: _fix_format,
    StepKind.FIX_LABEL: _words(
        "tell “{label}” from “{taken_for}”", "{replies:#reply} took {label} for {taken_for}"
    ),
    StepKind.FIX_TRAINING_DATA: lambda values: StepWords(named_note_text("remedy", values)),
    StepKind.RAISE_MAX_TOKENS: _words(
        "raise max_tokens", "{cut} of {of} {regressed:?regressed }replies were cut off", _AT
    ),
    StepKind.CLAIM_OTHERS: _words(
        "write claim: tasks_like_these", "each task then counts once, and copies add nothing", _AT
    ),
    StepKind.DECLARE_PRICE: _words(
        "declare {counted:usd_per_1m_input and usd_per_1m_output/usd_per_1k} of {variant}"
        "{counted:/, in place of its price per token}",
        "{counted:or price_model, or usd_per_1k/no run brings the tokens that it does not report}",
        _AT,
    ),
    StepKind.SET_MAX_TOKENS: _words(
        "set max_tokens: {tokens}", "the longest reply has {longest:,} tokens", _AT
    ),
    StepKind.BOUND_COST: _words(BOUND_COST, where=_AT),
    StepKind.CHECK_CAUSE: lambda values: StepWords(
        f"check a likely cause: {named_note_text('cause', values)}"
    ),
    StepKind.CHECK_IDENTITY: _check_identity,
    StepKind.RECORD_USES: _record_uses,
    StepKind.CHECK_SCORE: _words(
        "check the score, the format and the expected answers", "no reply is right", _AT
    ),
    StepKind.KEEP_THOUGHTS: _words(
        "train on answers that keep the thoughts of the base",
        "if the change is intended, raise the limit under thoughts or remove it",
        _AT,
    ),
    StepKind.LOWER_USAGE: _words(
        "{runs:let the agent do less, or choose a smaller model/choose a smaller model or a "
        "shorter prompt}"
    ),
    StepKind.REPEAT_RUNS: _words(
        "set repeats: {repeats}",
        "it settles this if the result stays as it is{fails:; the gate then fails/}",
        _AT,
    ),
    StepKind.STATE_AMOUNT: _state_amount,
    StepKind.TRAIN_AGAIN: _words("mix general data into the training set", docs_page("forgetting")),
    StepKind.IMPROVE_JUDGE: _improve_judge,
    StepKind.RUN_AGAIN: _run_again,
    StepKind.ADD_REPLIES: _add_replies,
    StepKind.REQUEST_TO_MEASURE: _words(
        "request all replies again",
        "the times of cached replies are not those of this run",
        does=_fresh_command,
    ),
    StepKind.REQUEST_BOTH_AGAIN: _words(
        "request all replies again, so that both sides are of today", does=_fresh_command
    ),
    StepKind.ADD_CASES: _add_cases,
    StepKind.LABEL: _label,
    StepKind.DECIDE_OTHERWISE: _words(
        f"{{narrows:{_NARROW}/improve the replies}}: no affordable number of cases decides this",
        "it takes over five times the {n:#{cases}} that there {n:is/are}",
    ),
    StepKind.SETTLE: _settle,
    StepKind.ADD_MINIMUM: _words("write a min: above 0", where=_AT),
    StepKind.DECLARE_MINIMUM: _words(
        "add min: with the lowest rate that you accept", "this comparison cannot show a drop", _AT
    ),
    StepKind.RAISE_MINIMUM: _words("raise min: above the rate of guessing", where=_AT),
    StepKind.DECLARE_LIMIT: _words(
        "add a limit that needs no baseline, such as max_usd_per_1k",
        "this comparison cannot show anything",
        _AT,
    ),
    # The place is of the remark: without it, it does not say what to edit there.
    StepKind.SHIP_OTHER: _words(
        "{is_baseline:keep/ship} {variant}, which passes {gates:its gate/its {gates} gates}",
        f"gated: false for {{for}}, {{where}}{_THEN_ACCEPT}",
        follows=_record_command,
        is_edit=True,
    ),
    StepKind.SETTLE_SKILL: _words(
        "raise the limit of {skill} in margins:, or add cases",
        "its {n} cases leave a change of {span} possible, and a loss of {margin:size} is too much",
        _AT,
    ),
    StepKind.ACCEPT: _words(
        f"{_AFTER_FIXES}{{minimum:?min alone decides, with nothing to compare with; }}accept a run "
        "as the reference of later ones",
        "{minimum:?or write max_drop: none}",
        does=_accept_command,
    ),
    StepKind.ACCEPT_EXAM: _words(
        "accept this run",
        f"{_AFTER_FIXES}if this is intended, and commit the record; if not, restore the cases and "
        "limits",
        does=_accept_command,
    ),
    StepKind.ACCEPT_RUN: _words(
        "accept this run",
        "if the drop is intended; commit the record, and say why in the review",
        does=_accept_command,
    ),
    StepKind.MAKE_BASELINE: _words(
        "{in_mark:put/baseline:} {variant}{in_mark:? first in variants=}",
        f"if the drop is intended; say why in the review{_THEN_ACCEPT}",
        _AT,
        follows=_record_command,
    ),
    # What a reader of a change must know of a limit that was moved until it passed.
    StepKind.SET_LIMIT: _words(
        "{setting}",
        f"chosen after the result; say why in the review{_THEN_ACCEPT}",
        _AT,
        follows=_record_command,
    ),
    StepKind.SHOW_REGRESSED: _words("the regressed cases", does=_cases_command),
    StepKind.EXPLAIN: _words(
        "why", does=lambda values: f'pytest-ftgate explain "{values.get("node", "")}"'
    ),
}
