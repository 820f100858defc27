"""What must be known of a tuned variant: by the accepted record, else by replies, else assumed."""

from __future__ import annotations

from contextlib import closing
from itertools import chain

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.fake_provider import House

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.gates.needs import ScoreRequest
from pytest_ftgate.gates.statements import Statement, StatementKind
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.requests.request_groups import ROOM_TO_THINK
from pytest_ftgate.results.accepted import AcceptedRecord, write_record
from pytest_ftgate.runner.planner import TunedFacts
from pytest_ftgate.runner.probe import Probe, engine
from pytest_ftgate.suite.cases import leveled_cases
from pytest_ftgate.suite.skill_levels import REFERENCE_LEVEL, LevelChoice

FAMILY = "hard-mathematics"
GATES = "{forgetting: {skills: [logic, hard-mathematics], max_drop: 0.1}}"
ASSUMED = LevelChoice(FAMILY, REFERENCE_LEVEL, is_assumed=True)
#: The cases of the family by what they ask.
ASKED = {
    tuple(text for _, text in case.messages) or (case.input,): case
    for level in (*range(1, 6), None)
    for case in leveled_cases(FAMILY, level)
}


def answers(level: int, *, thinks: bool = False):
    """Return what models say that master the family up to *level*, in 8 of 10 cases there."""

    def says(request):
        thought = "<think>Let me see.</think>" if thinks else ""
        case = ASKED.get(tuple(text for _, text in request.messages))
        return thought + (answer_to(case, level) if case else request.model)

    return says


def answer_to(case, level: int) -> str:
    number = int("".join(filter(str.isdigit, case.id[-3:])))
    is_right = case.difficulty < level or (case.difficulty == level and number % 10 < 8)
    return f"Answer: {case.answers[0]}" if is_right else "no idea"


@pytest.fixture
def tuned(house: House) -> House:
    house.write(GATES, base="parent")
    house.says = answers(2)
    return house


@pytest.fixture
def suite(tuned):
    return tuned.suite()


@pytest.fixture
def draft(suite):
    return suite.variants["draft"]


@pytest.fixture
def session(tuned):
    return tuned.session()


@pytest.fixture
def probe(session) -> Probe:
    return session.probe


def accept(suite, **known) -> None:
    record = AcceptedRecord(suite=suite.name, at="2026-11-24T00:00:00Z", **known)
    write_record(suite.accepted_path, record)


def fingerprints(plan) -> list[str]:
    return [
        one.fingerprint
        for one in plan.requests(ScoreRequest(variant="draft", of_gate="forgetting"))
    ]


# --- levels --------------------------------------------------------------------------------------


def test_the_base_chooses_the_levels_and_plans_that_were_made_before_keep_theirs(
    tuned, probe, suite, draft
):
    assert probe.facts(suite, draft) == TunedFacts(levels=(ASSUMED,))
    before = probe.plan(suite, draft)
    asked = fingerprints(before)
    assert tuned.asked == []

    probe.ask_pilots([(suite, draft)])

    (choice,) = probe.facts(suite, draft).levels
    assert (choice.family, choice.level, choice.is_assumed) == (FAMILY, 2, False)
    assert choice.rate == pytest.approx(0.8, abs=0.1)
    assert {model for model, _ in tuned.asked} == {"parent"}
    after = probe.plan(suite, draft)
    assert before.facts.levels == (ASSUMED,)
    assert fingerprints(before) == asked != fingerprints(after)
    assert probe.plan(suite, draft) == after


# A family that was accepted as too hard stays left out.
@pytest.mark.parametrize(("accepted", "level"), [(4, 4), (0, None)])
def test_accepted_levels_need_no_pilot(tuned, probe, suite, draft, accepted, level):
    accept(suite, skill_levels={"draft": {FAMILY: accepted}})

    probe.ask_pilots([(suite, draft)])

    assert probe.facts(suite, draft).levels == (LevelChoice(FAMILY, level),)
    assert tuned.asked == []


def test_replies_of_an_earlier_run_are_stronger_than_an_assumption_and_weaker_than_a_record(
    tuned, suite, draft
):
    with closing(tuned.session()) as first:
        first.probe.ask_pilots([(suite, draft)])
        chosen = first.probe.facts(suite, draft)
    asked = len(tuned.asked)

    assert tuned.session().probe.facts(suite, draft) == chosen
    accept(suite, skill_levels={"draft": {FAMILY: 4}})
    assert tuned.session().probe.facts(suite, draft).levels == (LevelChoice(FAMILY, 4),)
    assert len(tuned.asked) == asked


@pytest.mark.parametrize(
    "levels",
    [{"other": {FAMILY: 4}}, {"draft": {"hard-knowledge": 4}}],
    ids=["of another variant", "of another family"],
)
def test_a_record_that_lacks_a_family_leaves_the_choice_to_the_base(probe, suite, draft, levels):
    accept(suite, skill_levels=levels)

    assert probe.facts(suite, draft).levels == (ASSUMED,)
    probe.ask_pilots([(suite, draft)])
    assert probe.facts(suite, draft).levels[0].level == 2


def test_what_a_base_chose_in_another_engine_is_refused_with_what_to_do(probe, suite, draft):
    facts = {"provider": "llamacpp", "model": "parent.gguf"}
    verdict = Verdict(
        suite=suite.name, line=1, gate="forgetting", variant="draft", outcome=Outcome.PASSED,
        statement=Statement(StatementKind.RATE, {"measure": "accuracy"}), facts=facts,
    )  # fmt: skip
    accept(suite, skill_levels={"draft": {FAMILY: 4}}, verdicts=(verdict,))

    with pytest.raises(SuiteError) as raised:
        probe.facts(suite, draft)

    message = str(raised.value)
    assert "chosen by its base in llamacpp, and this run asks " in message
    assert "Accept a run again (pytest --ftgate --ftgate-accept)" in message


