"""Do you need to fine-tune? A team that has measured every rung is told, and what it costs."""

from __future__ import annotations

from ftgate_testing.recorded_advice import advice_of
from ftgate_testing.reference_case import write

from pytest_ftgate.recommend.advice import ReasonKind


def months_of(advice):
    return {row.variant: round(row.usd_per_month, 6) for row in advice.rungs}


def test_at_five_thousand_a_day_the_adapter_pays_and_the_hosted_fine_tune_does_not(desk):
    write(desk.path(""), 5_000)

    result = desk.run("--ftgate-ladder")
    advice = advice_of(desk)

    assert (advice.recommendation, advice.subject) == ("fine-tune", "lora")
    months = months_of(advice)
    assert (months["descriptions"], months["lora"], months["hosted"]) == (750, 210, 1_560)
    (refused,) = (one.note for one in advice.reasons if one.variant == "hosted")
    why = refused.values["reason"]
    assert (refused.kind, why.kind) == (ReasonKind.REJECTED, ReasonKind.CHEAPER_FROM)
    assert round(why.values["break_even"]) == 10_870
    result.stdout.fnmatch_lines(
        [
            "  for and against fine-tuning (* needed)",
            "  * gap *for *",
            "  cheaper  than          from requests a day  saves/month  days to pay back",
            "  hosted   descriptions               10,870      nothing",
            "  lora     descriptions                1,087       540.00               2.2",
            "  lora     strong                         84     8,790.00               0.1",
        ]
    )
    assert max(map(len, result.outlines[result.outlines.index("  FINE-TUNE: lora") :])) <= 80
