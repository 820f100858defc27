"""Kinds of notes about training data: what is wrong with it, and what to do about it."""

from __future__ import annotations

from enum import StrEnum


class FindingKind(StrEnum):
    """What is wrong with training data; the text of a row that cannot be read is a ``TEXT``."""

    FEW_ROWS = "few rows"
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
