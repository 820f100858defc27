"""The words of notes, by kind: of verdicts, training data, replies and models, and of an advice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_ftgate.gates.notes import (
    Cause,
    FindingKind,
    Note,
    NoteKind,
    Remedy,
    ReplyNote,
)
from pytest_ftgate.recommend.advice import ReasonKind
from pytest_ftgate.reporting.number_text import (
    Words,
    amount,
    declared_percent,
    digits_beside,
    fill,
    interval_text,
    level_span,
    percent,
    points,
    quantity,
    times,
    usd,
    with_more,
)

# Training data ----------------------------------------------------------------------------------


def _counted(text: str, item: str) -> Words:
    """Return the words of a note with *names*, each by *item* with its count, as ``{shown}``."""

    def words(values: Mapping[str, Any]) -> str:
        pairs = zip(values["names"], values["counts"], strict=True)
        return fill(text, {**values, "shown": ", ".join(item.format(*pair) for pair in pairs)})

    return words


#: The words of each kind of finding, and of each remedy.
FINDING_WORDS: Mapping[str, Words] = {
    FindingKind.FEW_ROWS: "{rows:#row} to learn from, and {wanted:,} are wanted",
    FindingKind.TURNS: "{rows:#conversation} {rows:has/have} turns out of order: user and "
    "assistant must take turns, the user first",
    FindingKind.TOO_LONG: "{rows:#row} {rows:is/are} longer than the context of {context:,} "
    "tokens (estimated as characters / 4)",
    FindingKind.UNVERIFIED: "{rows:#synthetic row} {rows:names/name} no reviewer",
    FindingKind.SENSITIVE: _counted(
        "{rows:#row} {rows:seems/seem} to contain {shown}", "{} ({:,})"
    ),
    FindingKind.DUPLICATE: "{rows:#row} {rows:repeats/repeat} another; "
    "the first is that of line {earlier}, in line {line}",
    FindingKind.NEAR_DUPLICATE: "{rows:#row} nearly {rows:repeats/repeat} another that has the "
    "same answer; the first is that of line {earlier}, in line {line}",
    FindingKind.CONFLICT: "{questions:#question} {questions:is/are} asked with different "
    "answers; the first in lines {line} and {other}",
    FindingKind.FORMAT: _counted(
        "{answers:#answer} {answers:breaks/break} the format of replies ({shown})", "{} {:,}"
    ),
    FindingKind.THOUGHTS: "{answers:#answer} {answers:has/have} a thought before it",
    FindingKind.MIXED_THOUGHTS: "{answers:#answer} {answers:has/have} a thought before it, and "
    "the others have none",
    FindingKind.MISSING_LABEL: "{count:#label} of the suite without a row: "
    "{labels:list}{more:?, …}",
    FindingKind.RARE_LABEL: "{label} has {rows:,} rows and {rare} has {rare_rows:,}: more than "
    "{times} times as many",
    FindingKind.DOUBTFUL_LABEL: "{rows:#row} {rows:has/have} another label than similar "
    "rows; the clearest is line {line}: {label}, and not {other}",
    FindingKind.NEW_FACTS: "{answers:#answer} {answers:names/name} people, places, dates or "
    "numbers that the question does not",
    FindingKind.LEAK: "{count:,} of {of:#case} {count:appears/appear} in the training data; "
    "the first is {first}, in line {line}",
    FindingKind.NEAR_LEAK: "{count:,} of {of:#case} {count:appears/appear} almost verbatim "
    "in the training data; the first is {first}, in line {line}",
    Remedy.SHOW_EXAMPLES: "so few rows teach a style at best; show them as examples in the prompt "
    "instead",
    Remedy.JOIN_TURNS: "join turns of the same speaker, and add the missing turns",
    Remedy.SHORTEN: "shorten or split them: the answer comes last and is cut off first",
    Remedy.REVIEW: 'have someone read them, and write "verified_by" beside each',
    Remedy.REVOKE: "revoke it and take it out: models leak their training data",
    Remedy.INVENT: "replace it by invented data, unless you may train on it",
    Remedy.REMOVE: "remove them",
    Remedy.VARY: "keep one of each, or write more varied ones",
    Remedy.CHOOSE: "choose one answer, or make the questions different",
    Remedy.WRITE_AS_REPLIES: "a model learns the format of its answers: write them as replies "
    "must be",
    Remedy.CHECK_THOUGHTS: "many chat templates cut thoughts off or add empty ones: check what "
    "the trainer makes of a row, and write thoughts in all answers or in none",
    Remedy.ADD_LABELS: "add rows of each of these labels",
    Remedy.ADD_RARE: "add rows of the rare labels; what is rare in training is rarely answered",
    Remedy.READ_LABELS: "read them: a wrong label is learned as well as a right one",
    Remedy.RETRIEVE: "facts are better retrieved than trained: new ones are learned badly, and "
    "teach the model to invent",
    Remedy.TAKE_OUT: "take the rows out and train again; until then these cases show nothing",
}


# Replies, and the model behind them -------------------------------------------------------------

#: What replies do whose share has changed.
_PREDICATES = {
    "refusals": "are refusals",
    "same text": "are the same text",
    "hedging": "hedge",
    "thoughts": "begin with a thought",
    "cut off": "are cut off at their token limit",
}


def _cases_show_less(values: Mapping[str, Any]) -> str:
    held = "held to {possible:size} points" if values["possible"] else "not compared"
    text = "{cases:#case} alone cannot show {limit:size} points, so that accepted results are "
    return fill(text + held, values)


def _share(values: Mapping[str, Any]) -> str:
    after, before = percent(values["after"]), percent(values["before"])
    return f"{after} of replies {_PREDICATES[values['what']]}, {before} before"


def _length(values: Mapping[str, Any]) -> str:
    old, new = values["before"], values["after"]
    medians = f"(median {old:,.0f} → {amount(new, values['unit'])})"
    return f"{values['what']} are {times(new / old)} as long as before {medians}"


#: The words of each kind of note about replies.
REPLY_WORDS: Mapping[str, Words] = {
    ReplyNote.SHARE: _share,
    ReplyNote.LENGTH: _length,
    ReplyNote.LANGUAGE: "{share:percent} of replies changed their language, "
    "most from {before} to {after}",
    ReplyNote.ERROR_MIX: "the mix of format errors has changed (Stuart-Maxwell test, {p:p})",
    ReplyNote.ERROR_SHARE: "format error “{what}”: {after:percent} of replies, "
    "{before:percent} before",
    ReplyNote.NOT_RETRIEVED: "retrieval: no passage contains the expected answer for {count} of "
    "{of} regressed {of:case/cases}",
    ReplyNote.BROKEN_FORMATS: "{count:,} of {of:,} cases broke their format, {hits:,} of the "
    "{regressed:,} regressed ones among them",
    ReplyNote.UNLINKED_FORMATS: "{count:,} of {of:,} cases broke their format, regressed ones no "
    "more often; the score does not depend on it",
}

_OF = "{count} of {of} replies"
_TRAINED_END = "its chat template or its end token may differ from those in training"

#: The words of each likely cause, with a remedy.
CAUSE_WORDS: Mapping[str, Words] = {
    Cause.TEMPLATE: "another chat template: {difference}",
    Cause.SCALE: "the adapter has {times:g} times the weight of its training; remove scale",
    Cause.CONVERTED_SCALE: "{file} has {times:.3g} times the weight of its training, by the "
    "adapter_config.json beside it; name the folder as adapter, or convert it again",
    Cause.SERVED_SCALE: "the server applies its adapter at scale {scale}; start it with --lora "
    "instead of --lora-scaled, or write extra: {{lora: [{{id: 0, scale: 1}}]}}",
    Cause.OTHER_BASE: "the adapter was trained on {base}, and the model is {model}; check that "
    "these are the same weights",
    Cause.QUANTISED: "{model} is quantised to {type}; a file of 8 or 16 bits shows what that costs",
    Cause.ENDS_AT_ONCE: f"{_OF} are empty: the model ends at once; {_TRAINED_END}",
    Cause.EMPTY: f"{_OF} are empty: look at stop: and at the server's chat template",
    Cause.RUNS_ON: f"{_OF} give an answer and run on to max_tokens: the model does not end; "
    f"{_TRAINED_END}",
    Cause.GOES_ON: f"{_OF} give an answer and run on to max_tokens: ask for the answer and nothing "
    "else, or set stop:",
    Cause.CUT_OFF: f"{_OF} run to max_tokens, {{before:percent}} before: the model may not end; "
    f"{_TRAINED_END}",
    Cause.THOUGHT: f"the thought of {_OF} did not end: raise max_tokens, or switch thinking off"
    "{is_new:?; none had a thought before, so the training may be why}",
}


# Advice -----------------------------------------------------------------------------------------


def _accuracy(values: Mapping[str, Any]) -> str:
    low, high = values.get("low"), values.get("high")
    minimum = values.get("minimum")
    digits = 0 if minimum is None else digits_beside(minimum, values["accuracy"], low, high)
    text = f"{values['variant']} is right in {percent(values['accuracy'], digits)}"
    text = with_more(text, interval_text(level_span(low, high, digits=digits)))
    return text if minimum is None else f"{text}; the minimum is {declared_percent(minimum)}"


def _right_beside_minimum(values: Mapping[str, Any]) -> str:
    digits = digits_beside(values["minimum"], values["accuracy"])
    right, needed = percent(values["accuracy"], digits), declared_percent(values["minimum"])
    lack = points(values["change"], digits)
    return f"{values['variant']} is right in {right}, the suite requires {needed}: {lack} points"


def _fails_gates(values: Mapping[str, Any]) -> str:
    rate = f", is right in {percent(values['accuracy'])}" if "accuracy" in values else ""
    return f"{values['variant']} is meant to serve{rate} and fails {', '.join(values['gates'])}"


def _changes(values: Mapping[str, Any]) -> str:
    count = f"{quantity(values['commits'], 'change')} in {quantity(values['days'], 'day')}"
    young = ", all that it has" * values["is_young"]
    kinds = (f"{kind} {values[kind]}" for kind in ("prompt", "cases", "suite") if kind in values)
    return with_more(count + young, ", ".join(kinds) if values["commits"] else "")


def _many_changes(values: Mapping[str, Any]) -> str:
    return f"{_changes(values)}: over {values['most']}, each may mean to train again"


_RIGHT = "{variant} is right in {accuracy:percent}"
_GAP = "{variant} {accuracy:percent} against {below} {below_accuracy:percent}: {gain}"
_TIMES = "{variant} costs {times:,.0f} times as much a request as {tuned}"
_FIXES = "retrieval ({rag}) fixes {share:percent} of the failures of {variant}: "
_PROMPT = "the prompt of {variant} has about {tokens:,} tokens: "
_FORMAT = "{share:percent} of the replies of {variant} have a format error"
_COSTS = "{usd:usd} a month against {below_usd:usd} of {below} at {calls_per_day:,.0f} a day"

REASONS: Mapping[str, Words] = {
    ReasonKind.GAIN_IS_WORTH_IT: _GAP
    + "; a gain of {required:size} points or more is worth it alone",
    ReasonKind.AS_GOOD_AND_CHEAPER: _GAP + ": as good, and cheaper",
    ReasonKind.GAIN_TOO_SMALL: _GAP + ", worth it from {required:size} points",
    ReasonKind.NOT_SHOWN_AS_GOOD: _GAP + ", cheaper, but not shown to be as good",
    ReasonKind.MAY_BE_CHANCE: _GAP + ", which may be chance",
    ReasonKind.NO_GAIN: _GAP + ", no gain",
    ReasonKind.MINIMUM: _right_beside_minimum,
    ReasonKind.NO_TRAINING_DATA: "no training_data is named; {wanted} labelled rows are wanted",
    ReasonKind.TOO_FEW_ROWS: "{rows:,} labelled rows: under {fewest} teach a style at most",
    ReasonKind.FEW_ROWS: "{rows:,} labelled rows; {wanted:,} or more are better",
    ReasonKind.ENOUGH_ROWS: "{rows:,} labelled rows",
    ReasonKind.CHANGES_UNKNOWN: "how often the task changes is not known: {reason}",
    ReasonKind.CHANGES: _changes,
    ReasonKind.MANY_CHANGES: _many_changes,
    ReasonKind.KNOWLEDGE_IS_MISSING: _FIXES + "knowledge is missing, and retrieval supplies it",
    ReasonKind.BEHAVIOUR_IS_MISSING: _FIXES + "behaviour is missing",
    ReasonKind.COSTLY_PROMPT: _PROMPT + "a fine-tune does not read them, and does not pay for them",
    ReasonKind.LONG_PROMPT: _PROMPT + "rules this long contradict each other; shorten it first",
    ReasonKind.SHORT_PROMPT: _PROMPT + "there is little to save",
    ReasonKind.FORMAT_UNDER_SCHEMA: _FORMAT + " under a schema",
    ReasonKind.FORMAT_WITHOUT_SCHEMA: _FORMAT + " without a schema",
    ReasonKind.MUST_RUN_HERE: "the model must run here, which rules out a stronger one that is "
    "hosted",
    ReasonKind.PRICE_UNKNOWN: "whether the volume pays is not known: a price is {price}",
    ReasonKind.PAID_BACK: _COSTS + "; paid back in {days:days}",
    ReasonKind.PAID_BACK_LATE: _COSTS + "; paid back in {days:days}, over {most:g}",
    ReasonKind.WORTH_ITS_PRICE: _COSTS + "; its gain is worth that",
    ReasonKind.PRICE_OF_GAIN: _COSTS + ": {price:usd} for each reply more that is right",
    ReasonKind.NEVER_CHEAPER: _COSTS + "; cheaper at no volume",
    ReasonKind.CHEAPER_FROM: _COSTS + "; cheaper from {break_even:,.0f} a day on",
    ReasonKind.GATES: "gates of {variant}: {outcomes:list}",
    ReasonKind.CHALLENGER_IS_AS_GOOD: "{variant} without tuning is as good: {gain}",
    ReasonKind.NO_CHALLENGER: "no challenger is shown to be as good: {outcomes:list}",
    ReasonKind.RETIRES: "{model} retires in {days} days, on {date}: compare its successor",
    ReasonKind.ACCURACY: _accuracy,
    ReasonKind.GAIN: _RIGHT + ": {gain} over {over}",
    ReasonKind.COSTS_MORE: _TIMES + ": {gain}, which may be chance",
    ReasonKind.REJECTED: "not {variant}: {reason}",
    ReasonKind.FAILS_GATES: _fails_gates,
    ReasonKind.ONLY_FINE_TUNES: "{variants:list} cannot be compared with an untuned rung",
    ReasonKind.NO_EXAMPLES: "no variant shows examples",
    ReasonKind.NO_STRONGER_MODEL: "no variant uses a stronger model",
    ReasonKind.FORMAT_ERRORS: _FORMAT,
    ReasonKind.NO_RETRIEVAL: "answers are free text, and no variant retrieves anything",
    ReasonKind.NO_TOOLS: "the suite scores calls of tools, and no variant has any",
    ReasonKind.JUDGED: "gains, and rates that no labels correct, are what a judge model says",
    ReasonKind.UNMEASURED: "{variant} could not be measured: {reason}",
    ReasonKind.UNANSWERED: "no reply came",
    ReasonKind.UNSCORED: "without an accuracy, and so not climbed: {variants:list}",
    ReasonKind.HELD_OUT_NOT_SENT: "the held-out cases could not be sent to {variant}: {reason}",
    ReasonKind.LOCKED_IN: "the weights of {variant} stay with its service; what stays yours are "
    "{rows:?# labelled rows and }the cases, so to leave is to train and to gate once more",
}


# Verdicts ---------------------------------------------------------------------------------------

#: The words for a check with *is_unchanged*.
UNCHANGED = "unchanged (same replies)"


def _unchanged_passes(values: Mapping[str, Any]) -> str:
    check, build = (percent(values.get(key, 0.0)).removesuffix(" %") for key in ("check", "build"))
    text = f"if nothing had changed, this check would pass in {check} of 100 runs"
    if values.get("checks", 0) > 1:
        text += f", and the whole build with its {values['checks']} checks in {build} or more"
    why = "; {changed} of {of:#outcome} changed here, and the default limit assumes"
    return text + fill(f"{why} {{assumed:percent}}", values) if "changed" in values else text


def _like_labels(values: Mapping[str, Any]) -> str:
    text = "{n} of {of} regressed answers look like this suite's labels"
    others = " ({others} {others:is not one of them/are not labels of the suite})"
    count = values["n"] - values["labels"]
    return fill(text + others * bool(count), {**values, "others": count})


_CASES = "{cases:#case}{unrelated:? (# unrelated ones)}"
_ALONE = "{n:?; so few show nothing: add cases}"
_AS_WRONG = "{as_wrong:?, which counts as wrong}"
_MISSING = "{missing:,} of {of:,} cases got no reply"
_LOOK = "decided at look {look} of {of}, after "
_RELATIVE = "so this is true of its grades only"
_CORRECTED = "corrected by {labels} labels of these replies: the judge alone "
#: What shows a limit of the mean cost where nothing limits what one case may cost.
BOUND_COST = (
    "write max_cost_per_case with the most USD of one case, evidence: point for a plain threshold, "
    "or take {needed} unrelated cases"
)
_OF_COST = "holds {share:percent} of the cost, so that the mean rests on few of them"


def _allowed(values: Mapping[str, Any]) -> str:
    """Return what lets one case cost how much: ``max_tokens 4,096 lets a case cost 0.04 USD``."""
    tokens, most = values["max_tokens"], usd(values["most"])
    key = f"max_tokens {tokens:,}" if tokens else "max_cost_per_case"
    return f"{key} lets a case cost {most}"


def _unseen_cost(values: Mapping[str, Any]) -> str:
    share = f"{values['share'] * 100:.2g} %"
    return f"{_allowed(values)}, and up to {share} of cases may cost that unseen"


def _above_most(values: Mapping[str, Any]) -> str:
    allowed = "max_cost_per_case is {most:.6g}"
    if values["max_tokens"]:
        allowed = "max_tokens {max_tokens} lets a case cost {most:.6g} at most, so the server does "
        allowed += "not keep it"
    return fill(
        f"case {{case}} cost {{usd:.6g}} USD, and {allowed}; write max_cost_per_case: with the "
        "most USD that one case can cost, in {where}",
        values,
    )


def _price_never_shown(values: Mapping[str, Any]) -> str:
    lower = "max_cost_per_case: {possible_usd:.10g}"
    if values["possible"]:
        lower = "max_tokens: {possible}"
    return fill(
        f"{_CASES} can never show {{limit:usd}} per 1,000 requests of {{variant}}, since "
        f"{_allowed(values)}: write {lower}, take {{needed:,}} cases, or write evidence: point",
        values,
    )


_WORDS: Mapping[str, Words] = {
    NoteKind.TEXT: "{text}",
    **FINDING_WORDS,
    **REPLY_WORDS,
    **CAUSE_WORDS,
    NoteKind.FEW_PAIRS: "{n} of {of} cases can be compared" + _ALONE,
    NoteKind.TOO_FEW_REPLIES: "{n} of {of} cases got a reply" + _ALONE,
    NoteKind.NOTHING_RIGHT: "nothing is right on either side, so the cases show nothing",
    NoteKind.AT_CHANCE: "{against} is at {before:percent}, so a drop from it cannot be measured",
    NoteKind.GUESSED: "guessing is right in {rate:percent}, so this minimum shows nothing",
    NoteKind.SMALL_DROP: "a real drop, within the limit",
    NoteKind.CHANGED_TEXTS: "{changed:,} of {of:#reply} have another text ({share:percent}), "
    "{kept:,} of them with the same score; {regressed:,} regressed, {fixed:,} fixed",
    NoteKind.SAME_TEXTS: "all {of:#reply} have the same text",
    NoteKind.FEW_CASES: "{n} cases; at least {needed} are needed",
    NoteKind.FEW_GROUPS: "{n} groups of related cases; at least {needed} are needed",
    NoteKind.WHOLE_GROUPS: "{n} groups of related cases; a limit of {limit:size} points takes "
    "{needed}, since whole groups may break",
    NoteKind.MISSING: _MISSING,
    NoteKind.MISSING_UNEVENLY: f"{_MISSING}, far more on one side than on the other",
    NoteKind.MISSING_COULD_TURN: f"{_MISSING}, and they could change the verdict",
    NoteKind.EQUAL_IS_NOT_RIGHT: "equal replies are equal, not right: this is a difference, no "
    "accuracy",
    NoteKind.NEARLY_ALL_DIFFER: "{n:,} of {of:,} inputs differ, so that labels of them save "
    "little: set a score that normalises replies, or label a random sample as cases",
    NoteKind.LABELS_OF_NO_REPLY: "{n:,} of {of:#label} in {file} {n:belongs/belong} to no reply of "
    "this run, as those of other inputs or of another suite",
    NoteKind.LABELS_CONTRADICT: "labels contradict themselves in {n} of {of} pairs that were shown "
    "twice: make the instruction clearer, and label again",
    NoteKind.LABELS_CANNOT_SAY: "{n} of {of} labelled inputs cannot be judged, and a tenth may: "
    "make the instruction clearer, or ask someone who knows",
    NoteKind.LABELS_COULD_TURN: "{n} of {of} labelled inputs cannot be judged, and could change "
    "the verdict",
    NoteKind.LABELS_USED_UP: "{all:all {n:,} that differ are labelled/the {n:,} labels of the "
    "suite are there}, and more inputs take a new draw",
    NoteKind.LABELS_WAIT: "{n:#label} {n:waits/wait} for look {look}, and {n:decides/decide} "
    "nothing before",
    NoteKind.LABELS_BEHIND_GAP: "{n:#label} {n:stands/stand} behind one that is missing, and "
    "{n:counts/count} once input {place} of the draw ({id}) is labelled",
    NoteKind.LABELS_STALE: "{n:,} of {of:#label} in {file} {n:is/are} of another {changed}, and "
    "{n:counts/count} for nothing: restore it, or label again",
    NoteKind.LABELLERS_AGREE: "{people} people agree on {n} of {of:#reply} that several labelled",
    NoteKind.BASELINE_UNSTEADY: "the baseline differs from itself on {share:percent} of the inputs",
    NoteKind.JUDGE_NEEDS_LABELS: "{n:#label} of a judge {n:counts/count} once people label "
    "{missing} more of the same pairs",
    NoteKind.JUDGE_LABELS: "{n:#label} {n:is/are} of a judge, which shows {share:percent} of a "
    "true change at least, by {of} pairs that people labelled too; the limit is lowered by that",
    NoteKind.JUDGE_SHOWS_NO_CHANGE: "{n:#label} of a judge {n:counts/count} for nothing: on {of} "
    "pairs that people labelled too it shows no change that they see",
    NoteKind.CASES_SHOW_NO_DROP: _cases_show_less,
    NoteKind.PLAIN_THRESHOLD: "plain threshold: two runs like this one disagree {flips:percent} "
    "of the time",
    NoteKind.UNCHANGED: UNCHANGED,
    NoteKind.EXPECT_NOTHING: "{n} of {of} cases expect nothing and are left out",
    NoteKind.LOOK_REPLIES: f"{_LOOK}{{repeats:#reply}} to each case",
    NoteKind.LOOK_CASES: f"{_LOOK}{{cases:,}} of {{all:,}} cases",
    NoteKind.NEEDED_CASES: "asked {n:,} of {of:,} cases, as many as the gates needed",
    NoteKind.LOOK_SKILLS: "{n:,} of {of:,} questions, a third of each skill, were enough",
    NoteKind.REFUSED: f"{{n}} of {{of}} replies were refused{_AS_WRONG}",
    NoteKind.CUT_OFF: f"{{n}} of {{of}} replies were cut off by max_tokens{_AS_WRONG}",
    NoteKind.NO_ANSWER: "{n} of {of} replies of {variant} were cut off before an answer, which "
    "counts as wrong",
    NoteKind.NO_REPLY: "no reply to {n:,} of {of:#case}; first: {first}",
    NoteKind.UNEXAMINED: f"judge-relative: no labels have examined it, {_RELATIVE}",
    NoteKind.UNCORRECTED: f"judge-relative: nothing corrects it, {_RELATIVE}",
    NoteKind.UNGRADED: "no grade for {n} of {of} replies: {first}",
    NoteKind.SAME_OF_ALL: "the judge says the same of all {n} replies",
    NoteKind.SHOWS_NOTHING: "labels cannot rule out that the judge shows nothing of a true change",
    NoteKind.SHOWS_LESS: "the judge shows {share:percent} of a true change, at least "
    "{least:percent}; the limit was compared with that",
    NoteKind.LABELS_CORRECT_DROP: f"{_CORRECTED}saw {{change:points}} points",
    NoteKind.LABELS_CORRECT_RATE: f"{_CORRECTED}calls {{rate:percent}} good",
    NoteKind.JUDGE_FINDS: "of good replies the judge finds {good:percent}, of bad {bad:percent}; "
    "it calls {rate:percent} good, {needed:percent} would reach the minimum",
    NoteKind.GAVE_NO_GRADE: "it gave no grade in {n} of {of} cases, the first: {first}",
    NoteKind.FEW_LABELS: "{n} labels, {rarer} of the rarer kind, do not examine it; at least "
    "{needed} are needed, {needed_of_a_kind} of either kind",
    NoteKind.SAME_OF_LABELLED: 'it says "{grade}" of all {n} labelled replies',
    NoteKind.METRIC_UNKNOWN: "its {metric} is not known, minimum {minimum:.2f}",
    NoteKind.METRIC_BELOW: "{metric} {value:.2f} ({low:.2f} to {high:.2f}), minimum {minimum:.2f}",
    NoteKind.FAVOURS_LENGTH: "{judge}: it favours {favoured} replies (rank correlation "
    "{correlation:+.2f} with its error)",
    NoteKind.FAVOURS_PADDING: "{judge}: {n} of {of} bad replies got a better grade when its text "
    "was doubled",
    NoteKind.SAMPLES_AGREE: "{judge}: two samples of it agree in {share:percent}",
    NoteKind.ORDERS_AGREE: "{judge}: both orders agree in {share:percent}",
    NoteKind.RARE_THOUGHTS: "{baseline} thinks in {share:percent} of its replies, so no drop can "
    "show",
    NoteKind.OTHER_THOUGHTS: "one side counts its thoughts, the other shows them: none is compared",
    NoteKind.FEW_THOUGHTS: "both sides think in {n} unrelated cases; {needed} are needed",
    NoteKind.FREE_BASELINE: "{baseline} costs nothing, so no share of it can be computed",
    NoteKind.UNSEEN_COST: _unseen_cost,
    NoteKind.ABOVE_MOST: _above_most,
    NoteKind.LARGE_CASE: f"one case {_OF_COST}",
    NoteKind.LARGE_GROUP: f"one group of related cases {_OF_COST}",
    NoteKind.UNPRICED: "{n:,} of {of:#case} {n:has/have} no price, and at most "
    "{allowed:percent} may lack one",
    NoteKind.NO_TOKENS: "{n} of {of} replies{variant:? of #} report no tokens, so that they have "
    "no price",
    NoteKind.NO_PRICE: "no reply to {n:#case}; first: {first}",
    NoteKind.NO_TIME: "no reply to {n} requests; first: {first}",
    NoteKind.NOT_REQUESTED: "{n:,} of {of:,} replies were not requested in this run",
    NoteKind.BASELINE_NOT_REQUESTED: "{n:,} of {of:,} replies of {baseline} were not requested in "
    "this run; request all of them again to measure it: --ftgate-replies=fresh",
    NoteKind.IN_FLIGHT: "measured with up to {n:#request} in flight at once",
    NoteKind.OTHER_WORKER: "measured by another worker of this run",
    NoteKind.WEAK_BASE: "the base scores too low in {skills:list} to show a loss there",
    NoteKind.TRAINED_ON: "{n:#skills case} {n:stands/stand} in {file} (line {line}: {first}) and "
    "{n:is/are} left out: what was trained on shows no forgetting",
    NoteKind.NO_SANDBOX: "left out: {skills:list}, since the code of a model cannot be sandboxed "
    "on this machine",
    NoteKind.GUESSES: "limits are corrected for lucky guesses, which would be right in "
    "{share:percent} of the cases and hide as many of the losses",
    NoteKind.LIKE_LABELS: _like_labels,
    NoteKind.LIKE_REPLIES: "{n} of {of} regressed answers look like its own replies",
    NoteKind.COARSE_LIMIT: _CASES
    + " {points:?can rule out a drop of # points or more, no smaller}{none:?cannot rule out a drop "
    "of any size}; {for_15:,} would rule out 15, {for_10:,} would 10, {for_5:,} would 5",
    NoteKind.UNCHANGED_PASSES: _unchanged_passes,
    NoteKind.NO_LIMIT: f"{_CASES} cannot show that a drop stays below {{limit:limit}} points",
    NoteKind.LIMIT_OR_CASES: "write max_drop: for the whole of the skills, or add cases: it takes "
    "about {needed}",
    NoteKind.MINIMUM_OR_CASES: "{minimum:?write min: #, or }add cases: it takes about "
    "{groups:?# groups like these (}{needed}{groups:? cases)}",
    NoteKind.LONE_CASE: "1 case shows nothing about others; write evidence: point, or add cases",
    NoteKind.WEIGHT_OF_GROUP: "one group has {largest} of {cases} cases; write weight: {weight:g} "
    "for each of them, so that the group counts as one case",
    NoteKind.GROUPS_SHOW_NOTHING: f"{_CASES} show nothing; it takes {{needed}} groups of related "
    "cases",
    NoteKind.GROUP_TOO_LARGE: "{key}: {limit:g} cannot be proven, since one group has {largest} "
    "of {cases} cases; write weight: {weight:g} for each of them, so that the group counts as one "
    "case, or {key}: {possible:g}",
    NoteKind.DROP_NEVER_SHOWN: f"{{key}}: {{limit:g}} cannot be proven with {_CASES}; "
    "it takes {groups:?# groups like these (}{needed} cases{groups:?)} if not one gets worse, "
    "{likely:,} to pass 9 times in 10{shown:?; or write {key}: #, which these cases show}",
    NoteKind.CLAIM_THESE: "or write claim: these_tasks, and the verdict is about these {n} alone, "
    "whose {runs} replies each are the sample",
    NoteKind.COPIES: "the runs of {variant} are copies, with the same text in each run of a task: "
    "they show no more than one run",
    NoteKind.LOST_RUNS: "{lost:,} of {of:,} replies of {variant} are missing, and what got lost "
    "may have been what went wrong",
    NoteKind.ONLY_THESE: "about these {n} tasks alone: it says nothing of others like them",
    NoteKind.RUNS_SHOW: "{tasks} tasks × {runs:#run} can show a drop of {shown} points; "
    "{tasks} × {more} would show {with_runs}, and {twice} tasks × {half} {with_tasks}",
    NoteKind.FEW_TASKS: "claim: these_tasks needs {needed} tasks or more, and there {n:is/are} "
    "{n}; add tasks",
    NoteKind.COPIED_RUNS: "claim: these_tasks: the replies do not vary, so that more of them add "
    "nothing, and on these tasks the drop is a plain count; remove claim, or write evidence: point",
    NoteKind.RUNS_NEVER_SHOW: "{key}: {limit:g} cannot be proven with {tasks} tasks and "
    "{runs:#run} each; {needed:?write repeats: #, or }"
    "{key}: {possible:.2g}",
    NoteKind.MINIMUM_NEVER_SHOWN: f"min: {{limit:g}} cannot be proven with {_CASES}; "
    "{needed:?it takes # cases, all of them right, or }min: {possible:g}",
    NoteKind.MARGIN_NEVER_SHOWN: "a loss of {limit:g} can never be ruled out in "
    "{skills:list}{more:? and # more}; it takes {needed} cases "
    "of a skill, or a margin of {possible:g}",
    NoteKind.P95_NEVER_BOUND: ("{n} cases can never bound the 95th percentile; it takes {needed}"),
    NoteKind.MEDIAN_NEVER_BOUND: "{n} cases can never bound a median; it takes {needed}",
    NoteKind.PRICE_WITHOUT_BOUND: "nothing limits what one case of {variants:list} may cost, so "
    f"{_CASES} cannot show that the mean keeps a limit: {BOUND_COST}",
    NoteKind.PRICE_NEVER_SHOWN: _price_never_shown,
    **REASONS,
}


def note_text(note: Note) -> str:
    """Return a note in a sentence, without its full stop."""
    texts = {
        name: note_text(value) if isinstance(value, Note) else value
        for name, value in note.values.items()
    }
    return fill(_WORDS.get(note.kind) or _rare_words(note.kind), texts)


def _rare_words(kind: str) -> Words:
    from pytest_ftgate.reporting.identity import IDENTITY_WORDS  # most runs show none of them
    from pytest_ftgate.reporting.run_notes import RUN_WORDS

    return IDENTITY_WORDS.get(kind) or RUN_WORDS[kind]


def named_note_text(key: str, values: Mapping[str, Any]) -> str:
    """Return the note whose kind is the value *key* of a statement or a step."""
    return note_text(Note(values[key], values))


def notes_text(notes: Iterable[Note]) -> str:
    """Return *notes* in one sentence, joined by semicolons."""
    return "; ".join(map(note_text, notes))
