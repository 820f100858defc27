"""The words of what replies have in common, of the model behind them, and of likely causes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ftgate.gates.note_kinds import Cause, IdentityNote, ReplyNote
from pytest_ftgate.reporting.number_text import amount, percent, times
from pytest_ftgate.reporting.wording import Words

#: What replies do whose share has changed.
_PREDICATES = {
    "refusals": "are refusals",
    "same text": "are the same text",
    "hedging": "hedge",
    "thoughts": "begin with a thought",
    "cut off": "are cut off at their token limit",
}


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

_SAME = "replies no different from the base model's: "
_REPEATS = (
    "{agree} of {of} replies are the base model's; the base repeats itself on {base_agrees} of {of}"
)
_UNPROVEN = "tuned model not proven{recorded:?, its base is recorded}: "
_EQUAL = "{agree} of {of} replies equal those of the base"
_CUT_OFF = f"{_UNPROVEN}{{count}} of {{of}} replies were cut off without an answer; "
_BROKEN_SCHEMA = "the schema is broken in {broken} of {of} {whole:?whole }replies"
_MORE_TOKENS = "raise max_tokens of the forgetting gate"


#: The words of each kind of note about the model behind the replies.
IDENTITY_WORDS: Mapping[str, Words] = {
    IdentityNote.PROVEN: "identity proven: {differ} of {of} replies differ from the base model's",
    IdentityNote.SAME_BY_ADAPTER: f"{_SAME}{_REPEATS}; the adapter has no effect",
    IdentityNote.SAME_BY_FILES: f"{_SAME}{_REPEATS}; "
    "a merge without effect, or an exact copy of the base, replies like this",
    IdentityNote.SAME_BY_HOST: f"{_SAME}{_REPEATS}; "
    "the fine-tune has no effect, or its base answers in its place",
    IdentityNote.SAME_BY_SERVER: f"{_SAME}{_REPEATS}; "
    "the tuned model may not be loaded (does /v1/models list {model}, and at which scale is its "
    "adapter?), or the server may apply it to the base as well (is the base the same with "
    "--ftgate-concurrency=1?)",
    IdentityNote.SAME_AS_RECORDED: f"{_SAME}{_EQUAL}",
    IdentityNote.BASE_VARIES: f"tuned model not proven: {_REPEATS}",
    IdentityNote.BASE_RECORDED: f"tuned model not proven, its base is recorded: {_EQUAL}",
    IdentityNote.FEW_REPLIES: "tuned model not proven: {count} replies, {needed} are needed",
    IdentityNote.EMPTY_REPLIES: f"{_UNPROVEN}{{count}} of {{of}} replies are empty",
    IdentityNote.CUT_OFF_REPLIES: f"{_CUT_OFF}{_MORE_TOKENS}",
    IdentityNote.CUT_OFF_THOUGHTS: f"{_CUT_OFF}the model thinks; {_MORE_TOKENS}"
    "{switch:?, or write #}",
    IdentityNote.OTHER_PARENT: "the server lists {parent} as its parent, declared base {base}",
    IdentityNote.BROKEN_SCHEMA: _BROKEN_SCHEMA,
    IdentityNote.IGNORED_SCHEMA: f"{_BROKEN_SCHEMA}: the server did not enforce it",
    IdentityNote.NO_TEMPERATURE: "temperature {temperature:g} shows no effect: "
    "{cases} cases have equal repeats",
    IdentityNote.NO_SEED: "seed {seed} has no effect: "
    "none of {requests} repeated requests brought an equal reply",
    IdentityNote.REJECTED: "{model} takes no {setting}; the replies came without it",
    IdentityNote.REPLACED: "{model} takes no {setting}; a tool that the model must use stood in "
    "for it",
    IdentityNote.RETIRES: "{model} retires on {date}",
    IdentityNote.BASELINE_DRIFTED: "the recorded baseline has drifted: {before:percent} → "
    "{after:percent} on {cases} repeated cases; it is not compared",
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
    Cause.THOUGHT: "the thought of {count} of {of} replies did not end: raise max_tokens, or "
    "switch thinking off",
}
