"""The keys by which an author declares money, thresholds of the ladder, and the gate on data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictBool

from pytest_ftgate.suite.bounds import Count, Declared, Number, Positive, Share

__all__ = ["DeclaredData", "DeclaredEconomics", "DeclaredLadder", "DeclaredSpend", "Rung"]

Rung = Literal[
    "no-model",
    "smaller-model",
    "prompt",
    "few-shot",
    "stronger-model",
    "structured-output",
    "rag",
    "tools",
    "fine-tuned",
]


class DeclaredSpend(Declared):
    """What a variant takes besides the price of its calls."""

    training_usd: Number | None = None
    hosting_usd_per_month: Number | None = None
    adapters_on_server: Count | None = None
    retrainings_per_year: Number | None = None
    evaluation_usd: Number | None = None
    evaluations_per_month: Number | None = None
    batched: Share | None = None
    cached: Share | None = None


class DeclaredEconomics(DeclaredSpend):
    """How often the product calls its model, and what its variants take besides."""

    calls_per_day: Positive
    wrong_usd: Number | None = None
    variants: dict[str, DeclaredSpend] = Field(default_factory=dict)


class DeclaredLadder(Declared):
    """Where the rules of the advice draw their lines."""

    worth: Share | None = None
    fewest_examples: Count | None = None
    wanted_examples: Count | None = None
    most_changes: Count | None = None
    long_prompt: Count | None = None
    costly_prompt: Count | None = None
    form_faults: Share | None = None
    knowledge: Share | None = None
    payback_days: Positive | None = None
    retirement_days: Count | None = None
    tokens_per_word: Positive | None = None
    local_only: StrictBool | None = None


class DeclaredData(Declared):
    """The gate on training data."""

    min_rows: Count = 200
    want_rows: Count = 500
    near: Share = 0.8
    balance: Positive = 20.0
    context: Count | None = None
    ignore: tuple[str, ...] = ()
