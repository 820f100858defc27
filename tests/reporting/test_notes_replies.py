"""The words of what replies show, of the model behind them, and of likely causes."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate.gates.notes import (
    Cause,
    FindingKind,
    IdentityNote,
    NoteKind,
    Remedy,
    ReplyNote,
    note,
)
from pytest_ftgate.reporting.notes import (
    CAUSE_WORDS,
    IDENTITY_WORDS,
    REPLY_WORDS,
    note_text,
)


def test_every_kind_has_words():
    assert {*REPLY_WORDS} == {*ReplyNote}
    assert {*IDENTITY_WORDS} == {*IdentityNote}
    assert {*CAUSE_WORDS} == {*Cause}


@every_row("kind, values, text", [
    (ReplyNote.SHARE, {"what": "refusals", "before": 0.5, "after": 0.75},
     "75 % of replies are refusals, 50 % before"),
    (ReplyNote.SHARE, {"what": "same text", "before": 0, "after": 0.3},
     "30 % of replies are the same text, 0 % before"),
    (ReplyNote.SHARE, {"what": "hedging", "before": 0, "after": 0.5},
     "50 % of replies hedge, 0 % before"),
    (ReplyNote.SHARE, {"what": "thoughts", "before": 1, "after": 0.875},
     "88 % of replies begin with a thought, 100 % before"),
    (ReplyNote.SHARE, {"what": "cut off", "before": 0.025, "after": 0.5},
     "50 % of replies are cut off at their token limit, 2 % before"),
    (ReplyNote.LENGTH, {"what": "replies", "before": 6, "after": 1, "unit": "words"},
     "replies are 17 % as long as before (median 6 → 1 word)"),
    (ReplyNote.LENGTH,
     {"what": "thoughts", "before": 1500.0, "after": 3000.0, "unit": "characters"},
     "thoughts are twice as long as before (median 1,500 → 3,000 characters)"),
    (ReplyNote.LANGUAGE, {"share": 0.5, "before": "en", "after": "de"},
     "50 % of replies changed their language, most from en to de"),
    (ReplyNote.ERROR_MIX, {"p": 0.0016},
     "the mix of format errors has changed (Stuart-Maxwell test, p = 0.002)"),
    (ReplyNote.ERROR_MIX, {"p": 0.001},
     "the mix of format errors has changed (Stuart-Maxwell test, p = 0.001)"),
    (ReplyNote.ERROR_MIX, {"p": 0.0002},
     "the mix of format errors has changed (Stuart-Maxwell test, p < 0.001)"),
    (ReplyNote.ERROR_SHARE, {"what": "fenced", "before": 0.05, "after": 0.2},
     "format error “fenced”: 20 % of replies, 5 % before"),
    (ReplyNote.NOT_RETRIEVED, {"count": 1, "of": 1},
     "retrieval: no passage contains the expected answer for 1 of 1 regressed case"),
    (ReplyNote.NOT_RETRIEVED, {"count": 1, "of": 80},
     "retrieval: no passage contains the expected answer for 1 of 80 regressed cases"),
    (ReplyNote.BROKEN_FORMATS, {"count": 1000, "of": 2000, "hits": 3, "regressed": 3},
     "1,000 of 2,000 cases broke their format, 3 of the 3 regressed ones among them"),
    (ReplyNote.UNLINKED_FORMATS, {"count": 335, "of": 400, "hits": 15, "regressed": 19},
     ("335 of 400 cases broke their format, regressed ones no more often; the score does not "
      "depend on it")),
])  # fmt: skip
def test_what_replies_have_in_common_is_worded(kind, values, text):
    assert note_text(note(kind, **values)) == text


SAME = (
    "replies no different from the base model's: 60 of 60 replies are the base model's; "
    "the base repeats itself on 59 of 60; "
)
COUNTS = {"agree": 60, "of": 60, "base_agrees": 59, "model": "m"}
SWITCH = "extra: {chat_template_kwargs: {enable_thinking: false}}"
LIMIT = "raise max_tokens of the forgetting gate"


@every_row("kind, values, text", [
    (IdentityNote.PROVEN, {"differ": 40, "of": 60},
     "identity proven: 40 of 60 replies differ from the base model's"),
    (IdentityNote.SAME_BY_ADAPTER, COUNTS, f"{SAME}the adapter has no effect"),
    (IdentityNote.SAME_BY_FILES, COUNTS,
     f"{SAME}a merge without effect, or an exact copy of the base, replies like this"),
    (IdentityNote.SAME_BY_HOST, COUNTS,
     f"{SAME}the fine-tune has no effect, or its base answers in its place"),
    (IdentityNote.SAME_BY_SERVER, COUNTS,
     (f"{SAME}the tuned model may not be loaded (does /v1/models list m, and at which scale is "
     "its adapter?), or the server may apply it to the base as well (is the base the same with "
     "--ftgate-concurrency=1?)")),
    (IdentityNote.SAME_AS_RECORDED, {"agree": 30, "of": 30},
     "replies no different from the base model's: 30 of 30 replies equal those of the base"),
    (IdentityNote.BASE_VARIES, COUNTS,
     ("tuned model not proven: 60 of 60 replies are the base model's; the base repeats itself on "
      "59 of 60")),
    (IdentityNote.BASE_RECORDED, {"agree": 29, "of": 30},
     "tuned model not proven, its base is recorded: 29 of 30 replies equal those of the base"),
    (IdentityNote.FEW_REPLIES, {"count": 2, "needed": 30},
     "tuned model not proven: 2 replies, 30 are needed"),
    (IdentityNote.EMPTY_REPLIES, {"count": 3, "of": 4, "recorded": False},
     "tuned model not proven: 3 of 4 replies are empty"),
    (IdentityNote.EMPTY_REPLIES, {"count": 3, "of": 4, "recorded": True},
     "tuned model not proven, its base is recorded: 3 of 4 replies are empty"),
    (IdentityNote.CUT_OFF_REPLIES, {"count": 3, "of": 4, "recorded": False},
     f"tuned model not proven: 3 of 4 replies were cut off without an answer; {LIMIT}"),
    (IdentityNote.CUT_OFF_THOUGHTS, {"count": 3, "of": 4, "recorded": True, "switch": ""},
     ("tuned model not proven, its base is recorded: 3 of 4 replies were cut off without an "
     f"answer; the model thinks; {LIMIT}")),
    (IdentityNote.CUT_OFF_THOUGHTS, {"count": 3, "of": 4, "recorded": False, "switch": SWITCH},
     ("tuned model not proven: 3 of 4 replies were cut off without an answer; the model "
     f"thinks; {LIMIT}, or write {SWITCH}")),
    (IdentityNote.OTHER_PARENT, {"parent": "more", "base": "base"},
     "the server lists more as its parent, declared base base"),
    (IdentityNote.BROKEN_SCHEMA, {"broken": 1, "of": 20, "whole": True},
     "the schema is broken in 1 of 20 whole replies"),
    (IdentityNote.IGNORED_SCHEMA, {"broken": 1, "of": 2, "whole": False},
     "the schema is broken in 1 of 2 replies: the server did not enforce it"),
    (IdentityNote.NO_TEMPERATURE, {"temperature": 1.0, "cases": 30},
     "temperature 1 shows no effect: 30 cases have equal repeats"),
    (IdentityNote.NO_SEED, {"seed": 3, "requests": 5},
     "seed 3 has no effect: none of 5 repeated requests brought an equal reply"),
    (IdentityNote.REJECTED, {"model": "m", "setting": "seed"},
     "m takes no seed; the replies came without it"),
    (IdentityNote.REPLACED, {"model": "m", "setting": "output_config"},
     "m takes no output_config; a tool that the model must use stood in for it"),
    (IdentityNote.RETIRES, {"model": "m", "date": "2027-01-22"}, "m retires on 2027-01-22"),
    (IdentityNote.BASELINE_DRIFTED, {"before": 0.9, "after": 0.725, "cases": 40},
     "the recorded baseline has drifted: 90 % → 72 % on 40 repeated cases; it is not compared"),
])  # fmt: skip
def test_what_replies_show_of_a_model_is_worded(kind, values, text):
    assert note_text(note(kind, **values)) == text


ENDED = {"count": 18, "of": 20}
TRAINED = "its chat template or its end token may differ from those in training"


@every_row("kind, values, text", [
    (Cause.TEMPLATE, {"difference": "after “a” …"}, "another chat template: after “a” …"),
    (Cause.SCALE, {"times": 2.0},
     "the adapter has 2 times the weight of its training; remove scale"),
    (Cause.CONVERTED_SCALE, {"file": "a.gguf", "times": 0.35355},
     ("a.gguf has 0.354 times the weight of its training, by the adapter_config.json beside it; "
      "name the folder as adapter, or convert it again")),
    (Cause.SERVED_SCALE, {"scale": "2"},
     ("the server applies its adapter at scale 2; start it with --lora instead of --lora-scaled, "
      "or write extra: {lora: [{id: 0, scale: 1}]}")),
    (Cause.OTHER_BASE, {"base": "old", "model": "m.gguf"},
     ("the adapter was trained on old, and the model is m.gguf; check that these are the same "
      "weights")),
    (Cause.QUANTISED, {"model": "m.gguf", "type": "Q4_0"},
     "m.gguf is quantised to Q4_0; a file of 8 or 16 bits shows what that costs"),
    (Cause.ENDS_AT_ONCE, ENDED, f"18 of 20 replies are empty: the model ends at once; {TRAINED}"),
    (Cause.EMPTY, ENDED,
     "18 of 20 replies are empty: look at stop: and at the server's chat template"),
    (Cause.RUNS_ON, ENDED, ("18 of 20 replies give an answer and run on to max_tokens: "
     f"the model does not end; {TRAINED}")),
    (Cause.GOES_ON, ENDED,
     ("18 of 20 replies give an answer and run on to max_tokens: ask for the answer and nothing "
      "else, or set stop:")),
    (Cause.CUT_OFF, {**ENDED, "before": 0.2},
     f"18 of 20 replies run to max_tokens, 20 % before: the model may not end; {TRAINED}"),
    (Cause.THOUGHT, ENDED,
     "the thought of 18 of 20 replies did not end: raise max_tokens, or switch thinking off"),
])  # fmt: skip
def test_a_likely_cause_is_worded_with_its_remedy(kind, values, text):
    assert note_text(note(kind, **values)) == text


def test_no_two_notes_have_the_same_kind():
    kinds = [*NoteKind, *FindingKind, *Remedy, *ReplyNote, *IdentityNote, *Cause]

    assert len({*kinds}) == len(kinds)
