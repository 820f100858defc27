"""Kinds of notes about training data, replies, the model behind them, and causes of failures."""

from __future__ import annotations

from enum import StrEnum


class FindingKind(StrEnum):
    """What is wrong with training data; the text of a row that cannot be read is a ``TEXT``."""

    FEW_ROWS = "few rows to learn from"
    TURNS = "turns out of order"
    TOO_LONG = "rows longer than the context"
    UNVERIFIED = "rows without a reviewer"
    SENSITIVE = "sensitive data in rows"
    DUPLICATE = "repeated rows"
    NEAR_DUPLICATE = "nearly repeated rows"
    CONFLICT = "different answers to a question"
    FORMAT = "answers that break the format"
    THOUGHTS = "thoughts in answers"
    MIXED_THOUGHTS = "thoughts in some answers"
    MISSING_LABEL = "labels without a row"
    RARE_LABEL = "rare label"
    DOUBTFUL_LABEL = "doubtful labels"
    NEW_FACTS = "new facts in answers"
    LEAK = "cases in training data"
    NEAR_LEAK = "cases nearly in training data"


class Remedy(StrEnum):
    """What to do about a finding."""

    SHOW_EXAMPLES = "show examples in the prompt"
    ADD_ROWS = "add rows"
    JOIN_TURNS = "join turns"
    SHORTEN = "shorten rows"
    REVIEW = "review rows"
    REVOKE = "revoke secrets"
    INVENT = "invent data"
    REMOVE = "remove rows"
    VARY = "vary rows"
    CHOOSE = "choose one answer"
    WRITE_AS_REPLIES = "write answers as replies"
    CHECK_THOUGHTS = "check thoughts"
    ADD_LABELS = "add rows of labels"
    ADD_RARE = "add rows of rare labels"
    READ_LABELS = "read labels"
    RETRIEVE = "retrieve facts"
    TAKE_OUT = "take rows out"


class ReplyNote(StrEnum):
    """What is true of all replies, or of those to regressed cases.

    Values: *what* has changed, *before* and *after* of it; *unit* of a length.
    """

    SHARE = "share of replies"
    LENGTH = "length of replies"
    LANGUAGE = "language of replies"
    ERROR_MIX = "mix of format errors"
    ERROR_SHARE = "share of a format error"
    NOT_RETRIEVED = "answer not retrieved"
    BROKEN_FORMATS = "broken formats"
    UNLINKED_FORMATS = "broken formats without effect"


class IdentityNote(StrEnum):
    """What replies show, or do not show, about the model that gave them."""

    PROVEN = "proven"
    # Why the replies of a tuned model and of its base may be the same.
    SAME_BY_ADAPTER = "same as the base by its adapter"
    SAME_BY_FILES = "same as the base by its files"
    SAME_BY_HOST = "same as the base by its host"
    SAME_BY_SERVER = "same as the base by its server"
    SAME_AS_RECORDED = "same as the recorded base"
    # Why nothing is proven.
    BASE_VARIES = "base varies"
    BASE_RECORDED = "base is recorded"
    FEW_REPLIES = "few replies to compare"
    EMPTY_REPLIES = "empty replies to compare"
    CUT_OFF_REPLIES = "cut off replies to compare"
    CUT_OFF_THOUGHTS = "cut off thoughts to compare"
    # What the server states or does.
    OTHER_PARENT = "another parent"
    BROKEN_SCHEMA = "broken schema"
    IGNORED_SCHEMA = "ignored schema"
    NO_TEMPERATURE = "temperature without effect"
    NO_SEED = "seed without effect"
    REJECTED = "rejected setting"
    REPLACED = "replaced setting"
    RETIRES = "retirement"
    BASELINE_DRIFTED = "baseline has drifted"


class Cause(StrEnum):
    """What probably made a gate fail."""

    TEMPLATE = "another chat template"
    SCALE = "scale of the adapter"
    CONVERTED_SCALE = "scale of a converted adapter"
    SERVED_SCALE = "scale at the server"
    OTHER_BASE = "another base"
    QUANTISED = "quantised weights"
    ENDS_AT_ONCE = "model ends at once"
    EMPTY = "empty replies"
    RUNS_ON = "model runs on"
    GOES_ON = "replies run on"
    CUT_OFF = "replies cut off"
    THOUGHT = "thoughts do not end"
