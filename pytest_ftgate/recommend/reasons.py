"""The kinds of reasons and notes of an advice; ``reporting.notes`` has their words."""

from __future__ import annotations

from enum import StrEnum


class ReasonKind(StrEnum):
    """What a reason, a condition or a note of an advice says. The words name its values."""

    # The gap between a fine-tune and the best untuned variant.
    GAIN_IS_WORTH_IT = "worth it"
    AS_GOOD_AND_CHEAPER = "good and cheaper"
    GAIN_TOO_SMALL = "gain too small"
    NOT_SHOWN_AS_GOOD = "not shown good"
    MAY_BE_CHANCE = "may be chance"
    NO_GAIN = "no gain"
    MINIMUM = "minimum"
    # Labelled rows, and changes of the task.
    NO_TRAINING_DATA = "no training data"
    TOO_FEW_ROWS = "too few rows"
    FEW_ROWS = "few rows"
    ENOUGH_ROWS = "enough rows"
    CHANGES_UNKNOWN = "changes unknown"
    CHANGES = "changes"
    MANY_CHANGES = "many changes"
    # What is missing: knowledge, a shorter prompt, a format.
    KNOWLEDGE_IS_MISSING = "knowledge is missing"
    BEHAVIOUR_IS_MISSING = "behaviour is missing"
    COSTLY_PROMPT = "costly prompt"
    LONG_PROMPT = "long prompt"
    SHORT_PROMPT = "short prompt"
    FORMAT_UNDER_SCHEMA = "errors under schema"
    FORMAT_WITHOUT_SCHEMA = "errors without schema"
    MUST_RUN_HERE = "must run here"
    # Money.
    PRICE_UNKNOWN = "price unknown"
    PAID_BACK = "paid back"
    PAID_BACK_LATE = "paid back late"
    WORTH_ITS_PRICE = "worth its price"
    PRICE_OF_GAIN = "price of gain"
    NEVER_CHEAPER = "never cheaper"
    CHEAPER_FROM = "cheaper from"
    # Gates, challengers, and the end of a model.
    GATES = "gates"
    CHALLENGER_IS_AS_GOOD = "good challenger"
    NO_CHALLENGER = "no challenger"
    RETIRES = "retires"
    # Reasons of a recommendation.
    ACCURACY = "accuracy"
    GAIN = "gain"
    COSTS_MORE = "costs more"
    REJECTED = "rejected"
    FAILS_GATES = "fails gates"
    ONLY_FINE_TUNES = "only fine-tunes"
    # Why a rung comes next.
    NO_EXAMPLES = "no examples"
    NO_STRONGER_MODEL = "no stronger model"
    FORMAT_ERRORS = "format errors"
    NO_RETRIEVAL = "no retrieval"
    NO_TOOLS = "no tools"
    # Notes on the whole.
    JUDGED = "judged"
    UNMEASURED = "unmeasured"
    UNANSWERED = "unanswered"
    UNSCORED = "unscored"
    HELD_OUT_NOT_SENT = "held-out unsent"