@pytest.mark.parametrize(("then", "now", "is_same"), [
    ({"model": "base.Q8_0.gguf", "adapter": "v1"}, {"model": "base.Q8_0.gguf", "adapter": "v2"}, 1),
    ({"model": "base.Q8_0.gguf", "adapter": "v1"}, {"model": "base.Q4_0.gguf", "adapter": "v1"}, 0),
    # Whole models have the name of their training.
    ({"model": "tuned-v1.gguf"}, {"model": "tuned-v2.gguf"}, 1),
])  # fmt: skip
def test_an_engine_is_the_provider_and_below_an_adapter_the_base(then, now, is_same):
    one, other = (engine({"provider": "llamacpp", **facts}) for facts in (then, now))

    assert (one == other) == bool(is_same)


def test_a_run_that_accepts_goes_on_with_no_record(tuned, suite, draft):
    accept(suite, skill_levels={"draft": {FAMILY: 4}}, rooms={"draft": 512})

    assert tuned.session(accept=True).probe.facts(suite, draft) == TunedFacts(levels=(ASSUMED,))


# --- room to think -------------------------------------------------------------------------------


@pytest.mark.parametrize(("thinks", "accepted"), [(ROOM_TO_THINK, 0), (0, 0), (ROOM_TO_THINK, 512)])
def test_models_that_are_seen_to_think_have_room_to_think_unless_another_was_accepted(
    tuned, probe, suite, draft, thinks, accepted
):
    tuned.says = answers(2, thinks=bool(thinks))
    if accepted:
        accept(suite, rooms={"draft": accepted})
    # A thought of the pilot alone chooses none.
    probe.ask_pilots([(suite, draft)])
    assert probe.facts(suite, draft).room == accepted
    tuned.asked.clear()

    probe.ask_first_probes([(suite, draft)])

    assert probe.facts(suite, draft).room == (accepted or thinks)
    assert sorted(model for model, _ in tuned.asked) == ["draft"] * 3 + ["parent"] * 3


def test_a_model_that_is_known_to_think_has_room_without_a_reply(tuned, probe):
    tuned.write(GATES, base="deepseek-r1")
    suite = tuned.suite()
    draft = suite.variants["draft"]

    probe.ask_first_probes([(suite, draft)])

    assert probe.facts(suite, draft).room == ROOM_TO_THINK
    assert tuned.asked == []


def test_a_room_that_was_kept_from_an_earlier_run_is_not_chosen_again(tuned, probe, suite, draft):
    tuned.says = answers(2, thinks=True)
    probe.keep_room(suite, draft, 0)

    probe.ask_first_probes([(suite, draft)])

    assert probe.first_probes(suite, draft) == ()
    assert probe.plan(suite, draft).first_probes == ()
    assert probe.facts(suite, draft).room == 0
    assert tuned.asked == []


def test_the_pilot_has_the_room_that_the_first_probes_chose(tuned, probe, suite, draft):
    tuned.says = answers(2, thinks=True)
    narrow = probe.plan(suite, draft).pilot

    probe.ask_first_probes([(suite, draft)])

    wide = probe.plan(suite, draft).pilot
    limits = zip(narrow, wide, strict=True)
    assert {after.request.max_tokens - before.request.max_tokens for before, after in limits} == {
        ROOM_TO_THINK
    }
    probe.ask_pilots([(suite, draft)])
    assert probe.facts(suite, draft).levels[0].level == 2


# --- others --------------------------------------------------------------------------------------


def test_a_recorded_base_chooses_the_levels_without_a_request(tuned):
    rows = [{"id": case.id, "text": answer_to(case, 3)} for case in ASKED.values()]
    write_rows(tuned.folder / "base.jsonl", rows)
    tuned.write(GATES, base="parent, base_replies: base.jsonl")
    suite, probe = tuned.suite(), tuned.session().probe
    draft = suite.variants["draft"]

    probe.ask_pilots([(suite, draft)])

    assert probe.facts(suite, draft).levels[0].level == 3
    assert len(probe.plan(suite, draft).probe_stages) == 1
    assert tuned.asked == []


def test_nothing_is_to_be_known_of_an_untuned_variant_nor_of_skills_without_levels(
    tuned, probe, suite
):
    current = suite.variants["current"]
    probe.ask_first_probes([(suite, current)])
    probe.ask_pilots([(suite, current)])
    assert probe.plan(suite, current).facts == TunedFacts()

    tuned.write("{forgetting: {skills: [logic], max_drop: 0.1}}", base="parent")
    plain = tuned.suite()
    probe.ask_pilots([(plain, plain.variants["draft"])])
    assert probe.facts(plain, plain.variants["draft"]) == TunedFacts()
    assert tuned.asked == []


def test_a_record_that_is_not_valid_stops_a_plan_but_no_first_probe(tuned, probe, suite, draft):
    suite.accepted_path.write_text("{", "utf-8")

    probe.ask_first_probes([(suite, draft)])
    probe.ask_pilots([(suite, draft)])
    with pytest.raises(SuiteError):
        probe.plan(suite, draft)

    probes = [*chain.from_iterable(probe.first_probes(suite, draft))]
    assert len(tuned.asked) == len(probes) == 6
