"""The words of notes about the model behind replies, and about the skill that runs used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ftgate.gates.notes import IdentityNote
from pytest_ftgate.reporting.number_text import Words, quantity

_SAME = "the fine-tune answers like its base: "
_REPEATS = "{agree} of {of} replies are equal; the base is deterministic in {base_agrees} of {of}"
_UNPROVEN = "identity not proven{recorded:?, its base is recorded}: "
_EQUAL = "{agree} of {of} replies equal those of the base"
_CUT_OFF = f"{_UNPROVEN}{{count}} of {{of}} replies were cut off without an answer; "
_BROKEN_SCHEMA = "the schema is broken in {broken} of {of} {whole:?whole }replies"
_MORE_TOKENS = "raise max_tokens of the forgetting gate"


def _unused(values: Mapping[str, Any]) -> str:
    others = ", ".join(values["others"])
    used = f"their traces name {others}" if others else "their traces name no skill"
    of = quantity(values["of"], "run")
    return f"skill {values['skill']} was used in 0 of {of}: {used}{values['hint']}"


#: The words of each kind of note about the model behind the replies.
IDENTITY_WORDS: Mapping[str, Words] = {
    IdentityNote.PROVEN: "identity proven: {differ} of {of} replies differ from the base's",
    IdentityNote.SAME_BY_ADAPTER: f"{_SAME}{_REPEATS}; the adapter was not applied",
    IdentityNote.SAME_BY_FILES: f"{_SAME}{_REPEATS}; "
    "a merge without effect, or an exact copy of the base, replies like this",
    IdentityNote.SAME_BY_HOST: f"{_SAME}{_REPEATS}; "
    "the fine-tune has no effect, or its base answers in its place",
    IdentityNote.SAME_BY_SERVER: f"{_SAME}{_REPEATS}; "
    "the tuned model may not be loaded (does /v1/models list {model}, and at which scale is its "
    "adapter?), or the server may apply it to the base as well (is the base the same with "
    "--ftgate-concurrency=1?)",
    IdentityNote.SAME_AS_RECORDED: f"{_SAME}{_EQUAL}",
    IdentityNote.BASE_VARIES: f"identity not proven: {_REPEATS}",
    IdentityNote.BASE_RECORDED: f"identity not proven, its base is recorded: {_EQUAL}",
    IdentityNote.FEW_REPLIES: "identity not proven: {count} replies, {needed} are needed",
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
    IdentityNote.REPLACED: "{model} takes no {setting}; a tool that it must use stood in for it",
    IdentityNote.RETIRES: "{model} retires on {date}",
    IdentityNote.SKILL_USED: "skill {skill} was used in {used:,} of {of:#run}"
    "{untraced:?; # more have no trace}",
    IdentityNote.SKILL_UNUSED: _unused,
    IdentityNote.USE_UNKNOWN: "no trace says which skills {of:#run} read: the use of {skill} is "
    "not checked",
    IdentityNote.BASELINE_DRIFTED: "the recorded baseline has drifted: {before:percent} → "
    "{after:percent} on {cases} repeated cases; it is not compared",
}
