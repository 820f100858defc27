"""The words of notes, by kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_ftgate.gates.notes import Note, NoteKind
from pytest_ftgate.reporting.finding_notes import FINDING_WORDS
from pytest_ftgate.reporting.reasons import REASONS
from pytest_ftgate.reporting.reply_notes import CAUSE_WORDS, IDENTITY_WORDS, REPLY_WORDS
from pytest_ftgate.reporting.wording import Words, fill

#: The words for a check with *is_unchanged*.
UNCHANGED = "unchanged (same replies)"
#: The cases of a gate, with the number of independent ones if it is smaller.
_CASES = "{cases:#case}{unrelated:? (# unrelated ones)}"
_AS_WRONG = "{as_wrong:?, which counts as wrong}"
_MISSING = "{missing:,} of {of:,} cases brought no reply"
_LOOK = "decided at look {look} of {of}, after "
_RELATIVE = "so this is true of its grades only"
_CORRECTED = "corrected by {labels} labels of these replies: the judge alone "
_OF_COST = "holds {share:.0%} of the cost, so that the mean rests on few of them"
_F1_CASES = "{cases} cases of {label} among {labels} labels"
_EACH_LABEL = "{needed:?it takes # cases of each label, or }"

_WORDS: Mapping[str, Words] = {
    NoteKind.TEXT: "{text}",
    **FINDING_WORDS,
    **REPLY_WORDS,
    **IDENTITY_WORDS,
    **CAUSE_WORDS,
    NoteKind.FEW_PAIRS: "{n} of {of} cases can be compared",
    NoteKind.TOO_FEW_REPLIES: "{n} of {of} cases brought a reply",
    NoteKind.NOTHING_RIGHT: "nothing is right on either side, so the cases show nothing",
    NoteKind.AT_CHANCE: "{against} is at {before:percent}, so a drop from it cannot show",
    NoteKind.GUESSED: "guessing is right in {rate:percent}, so this minimum shows nothing",
    NoteKind.SMALL_DROP: "a real drop, but smaller than the limit",
    NoteKind.FEW_CASES: "{n} cases; at least {needed} are needed",
    NoteKind.FEW_GROUPS: "{n} groups of related cases; at least {needed} are needed",
    NoteKind.FEW_REPLIES: "{n:#unrelated reply}; at least {needed} are needed",
    NoteKind.WHOLE_GROUPS: (
        "{n} groups of related cases; a limit of {limit:size} points takes {needed}, "
        "since whole groups may break"
    ),
    NoteKind.MISSING: _MISSING,
    NoteKind.MISSING_UNEVENLY: f"{_MISSING}, far more on one side than on the other",
    NoteKind.MISSING_COULD_TURN: f"{_MISSING}, and they could change the verdict",
    NoteKind.PLAIN_THRESHOLD: (
        "plain threshold: two runs like this one disagree {flips:percent} of the time"
    ),
    NoteKind.UNCHANGED: UNCHANGED,
    NoteKind.EXPECT_NOTHING: "{n} of {of} cases expect nothing and are left out",
    NoteKind.LOOK_REPLIES: f"{_LOOK}{{repeats:#reply}} to each case",
    NoteKind.LOOK_CASES: f"{_LOOK}{{cases:,}} of {{all:,}} cases",
    NoteKind.REFUSED: f"{{n}} of {{of}} replies were refused{_AS_WRONG}",
    NoteKind.CUT_OFF: f"{{n}} of {{of}} replies were cut off by max_tokens{_AS_WRONG}",
    NoteKind.NO_ANSWER: (
        "{n} of {of} replies of {variant} were cut off before an answer, which counts as wrong"
    ),
    NoteKind.NO_REPLY: "no reply to {n:,} of {of:#case}; first: {first}",
    NoteKind.F1_CASES: "macro-F1 takes {needed} unrelated cases, and {n} expect a label",
    NoteKind.F1_LABEL: (
        "macro-F1 takes {needed} unrelated cases of each expected label, which is {all} for "
        "{labels} labels, and {label} has {n}"
    ),
    NoteKind.F1_REMEDY: "add cases, or write metric: accuracy",
    NoteKind.UNEXAMINED: f"judge-relative: no labels have examined it, {_RELATIVE}",
    NoteKind.UNCORRECTED: f"judge-relative: nothing corrects it, {_RELATIVE}",
    NoteKind.UNGRADED: "no grade for {n} of {of} replies: {first}",
    NoteKind.SAME_OF_ALL: "the judge says the same of all {n} replies",
    NoteKind.SHOWS_NOTHING: (
        "labels cannot rule out that the judge shows nothing of a true change"
    ),
    NoteKind.SHOWS_LESS: (
        "the judge shows {share:percent} of a true change, at least {least:percent}; the limit was "
        "compared with that"
    ),
    NoteKind.LABELS_CORRECT_DROP: f"{_CORRECTED}saw {{change:points}} points",
    NoteKind.LABELS_CORRECT_RATE: f"{_CORRECTED}calls {{rate:percent}} good",
    NoteKind.JUDGE_FINDS: (
        "of good replies the judge finds {good:percent}, of bad {bad:percent}; it calls "
        "{rate:percent} good, {needed:percent} would reach the minimum"
    ),
    NoteKind.GAVE_NO_GRADE: "it gave no grade in {n} of {of} cases, the first: {first}",
    NoteKind.FEW_LABELS: (
        "{n} labels, {rarer} of the rarer kind, do not examine it; at least {needed} are needed, "
        "{needed_of_a_kind} of either kind"
    ),
    NoteKind.SAME_OF_LABELLED: 'it says "{grade}" of all {n} labelled replies',
    NoteKind.METRIC_UNKNOWN: "its {metric} is not known, minimum {minimum:.2f}",
    NoteKind.METRIC_BELOW: "{metric} {value:.2f} ({low:.2f} to {high:.2f}), minimum {minimum:.2f}",
    NoteKind.FAVOURS_LENGTH: (
        "{judge}: it favours {favoured} replies (rank correlation {correlation:+.2f} with its "
        "error)"
    ),
    NoteKind.FAVOURS_PADDING: (
        "{judge}: {n} of {of} bad replies got a better grade when its text was doubled"
    ),
    NoteKind.SAMPLES_AGREE: "{judge}: two samples of it agree in {share:percent}",
    NoteKind.ORDERS_AGREE: "{judge}: both orders agree in {share:percent}",
    NoteKind.RARE_THOUGHTS: (
        "{baseline} thinks in {share:percent} of its replies, so no drop can show"
    ),
    NoteKind.OTHER_THOUGHTS: (
        "one side counts its thoughts and the other shows them, so none is compared"
    ),
    NoteKind.FEW_THOUGHTS: "both sides think in {n} unrelated cases; {needed} are needed",
    NoteKind.FREE_BASELINE: "{baseline} costs nothing, so no share of it can be computed",
    NoteKind.LARGE_CASE: f"one case {_OF_COST}",
    NoteKind.LARGE_GROUP: f"one group of related cases {_OF_COST}",
    NoteKind.NO_TOKENS: "{n} of {of} replies report no tokens, so they have no price",
    NoteKind.NO_PRICE: "no reply to {n:#case}; first: {first}",
    NoteKind.NO_TIME: "no reply to {n} requests; first: {first}",
    NoteKind.NOT_REQUESTED: "{n:,} of {of:,} replies were not requested in this run",
    NoteKind.BASELINE_NOT_REQUESTED: (
        "{n:,} of {of:,} replies of {baseline} were not requested in this run; request all of them "
        "again to measure it: --ftgate-replies=fresh"
    ),
    NoteKind.IN_FLIGHT: "measured with up to {n:#request} in flight at once",
    NoteKind.OTHER_WORKER: "measured by another worker of this run",
    NoteKind.PERPLEXITY: (
        "perplexity of the base's own replies: {before:.3g} → {after:.3g} ({tokens:,} tokens)"
    ),
    NoteKind.LOWER_BOUND: (
        "a lower bound: only the {top} likeliest tokens of each model are known, and "
        "{left_out:percent} of the base's probability is compared as one"
    ),
    NoteKind.NOT_COMPARED: "{n:#reply} of the base not compared",
    NoteKind.WEAK_BASE: "the base is too weak in {skills:list} to show a loss there",
    NoteKind.TRAINED_ON: (
        "{n:#skills case} {n:stands/stand} in {file} (line {line}: {first}) and {n:is/are} left "
        "out: what was trained on shows no forgetting"
    ),
    NoteKind.NO_SANDBOX: (
        "left out: {skills:list}, since the code of a model cannot be sandboxed on this machine"
    ),
    NoteKind.GUESSES: (
        "limits are corrected for lucky guesses, which would be right in {share:percent} of the "
        "cases and hide as many of the losses"
    ),
    NoteKind.LIKE_LABELS: (
        "{n} of {of} regressed answers look like this suite's labels ({labels} are labels, the "
        "others invented)"
    ),
    NoteKind.LIKE_REPLIES: "{n} of {of} regressed answers look like its own replies",
    NoteKind.COARSE_LIMIT: (
        f"{_CASES} can only show drops of {{limit:size}} points or more; {{for_10:,}} would show "
        "10, {for_5:,} would show 5"
    ),
    NoteKind.NO_LIMIT: f"{_CASES} cannot show that a drop stays below {{limit:limit}} points",
    NoteKind.LIMIT_OR_CASES: (
        "write max_drop: for the whole of the skills, or add cases: it takes about {needed}"
    ),
    NoteKind.MINIMUM_OR_CASES: "write min: 0.8, or add cases: it takes about {needed}",
    NoteKind.GROUPS_SHOW_NOTHING: (
        f"{_CASES} show nothing; it takes {{needed}} groups of related cases"
    ),
    NoteKind.DROP_NEVER_SHOWN: (
        f"max_drop: {{limit:g}} can never be shown with {_CASES}, even if every reply is the same; "
        "it takes {groups:?# groups like these (}{needed} cases{groups:?)}, or max_drop: "
        "{possible:g}"
    ),
    NoteKind.MINIMUM_NEVER_SHOWN: (
        f"min: {{limit:g}} can never be shown with {_CASES}, even if every reply is right; "
        "{needed:?it takes # cases, or }min: {possible:g}"
    ),
    NoteKind.F1_DROP_NEVER_SHOWN: (
        f"max_drop: {{limit:g}} can never be shown with {_F1_CASES}, even if every reply is the "
        f"same; {_EACH_LABEL}max_drop: {{possible:g}}"
    ),
    NoteKind.F1_MINIMUM_NEVER_SHOWN: (
        f"min: {{limit:g}} can never be shown with {_F1_CASES}, even if every reply is right; "
        f"{_EACH_LABEL}min: {{possible:g}}"
    ),
    NoteKind.MARGIN_NEVER_SHOWN: (
        "a loss of {limit:g} can never be ruled out in {skills:list}{more:? and # more}, even if "
        "every reply is the same; it takes {needed} cases of a skill, or a margin of {possible:g}"
    ),
    NoteKind.P95_NEVER_BOUND: ("{n} cases can never bound the 95th percentile; it takes {needed}"),
    NoteKind.MEDIAN_NEVER_BOUND: "{n} cases can never bound a median; it takes {needed}",
    NoteKind.PRICE_NEVER_BOUND: (
        f"{_CASES} can never bound a mean price; it takes {{needed}} unrelated ones"
    ),
    NoteKind.DIVERGENCE_NEVER_BOUND: (
        "{n} unrelated cases can never bound max_kl; it takes {needed}: write prompts: skills, or "
        "add cases"
    ),
    **REASONS,
}


def note_text(note: Note) -> str:
    """Return a note in a sentence, without its full stop."""
    texts = {
        name: note_text(value) if isinstance(value, Note) else value
        for name, value in note.values.items()
    }
    return fill(_WORDS[note.kind], texts)


def named_note_text(key: str, values: Mapping[str, Any]) -> str:
    """Return the note whose kind is the value *key* of a statement or a step."""
    return note_text(Note(values[key], values))


def notes_text(notes: Iterable[Note]) -> str:
    """Return *notes* in one sentence, joined by semicolons."""
    return "; ".join(map(note_text, notes))
