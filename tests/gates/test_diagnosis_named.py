"""Every cause that a verdict can name: once where it is present, and once where it nearly is.

A new cause needs a row in `ROWS`, with the nearest suite in which it is absent.
"""

from __future__ import annotations

import ast
import inspect
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from ftgate_testing.judge_evidence import evidence, validation
from ftgate_testing.notes import kind_lines
from ftgate_testing.notes import texts as note_texts
from ftgate_testing.score_columns import case, case_result, rate_verdict, suite, variant_scores
from ftgate_testing.tickets import EXAMPLE
from gguf import GGUFWriter

from pytest_ftgate import gates
from pytest_ftgate.gates import format_errors, identity
from pytest_ftgate.gates.diagnosis import ending_causes, likely_causes
from pytest_ftgate.gates.judges import judge_notes
from pytest_ftgate.gates.notes import Cause, IdentityNote, NoteKind, ReplyNote
from pytest_ftgate.gates.samples import samples_from_scores
from pytest_ftgate.gates.skills import Loss, LossClassifier
from pytest_ftgate.gates.thoughts import no_answer_notes
from pytest_ftgate.gates.verdict import DriftKind
from pytest_ftgate.reporting import phrases
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter, CaseRequest, Passage, Request
from pytest_ftgate.requests.request_groups import same_seed_requests
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import Score, VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.rule import Rule

#: A row: the kind or the words of the cause, what is said where it is present, and where not.
Row = tuple[str, Callable[[Path], str], Callable[[Path], str]]
#: A row whose key is the kind.
Sides = tuple[Callable[[Path], str], Callable[[Path], str]]

# Files, settings and servers ----------------------------------------------------------------------


def caused(facts: dict[str, str] | None = None, **changes: Any) -> str:
    """Return what is named of a request to a tuned model."""
    values = {"provider": "llamacpp", "model": "m.gguf", "messages": (), "sampling": {}, **changes}
    request = Request(fingerprint="f", max_tokens=16, **values)
    return kind_lines(likely_causes(request, facts or {}))


def scaled(path: Path, *, scale: float = 1.0, alpha: int = 16) -> str:
    """Return what is named of the example's adapter beside a config with *alpha*."""
    shutil.copy(EXAMPLE / "tickets-narrow.gguf", path)
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": alpha}
    (path / "adapter_config.json").write_text(json.dumps(config))
    file = path / "tickets-narrow.gguf"
    return caused(adapter=Adapter(path=file, scale=scale, sha256=f"{path}{alpha}"))


