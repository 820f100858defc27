"""Notes: what a reader should know, as kinds with values; ``reporting.notes`` has their words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: A value of a note, which may be another note too. All of them survive JSON unchanged.
NoteValue = str | int | float | bool | tuple[str, ...] | tuple[int, ...] | tuple[float, ...]


class NoteKind(StrEnum):
    """What a note of a gate is about. The words of each kind name its values."""

    #: The *text* of a server, an exception or a plugin.
    TEXT = "text"

    # Cases and replies
    FEW_PAIRS = "few pairs"
    TOO_FEW_REPLIES = "too few replies"
    NOTHING_RIGHT = "nothing right"
    AT_CHANCE = "at chance"
    GUESSED = "guessed"
    SMALL_DROP = "small drop"
    CHANGED_TEXTS = "changed texts"
    SAME_TEXTS = "same texts"
    FEW_CASES = "few cases"
    FEW_GROUPS = "few groups"
    WHOLE_GROUPS = "whole groups"
    MISSING = "missing"
    MISSING_UNEVENLY = "missing unevenly"
    MISSING_COULD_TURN = "missing could turn"
    PLAIN_THRESHOLD = "plain threshold"
    UNCHANGED = "unchanged"
    EXPECT_NOTHING = "expect nothing"
    LOOK_REPLIES = "look at replies"
    LOOK_CASES = "look at cases"
    LOOK_SKILLS = "look at skills"
    NEEDED_CASES = "needed cases"
    REFUSED = "refused"
    CUT_OFF = "cut off"
    NO_ANSWER = "no answer"
    NO_REPLY = "no reply"

    # Judges
    UNEXAMINED = "judge unexamined"
    UNCORRECTED = "judge uncorrected"
    UNGRADED = "ungraded"
    SAME_OF_ALL = "judge constant"
    SHOWS_NOTHING = "judge shows nothing"
    SHOWS_LESS = "judge shows less"
    LABELS_CORRECT_DROP = "labels correct drop"
    LABELS_CORRECT_RATE = "labels correct rate"
    JUDGE_FINDS = "judge finds"
    GAVE_NO_GRADE = "gave no grade"
    FEW_LABELS = "few labels"
    SAME_OF_LABELLED = "same of labelled"
    METRIC_UNKNOWN = "metric unknown"
    METRIC_BELOW = "metric below"
    FAVOURS_LENGTH = "favours length"
    FAVOURS_PADDING = "favours padding"
    SAMPLES_AGREE = "samples agree"
    ORDERS_AGREE = "orders agree"

    # Labels of inputs that differ
    EQUAL_IS_NOT_RIGHT = "equal not right"
    NEARLY_ALL_DIFFER = "nearly all differ"
    LABELS_OF_NO_REPLY = "foreign labels"
    LABELS_CONTRADICT = "labels contradict"
    LABELS_CANNOT_SAY = "labels cannot say"
    LABELS_COULD_TURN = "labels could turn"
    LABELS_USED_UP = "labels used up"
    LABELS_WAIT = "labels wait"
    LABELS_BEHIND_GAP = "labels behind gap"
    LABELS_STALE = "labels stale"
    LABELLERS_AGREE = "labellers agree"
    BASELINE_UNSTEADY = "baseline unsteady"
    JUDGE_NEEDS_LABELS = "judge needs labels"
    JUDGE_LABELS = "judge labels"
    JUDGE_SHOWS_NO_CHANGE = "judge without strength"
    CASES_SHOW_NO_DROP = "cases show less"

    # Thoughts
    RARE_THOUGHTS = "rare thoughts"
    OTHER_THOUGHTS = "other thoughts"
    FEW_THOUGHTS = "few thoughts"

    # Cost and latency
    FREE_BASELINE = "free baseline"
    UNSEEN_COST = "unseen cost"
    ABOVE_MOST = "above most"
    LARGE_CASE = "large case"
    LARGE_GROUP = "large group"
    UNPRICED = "unpriced"
    NO_TOKENS = "no tokens"
    NO_TARIFF = "no tariff"
    UNKNOWN_RUNS = "unknown runs"
    FEW_RUNS = "few runs"
    UNSEEN_RUNS = "unseen runs"
    NOT_SURELY_BEYOND = "not surely beyond"
    NO_SUCCESS = "no success"
    NO_SUCCESS_OF = "no success of"
    NO_PRICE = "no price"
    NO_TIME = "no time"
    NOT_REQUESTED = "not requested"
    BASELINE_NOT_REQUESTED = "baseline not requested"
    IN_FLIGHT = "in flight"
    OTHER_WORKER = "other worker"

    # General skills
    WEAK_BASE = "weak base"
    TRAINED_ON = "trained on"
    NO_SANDBOX = "no sandbox"
    GUESSES = "guesses"
    LIKE_LABELS = "like labels"
    LIKE_REPLIES = "like replies"

    # What cases can show
    COARSE_LIMIT = "coarse limit"
    UNCHANGED_PASSES = "unchanged passes"
    NO_LIMIT = "no limit"
    LIMIT_OR_CASES = "limit or cases"
    MINIMUM_OR_CASES = "minimum or cases"
    GROUPS_SHOW_NOTHING = "groups show nothing"
    LONE_CASE = "lone case"
    WEIGHT_OF_GROUP = "weight of group"
    GROUP_TOO_LARGE = "group too large"
    DROP_NEVER_SHOWN = "drop never shown"
    CLAIM_THESE = "claim these"
    LOST_RUNS = "lost runs"
    COPIES = "copies"
    ONLY_THESE = "only these"
    RUNS_SHOW = "runs show"
    FEW_TASKS = "few tasks"
    COPIED_RUNS = "copied runs"
    RUNS_NEVER_SHOW = "runs never show"
    MINIMUM_NEVER_SHOWN = "minimum never shown"
    MARGIN_NEVER_SHOWN = "margin never shown"
    P95_NEVER_BOUND = "p95 never bound"
    MEDIAN_NEVER_BOUND = "median never bound"
    PRICE_WITHOUT_BOUND = "price without bound"
    PRICE_NEVER_SHOWN = "price never shown"


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
    SKILL_USED = "skill used"
    SKILL_UNUSED = "skill unused"
    USE_UNKNOWN = "use unknown"
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


#: Causes by which a tuned model has not answered at all, so that its scores judge no training.
BROKEN = frozenset({Cause.ENDS_AT_ONCE, Cause.RUNS_ON, Cause.THOUGHT})


@dataclass(frozen=True, slots=True)
class Note:
    """What a reader should know about a check, a verdict or an advice.

    Attributes:
        kind: a member of ``NoteKind``, or of the kinds of findings or of reasons.
        values: what the words of the kind name; shares from 0 to 1, as everywhere.
    """

    kind: str
    values: Mapping[str, NoteValue | Note] = field(default_factory=dict)

    def values_with(self, key: str) -> dict[str, Any]:
        """Return the values with the kind as *key*, as a statement or a step holds them."""
        return {key: self.kind, **self.values}


def note(kind: str, /, **values: NoteValue | Note) -> Note:
    """Return a note of *kind* with its *values*."""
    return Note(str(kind), values)


def text_note(text: str) -> Note:
    """Return a note with a *text* that is not ours: of a server, an exception or a plugin."""
    return note(NoteKind.TEXT, text=text)


class Severity(StrEnum):
    """The effect of a finding: an error fails the gate, the others are only reported."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of defect of a training file.

    Attributes:
        kind: one of ``suite.training_data.FINDINGS``.
        message: what is wrong; its values never hold a secret.
        count: the number of affected rows or cases; 0 if the finding is about the whole file.
        lines: the affected lines, unique and ascending.
        next: what to do about it.
        cases: the ids of the affected cases of the suite.
    """

    kind: str
    severity: Severity
    message: Note
    count: int = 0
    lines: tuple[int, ...] = ()
    next: Note | None = None
    cases: tuple[str, ...] = ()
