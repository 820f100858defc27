"""Kinds of notes about training data, replies, the model behind them, and causes of failures."""

from __future__ import annotations

from enum import StrEnum


class FindingKind(StrEnum):
    """What is wrong with training data; the text of a row that cannot be read is a ``TEXT``."""

    FEW_ROWS = "few training rows"
    TURNS = "misplaced turns"
    TOO_LONG = "long rows"
    UNVERIFIED = "unverified rows"
    SENSITIVE = "sensitive rows"
    DUPLICATE = "repeated rows"
    NEAR_DUPLICATE = "nearly repeated rows"
    CONFLICT = "conflicting answers"
    FORMAT = "malformed answers"
    THOUGHTS = "thoughts in answers"
    MIXED_THOUGHTS = "mixed thoughts"
    MISSING_LABEL = "missing labels"
    RARE_LABEL = "rare label"
    DOUBTFUL_LABEL = "doubtful labels"
    NEW_FACTS = "new facts"
    LEAK = "leaked cases"
    NEAR_LEAK = "nearly leaked cases"


class Remedy(StrEnum):
    """What to do about a finding."""

    SHOW_EXAMPLES = "show examples"
    ADD_ROWS = "add rows"
    JOIN_TURNS = "join turns"
    SHORTEN = "shorten rows"
    REVIEW = "review rows"
    REVOKE = "revoke secrets"
    INVENT = "invent data"
    REMOVE = "remove rows"
    VARY = "vary rows"
    CHOOSE = "choose one answer"
    WRITE_AS_REPLIES = "format answers"
    CHECK_THOUGHTS = "check thoughts"
    ADD_LABELS = "add missing labels"
    ADD_RARE = "add rare labels"
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
    ERROR_MIX = "format error mix"
    ERROR_SHARE = "format error share"
    NOT_RETRIEVED = "answer not retrieved"
    BROKEN_FORMATS = "broken formats"
    UNLINKED_FORMATS = "unlinked formats"


class IdentityNote(StrEnum):
    """What replies show, or do not show, about the model that gave them."""

    PROVEN = "proven"
    # Why the replies of a tuned model and of its base may be the same.
    SAME_BY_ADAPTER = "same by adapter"
    SAME_BY_FILES = "same by files"
    SAME_BY_HOST = "same by host"
    SAME_BY_SERVER = "same by server"
    SAME_AS_RECORDED = "same as recorded"
    # Why nothing is proven.
    BASE_VARIES = "base varies"
    BASE_RECORDED = "base is recorded"
    FEW_REPLIES = "few probes"
    EMPTY_REPLIES = "empty probes"
    CUT_OFF_REPLIES = "cut off probes"
    CUT_OFF_THOUGHTS = "thinking probes"
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
    SCALE = "adapter scale"
    CONVERTED_SCALE = "converted scale"
    SERVED_SCALE = "served scale"
    OTHER_BASE = "another base"
    QUANTISED = "quantised weights"
    ENDS_AT_ONCE = "ends at once"
    EMPTY = "empty replies"
    RUNS_ON = "model runs on"
    GOES_ON = "replies run on"
    CUT_OFF = "replies cut off"
    THOUGHT = "open thoughts"