def quantised(path: Path, kind: int) -> str:
    writer = GGUFWriter(path / "m.gguf", "llama")
    writer.add_file_type(kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return caused(model=str(path / "m.gguf"))


SERVED = {"served adapter scale": "2"}
OWN_SCALE = {"lora": [{"id": 0, "scale": 1}]}
FILES: dict[Cause, Sides] = {
    Cause.TEMPLATE: (
        lambda _: caused({"chat template differs": "after “a” …"}),
        lambda _: caused({"adapter rank": "8"}),
    ),
    Cause.SCALE: (lambda path: scaled(path, scale=2.0), scaled),
    Cause.CONVERTED_SCALE: (lambda path: scaled(path, alpha=8), scaled),
    Cause.SERVED_SCALE: (lambda _: caused(SERVED), lambda _: caused(SERVED, extra=OWN_SCALE)),
    Cause.OTHER_BASE: (
        lambda _: caused({"adapter base": "org/Qwen2.5-0.5B"}, model="qwen2_5-1_5b.q8_0.gguf"),
        lambda _: caused({"adapter base": "org/Qwen2.5-0.5B"}, model="qwen2_5-0_5b.q8_0.gguf"),
    ),
    Cause.QUANTISED: (lambda path: quantised(path, 2), lambda path: quantised(path, 7)),
}

# How replies end ----------------------------------------------------------------------------------

GOOD, EMPTY = Reply(text="refund"), Reply(text="")
ON = Reply(text="refund_item_item", stop="length")
LONG = Reply(text="Your parcel should have", stop="length")
OPEN = Reply(text="", stop="length", thought="Let me see")
CLOSED = Reply(text="refund", stop="length", thought="Let me see")


def replied(*replies: Reply, name: str = "new", score: Rule | None = None) -> VariantScores:
    rows = {}
    for number, reply in enumerate(replies):
        row = case_result(f"c{number:03}", 0.0, "refund")
        made = replace(row.case, score=score, expected="Your", format=()) if score else row.case
        rows[row.case.id] = replace(row, case=made, replies=(reply,), scores=(Score(0.0, None),))
    return VariantScores(name, rows)


def ended(reply: Reply, before: Reply = GOOD, *, tuned: bool = True, **more: Any) -> str:
    """Return what is named of 40 replies that end as *reply* does, after those of *before*."""
    sides = (replied(*[one] * 40, **more) for one in (before, reply))
    return kind_lines(ending_causes(*sides, tuned=tuned))


ENDINGS: dict[Cause, Sides] = {
    Cause.ENDS_AT_ONCE: (lambda _: ended(EMPTY), lambda _: ended(Reply(text="", stop="refusal"))),
    Cause.EMPTY: (lambda _: ended(EMPTY, tuned=False), lambda _: ended(EMPTY, EMPTY, tuned=False)),
    Cause.RUNS_ON: (
        lambda _: ended(ON, before=LONG),
        # The whole answer just fits, and a longer reply is wanted where it is looked for.
        lambda _: (
            ended(Reply(text="refund", stop="length"), before=LONG)
            + ended(LONG, before=LONG, score=Rule("contains"))
        ),
    ),
    Cause.GOES_ON: (lambda _: ended(ON, tuned=False), lambda _: ended(LONG, tuned=False)),
    Cause.CUT_OFF: (
        lambda _: ended(LONG),
        lambda _: ended(LONG, tuned=False) + ended(LONG, before=LONG),
    ),
    Cause.THOUGHT: (lambda _: ended(OPEN), lambda _: ended(CLOSED)),
}

# What regressed cases have in common --------------------------------------------------------------


def regressed(*, fault: str, others: int = 0, before: bool = False) -> str:
    """Return the headline on 20 regressed cases of 200 that all have *fault*, as *others* have."""

    def side(name: str, wrong: int, faults: int) -> VariantScores:
        rows = {}
        for number in range(200):
            row = case_result(f"c{number:03}", float(number >= wrong), "refund")
            has = number < faults
            error = FormatError("fenced") if has and fault == "broken" else None
            reply = Reply(text="refund", stop="length" if has and fault == "cut" else "end")
            score = replace(row.scores[0], format_error=error)
            rows[row.case.id] = replace(row, replies=(reply,), scores=(score,))
        return VariantScores(name, rows)

    gate = RateGate(kind="accuracy", line=7, max_drop=0.05)
    sides = side("new", 20, 20 + others), side("current", 0, 20 if before else 0)
    return headline(rate_verdict(gate, *sides))


COMMON = {
    "broken": (
        "20 of 20 regressed cases broke their format",
        lambda _: regressed(fault="broken"),
        lambda _: regressed(fault="broken", others=170) + regressed(fault="broken", before=True),
    ),
    "cut": (
        "20 of 20 regressed cases were cut off by max_tokens",
        lambda _: regressed(fault="cut"),
        lambda _: regressed(fault="cut", others=170) + regressed(fault="cut", before=True),
    ),
}


def habitual(kind: str, *, lenient: bool) -> str:
    """Return the headline of a format gate whose replies a strict, or any, reader rejects."""
    new = variant_scores("new", [1.0] * 200)
    error = FormatError(kind, rules=("json_schema",), lenient=lenient)
    rows = {
        key: replace(row, scores=(replace(row.scores[0], format_error=error),))
        for key, row in list(new.results.items())[:60]
    }
    gate = RateGate(kind="format", line=7, max_drop=0.05)
    sides = VariantScores("new", {**new.results, **rows}), variant_scores("current", [1.0] * 200)
    return headline(rate_verdict(gate, *sides))


def habit_row(kind: str) -> Row:
    # What no reader repairs is more than a habit.
    return (
        f"{kind}: the model began to",
        lambda _: habitual(kind, lenient=True),
        lambda _: habitual(kind, lenient=False),
    )


# Kinds of loss ------------------------------------------------------------------------------------


def lost(now: str, before: str = "The capital of Japan is Tokyo.", **reply: Any) -> str:
    was, is_ = (case_result("c", 0.0, text, skill="facts") for text in (before, now))
    is_ = replace(is_, replies=(Reply(text=now, **reply),))
    return LossClassifier(suite()).classify(was, is_)


LOOP, SORRY = "go go go go go go go go", "I'm sorry, but I can't help with that."
LOSSES = {
    Loss.FORMAT: (lambda: lost("refund"), lambda: lost("refund", "late_delivery")),
    Loss.CONTENT: (lambda: lost("It is Kyoto."), lambda: lost("japan_capital")),
    Loss.EMPTY: (lambda: lost(" "), lambda: lost("", stop="length")),
    Loss.REFUSAL: (lambda: lost(SORRY), lambda: lost(SORRY, SORRY)),
    Loss.LANGUAGE: (
        lambda: lost("日本の首都は京都です。"),
        lambda: lost("京都です。", "東京です。"),
    ),
    Loss.REPETITION: (lambda: lost(LOOP), lambda: lost(f"{LOOP} go", LOOP)),
    Loss.CUT_OFF: (lambda: lost("", stop="length"), lambda: lost("Ky", stop="length")),
}


def loss_row(kind: Loss) -> Row:
    present, absent = LOSSES[kind]
    return kind, lambda _: present(), lambda _: absent()


# Drift --------------------------------------------------------------------------------------------


def texts(*replies: Reply, fenced: int = 0, name: str = "new") -> VariantScores:
    rows = {}
    for number, reply in enumerate(replies):
        row = case_result(f"c{number:03}", 1.0, "refund", skill=None)
        error = FormatError("fenced") if number < fenced else None
        own = replace(reply, text=reply.text.replace("{}", str(number)))
        rows[row.case.id] = replace(row, replies=(own,), scores=(Score(1.0, error),))
    return VariantScores(name, rows)


def drifted(before: VariantScores, after: VariantScores) -> str:
    gate = RateGate(kind="accuracy", line=7, max_drop=0.05)
    drifts = (
        *format_errors.reply_drifts(suite(gate), gate, before, after),
        *format_errors.skill_drifts(before, after),
    )
    return kind_lines(drift.message for drift in drifts)


def drift(kind: str, before: Reply, after: Reply, near: Reply) -> Row:
    """Return a row of 40 replies such as *before* that become such as *after*, or *near* that."""
    sides = [texts(*[reply] * 40) for reply in (before, after, near)]
    return kind, lambda _: drifted(*sides[:2]), lambda _: drifted(sides[0], sides[2])


ENGLISH = Reply(text="Your order number {} was sent to you yesterday.")
THINKING = Reply(text="refund", thought="x" * 100)
DRIFTS: dict[str, Row] = {
    "length": drift(
        f"{ReplyNote.LENGTH} replies",
        *(ENGLISH, Reply(text=ENGLISH.text * 3), Reply(text=ENGLISH.text + " So")),
    ),
    "refusals": drift(
        f"{ReplyNote.SHARE} refusals",
        *(ENGLISH, Reply(text=SORRY), Reply(text="I can help you with {}.")),
    ),
    "hedging": drift(
        f"{ReplyNote.SHARE} hedging",
        *(ENGLISH, Reply(text="I think it is {}."), Reply(text="It is {}.")),
    ),
    "same text": drift(f"{ReplyNote.SHARE} same text", ENGLISH, GOOD, Reply(text="refund {}")),
    "language": drift(
        ReplyNote.LANGUAGE,
        ENGLISH,
        Reply(text="Ihre Bestellung Nummer {} wurde gestern verschickt."),
        Reply(text="We have shipped number {}, and that was one day ago."),
    ),
    "format errors": (
        ReplyNote.ERROR_MIX,
        lambda _: drifted(texts(*[GOOD] * 40), texts(*[GOOD] * 40, fenced=20)),
        # Fewer errors are no drift that a product suffers from.
        lambda _: drifted(texts(*[GOOD] * 40, fenced=20), texts(*[GOOD] * 40)),
    ),
    "thoughts": drift(f"{ReplyNote.SHARE} thoughts", GOOD, THINKING, GOOD),
    "thought length": drift(
        f"{ReplyNote.LENGTH} thoughts",
        THINKING,
        Reply(text="refund", thought="x" * 200),
        Reply(text="refund", thought="x" * 140),
    ),
    "cut off": drift(f"{ReplyNote.SHARE} cut off", GOOD, CLOSED, THINKING),
}

# Identity -----------------------------------------------------------------------------------------


def probes(provider: str = "x", n: int = 60, **changes: Any) -> list[list[CaseRequest]]:
    """Return requests for *n* cases to a variant, to its base, and to its base again."""
    values = {"model": "m", "messages": (), "max_tokens": 16, "sampling": {}, **changes}
    return [
        [
            CaseRequest(
                case(str(i)), 0, Request(fingerprint=f"{side}{i}", provider=provider, **values)
            )
            for i in range(n)
        ]
        for side in ("tuned", "base", "again")
    ]


def told(*groups: list[CaseRequest], replies: Any) -> dict[str, Reply]:
    """Return the results of requests, whose *replies* are made of side and number."""
    requests = [one.request.fingerprint for group in groups for one in group]
    return {name: replies(name.rstrip("0123456789"), name.strip("abcdefghijklmnopqrstuvwxyz"))
            for name in requests}  # fmt: skip


def compared(tuned: Reply, base: Reply, provider: str = "x", **changes: Any) -> str:
    groups = probes(provider, **changes)
    results = told(*groups, replies=lambda side, _: tuned if side == "tuned" else base)
    return kind_lines([identity.compare_with_base(groups, results).message])


ADAPTER = Adapter(path=Path("a.gguf"), scale=1.0, sha256="abc")
TOKYO, KYOTO = Reply(text="Tokyo"), Reply(text="Kyoto")
HELD, SHORT = Reply(text="", stop="length", thought="Hm"), Reply(text="", stop="length")
UNPROVEN: dict[IdentityNote, Sides] = {
    IdentityNote.SAME_BY_FILES: (
        lambda _: compared(TOKYO, TOKYO, "llamacpp"),
        lambda _: compared(TOKYO, TOKYO, "llamacpp", adapter=ADAPTER),
    ),
    IdentityNote.SAME_BY_ADAPTER: (
        lambda _: compared(TOKYO, TOKYO, "llamacpp", adapter=ADAPTER),
        lambda _: compared(TOKYO, TOKYO, "bedrock"),
    ),
    IdentityNote.SAME_BY_HOST: (
        lambda _: compared(TOKYO, TOKYO, "bedrock"),
        lambda _: compared(KYOTO, TOKYO, "bedrock"),
    ),
    IdentityNote.SAME_BY_SERVER: (
        lambda _: compared(TOKYO, TOKYO, "openai-compatible"),
        lambda _: compared(KYOTO, TOKYO, "openai-compatible"),
    ),
    IdentityNote.EMPTY_REPLIES: (
        lambda _: compared(EMPTY, EMPTY),
        lambda _: compared(SHORT, SHORT),
    ),
    IdentityNote.CUT_OFF_REPLIES: (
        lambda _: compared(SHORT, SHORT),
        lambda _: compared(EMPTY, EMPTY) + compared(HELD, HELD),
    ),
    IdentityNote.CUT_OFF_THOUGHTS: (
        lambda _: compared(HELD, HELD),
        lambda _: compared(SHORT, SHORT),
    ),
}


def recorded(tuned: Reply, base: Reply) -> str:
    groups = probes()[:2]
    results = told(*groups, replies=lambda side, _: tuned if side == "tuned" else base)
    return kind_lines([identity.compare_with_recorded_base(groups, results).message])


def one_sided(check: Any, reply: Reply, *, n: int = 60, **changes: Any) -> str:
    group = probes(n=n, **changes)[0]
    return kind_lines([check(group, told(group, replies=lambda *_: reply)).message])


def seeded(*, equal: bool) -> str:
    first, again = same_seed_requests(probes(sampling={"seed": 3, "temperature": 1.0})[0])
    results = told(first, again, replies=lambda *_: Reply(text="a"))
    changed = {} if equal else {one.request.fingerprint: Reply(text="b") for one in again}
    return kind_lines([identity.check_seed(first, again, results | changed).message])


def tempered(reply: str) -> str:
    group = probes(n=30, sampling={"temperature": 0.7})[0]
    again = [
        replace(one, request=replace(one.request, fingerprint=f"again{one.request.fingerprint}"))
        for one in group
    ]
    results = told(group, again, replies=lambda side, _: Reply(text=reply.format(side)))
    return kind_lines([identity.check_temperature([*group, *again], results).message])


def sampled(*right: float) -> Any:
    return samples_from_scores(variant_scores("current", right), "accuracy")


def redrawn(*, wrong: int) -> str:
    now = sampled(*[0.0] * wrong, *[1.0] * (20 - wrong))
    return kind_lines([identity.drift_note(sampled(*[1.0] * 20), now)])


SCHEMA = {"json_schema": {"type": "object", "required": ["a"], "properties": {"b": {"minimum": 3}}}}
CHECKS: dict[str, Row] = {
    "compare_with_base": (
        IdentityNote.SAME_BY_HOST,
        lambda _: compared(TOKYO, TOKYO),
        lambda _: compared(Reply(text="Tokyo."), TOKYO),
    ),
    "compare_with_recorded_base": (
        IdentityNote.SAME_AS_RECORDED,
        lambda _: recorded(TOKYO, TOKYO),
        lambda _: recorded(KYOTO, TOKYO),
    ),
    "check_served_model": (
        NoteKind.TEXT,
        lambda _: one_sided(identity.check_served_model, Reply(text="a", model="n")),
        lambda _: one_sided(identity.check_served_model, Reply(text="a", model="m-20261001")),
    ),
    "check_parent_model": (
        IdentityNote.OTHER_PARENT,
        lambda _: one_sided(
            lambda *both: identity.check_parent_model("base", *both),
            Reply(text="a", facts={"parent": "other"}),
        ),
        lambda _: one_sided(
            lambda *both: identity.check_parent_model("base", *both),
            Reply(text="a", facts={"parent": "base-20261001"}),
        ),
    ),
    "check_constraint": (
        IdentityNote.IGNORED_SCHEMA,
        lambda _: one_sided(identity.check_constraint, Reply(text="{}"), constraint=SCHEMA),
        # No server promises a bound.
        lambda _: one_sided(
            identity.check_constraint, Reply(text='{"a": 1, "b": 1}'), constraint=SCHEMA
        ),
    ),
    "check_temperature": (
        IdentityNote.NO_TEMPERATURE,
        lambda _: tempered("always the same five words"),
        lambda _: tempered("always other words, as {}"),
    ),
    "check_seed": (
        IdentityNote.NO_SEED,
        lambda _: seeded(equal=False),
        lambda _: seeded(equal=True),
    ),
    "server_notices": (
        IdentityNote.REJECTED,
        lambda _: notices("seed"),
        lambda _: notices("top_k"),
    ),
    "drift_note": (
        IdentityNote.BASELINE_DRIFTED,
        lambda _: redrawn(wrong=7),
        lambda _: redrawn(wrong=6),
    ),
}


def notices(setting: str) -> str:
    group = probes(n=1)[0]
    results = told(group, replies=lambda *_: Reply(text="a", unsent=(setting,)))
    return kind_lines(one.message for one in identity.server_notices(group, results, {"seed"}))


# Notes --------------------------------------------------------------------------------------------


def retrieved(text: str) -> str:
    rows = {
        key: replace(
            row, replies=(Reply(text="no", passages=(Passage(source="a.md", text=text),)),)
        )
        for key, row in variant_scores("new", [0.0] * 80 + [1.0] * 120).results.items()
    }
    gate = RateGate(kind="accuracy", line=7, max_drop=0.05)
    sides = VariantScores("new", rows), variant_scores("current", [1.0] * 200)
    return kind_lines(rate_verdict(gate, *sides).notes)


def rated(*replies: Reply, missing: int = 0) -> str:
    rows = dict(replied(*replies).results)
    for key in list(rows)[:missing]:
        rows[key] = replace(rows[key], replies=(), scores=(), missing_reasons=("it timed out",))
    gate, scores = RateGate(kind="accuracy", line=7, min=0.5), VariantScores("new", rows)
    return "\n".join(note_texts(rate_verdict(gate, scores, scores).notes))


def shown(fenced: int) -> str:
    gate = RateGate(kind="accuracy", line=7, max_drop=0.05)
    sides = texts(*[GOOD] * 100, fenced=fenced), texts(*[GOOD] * 100, name="current")
    return kind_lines(rate_verdict(gate, *sides).notes)


NEVER = replace(validation(), labels=0)
NOTES: dict[str, Row] = {
    "judge_notes": (
        "no labels have examined it",
        lambda _: "\n".join(note_texts(judge_notes(evidence(NEVER)))),
        lambda _: "\n".join(note_texts(judge_notes(evidence()))),
    ),
    "judge_notes, constant": (
        "the judge says the same of all 40 replies",
        lambda _: "\n".join(note_texts(judge_notes(evidence(NEVER, constant_grades=40)))),
        lambda _: "\n".join(note_texts(judge_notes(evidence(constant_grades=40)))),
    ),
    "retrieval_notes": (
        ReplyNote.NOT_RETRIEVED,
        lambda _: retrieved("It is wrong."),
        lambda _: retrieved("It is right."),
    ),
    "no_answer_notes": (
        "were cut off before an answer",
        lambda _: "\n".join(
            note_texts(no_answer_notes(replied(*[GOOD] * 40), replied(*[SHORT] * 40)))
        ),
        lambda _: "\n".join(
            note_texts(no_answer_notes(replied(*[GOOD] * 40), replied(*[LONG] * 40)))
        ),
    ),
    "rate_notes, cut off": (
        "were cut off by max_tokens, which counts as wrong",
        lambda _: rated(*[LONG] * 40),
        lambda _: rated(*[replace(LONG, stop="stop")] * 40),
    ),
    "rate_notes, refused": (
        "were refused, which counts as wrong",
        lambda _: rated(*[Reply(text=SORRY, stop="refusal")] * 40),
        lambda _: rated(*[Reply(text="Refused by us.")] * 40),
    ),
    "rate_notes, missing": (
        "no reply to 2 of 40 cases; first: it timed out",
        lambda _: rated(*[GOOD] * 40, missing=2),
        lambda _: rated(*[EMPTY] * 40),
    ),
    "drift_notes": (f"{ReplyNote.ERROR_SHARE} fenced", lambda _: shown(20), lambda _: shown(3)),
    "template_notes": (Cause.TEMPLATE, *FILES[Cause.TEMPLATE]),
}

ROWS: dict[str, Row] = {
    **{f"cause {cause.name}": (cause, *row) for cause, row in (FILES | ENDINGS).items()},
    **{f"common {name}": row for name, row in COMMON.items()},
    **{f"habit {kind}": habit_row(kind) for kind in format_errors._HABITS},
    **{f"loss {kind.name}": loss_row(kind) for kind in LOSSES},
    **{f"drift {kind}": row for kind, row in DRIFTS.items()},
    **{f"unproven {kind.name}": (kind, *row) for kind, row in UNPROVEN.items()},
    **{f"identity {name}": row for name, row in CHECKS.items()},
    **{f"note {name}": row for name, row in NOTES.items()},
}


#: The kinds of rows, each of which is one test.
ABOUT = ("cause", "common", "habit", "loss", "drift", "unproven", "identity", "note")


@pytest.mark.parametrize("about", ABOUT)
def test_each_cause_is_named_where_it_is_present_and_not_where_it_nearly_is(about, tmp_path):
    rows = {name: row for name, row in ROWS.items() if name.startswith(f"{about} ")}

    named = {}
    for number, (name, (words, *sides)) in enumerate(rows.items()):
        folders = [tmp_path / f"{number} {side}" for side in ("present", "absent")]
        for folder in folders:
            folder.mkdir()
        named[name] = [words in side(at) for side, at in zip(sides, folders, strict=True)]

    assert named
    assert named == {name: [True, False] for name in rows}


def note_makers() -> set[str]:
    """Return the public functions of the room that make notes."""
    trees = (ast.parse(file.read_text("utf-8")) for file in Path(*gates.__path__).glob("*.py"))
    functions = (node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef))
    return {node.name for node in functions if node.name.endswith("_notes") and node.name[0] != "_"}


def identity_checks() -> set[str]:
    """Return the public functions that compare what answers with what the suite declares."""
    functions = inspect.getmembers(identity, inspect.isfunction)
    own = {
        name: made
        for name, made in functions
        if made.__module__ == identity.__name__ and name[0] != "_"
    }
    return {name for name, made in own.items() if "IdentityResult" in str(made.__annotations__)} | {
        "drift_note"
    }


#: What is said of a model in counts alone, and what its server announces.
NO_CAUSES = {
    *(IdentityNote.PROVEN, IdentityNote.FEW_REPLIES, IdentityNote.BASE_VARIES),
    *(IdentityNote.BASE_RECORDED, IdentityNote.BROKEN_SCHEMA, IdentityNote.REPLACED),
    IdentityNote.RETIRES,
}


def test_every_cause_in_the_code_has_a_row():
    causes = {
        *(f"cause {cause.name}" for cause in Cause),
        *(f"common {name}" for name in phrases._CHANGES),
        *(f"habit {kind}" for kind in format_errors._HABITS),
        *(f"loss {kind.name}" for kind in Loss),
        *(f"drift {kind}" for kind in get_args(DriftKind)),
        *(f"identity {name}" for name in identity_checks()),
        *(f"note {name}" for name in note_makers()),
    }

    names = {name.partition(",")[0] for name in ROWS}
    assert {name for name in names if not name.startswith("unproven ")} == causes
    assert {*IdentityNote} - {kind for kind, *_ in ROWS.values()} == NO_CAUSES
    assert {*phrases._HABITS} == {*format_errors._HABITS}
    assert {name.partition(" ")[0] for name in ROWS} == {*ABOUT}
