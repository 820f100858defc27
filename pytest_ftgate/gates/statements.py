"""What a verdict states, what to do next, and what has left the exam, as kinds with values.

`reporting` puts them into words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

#: A value of a statement or of a next step. All of them survive JSON unchanged.
Value = str | int | float | bool | tuple[str, ...]


class StatementKind(StrEnum):
    """What a verdict is about.

    The values of each kind, beside the verdict's own fields:

    * ``rate``: *measure* (``accuracy``, ``balanced_accuracy``, ``format`` or ``preferred``) or
      *function*, the id of a marked function; *habit*, *is_new*, *rule*, *replies* and *of* if most
      format errors are one habit of the model; *judge_relative* if grades are not corrected; if
      *broken* of the *regressed* cases broke their format, or *cut* of them were cut off, clearly
      more often than *broken_others* or *cut_others* of the *others*: these, the accuracy of the
      *rest* of the cases, *rest_before* and *rest_after*, and the most frequent *format_error* of
      the regressed ones, with its *format_replies*; the rate *overall* if not all cases have
      accepted results.
    * ``ungated``: the latency *p50* in milliseconds, beside the p95 of the check.
    * ``training data``: the *file* and its *rows*.
    * ``not measured``: *requested* of the *replies* of *variant* are of this run; *needed* cases;
      *again* if it did not pass when it was measured last.
    * ``nothing to compare``: the *rate* of the variant, if it has replies; how many are *missing*
      of how many *cases*, if too many are.
    * ``not gated``: what leaves nothing that could fail: *minimum* if it is 0, and the *key* for
      which no drop is limited, or the number of *cases* that are too few for a limit.
    * ``no replies``: what it *lacks*, if replies came without ``tokens``.
    * ``exam has shrunk``: none; *Verdict.exam* has them.
    * ``not sent``, ``invalid``: the *reason*, a kind of note, with its values; *is_invalid* if the
      variant is not what it claims to be.
    """

    RATE = "rate"
    SKILLS = "skills"
    USAGE = "usage"
    TRAINING_DATA = "training data"
    UNGATED = "ungated"
    NOTHING_TO_COMPARE = "nothing to compare"
    NOT_GATED = "not gated"
    EXAM_HAS_SHRUNK = "exam has shrunk"
    NOT_MEASURED = "not measured"
    NOT_SENT = "not sent"
    NO_REPLIES = "no replies"
    NO_GRADES = "no grades"
    UNQUALIFIED_JUDGE = "unqualified judge"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Statement:
    """What a verdict states; ``pytest_ftgate.headline`` puts it into words."""

    kind: StatementKind
    values: Mapping[str, Value] = field(default_factory=dict)

    def add(self, **values: Value) -> Statement:
        """Return the statement with more *values*."""
        return replace(self, values={**self.values, **values})


class StepRole(StrEnum):
    """What a step is for; every list of steps has this order."""

    FIX = "fix"
    OR = "or"
    ACCEPT = "accept"
    SEE = "see"


class StepKind(StrEnum):
    """What to do about a verdict.

    The values of each kind:

    *where* is the file with the line to edit, *suite* the file for a command, *node* the gate for
    one. *options* are the options of the run, which a command repeats. *record* is the suite whose
    accepted record would call the step a loss, unless the run is accepted as well.

    * ``run again``: the *missing* replies; *suite*; if a budget stopped the run, *max_usd* that
      pays for them, 0 if that is not known.
    * ``add replies``: the *missing* replies, and the *file* of recorded ones.
    * ``settle``: the *setting* with the largest number of *repeats*; *where*. If the runs are
      *recorded*, so many of each case are to be recorded instead.
    * ``add cases``: the *needed* further *cases* if the result stays as it is, and the number of
      them if the variant is *unchanged*; 0 for what is not known, or is too many to ask for.
      Whether the gate then *fails*, and its *default* limit, 0 if it declares one; whether a limit
      is written *as_option* of the command.
    * ``label``: *n* further inputs that differ, up to the next look; how surely an unchanged
      variant passes then (*chance*), and with the labels of the *last* look (*at_last*); *suite*,
      and the *variant* where several are compared; or the *files* that are compared, their
      *labels*, and the *scorer*.
    * ``repeat runs``: the *repeats* with which the result is settled if it stays as it is, and
      whether the gate then *fails*; *where*.
    * ``state amount``: the *unit* of what *missing* runs lack; the *file* of recorded ones, or
      whether a *program* can state it; *where*.
    * ``claim others``: *where* a gate claims these tasks, whose runs are copies.
    * ``declare price``: the *variant* whose replies have no price, and whether their tokens
      are *counted*; *where* it is declared.
    * ``lower usage``: True for *runs* of an agent.
    * ``decide otherwise``: more than five times the *n* cases would have to be added.
    * ``set limit``: the *setting* that the same replies pass; *where*.
    * ``fix cases``: the first regressed *cases*, and their *count*; *node*; whether the verdict is
      *open*; if two variants were compared, the keys in which they differ (*changed*), and the
      lines *added* to the prompt and *removed* from it.
    * ``fix part``: the *kind* and the *name* of a slice, and *regressed* of its *n* cases.
    * ``raise max_tokens``: the replies that were *cut* off, *of* how many, and whether those
      *regressed*; *where*.
    * ``set max_tokens``: the *tokens* with which the same replies pass, and those of the *longest*
      reply; *where*.
    * ``bound cost``: the *needed* unrelated cases, without a most that one can cost; *where*.
    * ``accept run``: whether the *anchor* must move as well, and whether the gate *failed*;
      *suite*.
    * ``make baseline``: the *variant*; whether it must be the first *in_mark*; *where*.
    * ``train again``: the *variant*; *where*.
    * ``ship other``: the other *variant*, the number of its *gates*, whether it *is_baseline*, and
      the one that it is *for*; *where* that is declared.
    * ``check identity``: *claims*, what the variant claims to be: ``adapter``, ``model``, to
      use a ``skill``, or to hold to a ``schema``; *where* that is declared.
    * ``record uses``: the *skill*; whether the runs are *recorded* already.
    * ``improve judge``: the number of *ungraded* replies, if that is why.
    * ``settle skill``: the *skill*, its *n* cases, its *margin*, the change from *low* to *high*;
      *where*.
    * ``fix format``: the most frequent *format_error*, and its *replies*; *of* which cases, if not
      of all.
    * ``fix label``: the *label*, and the one that it is *taken_for* in the most *replies*.
    * ``fix must-pass cases``: the *cases*, whether they were *repeated*; *where* the first one is.
    * ``show regressed``, ``explain``: the *node* of the gate.
    * ``keep thoughts``: the *variant*.
    * ``check cause``: the *cause*, a kind of note, with its values.
    * ``fix training data``: the *remedy*, a kind of note.
    * ``request again to measure``: as of the statement ``not measured``; *suite*.
    * ``request both sides again``, ``accept``, ``accept exam``: *suite*.
    * ``add minimum``, ``declare minimum``, ``raise minimum``, ``check score``: *where*.
    """

    CHECK_CAUSE = "check cause"
    CHECK_IDENTITY = "check identity"
    CHECK_SCORE = "check score"
    RECORD_USES = "record uses"
    RUN_AGAIN = "run again"
    ADD_REPLIES = "add replies"
    REQUEST_BOTH_AGAIN = "request both sides again"
    REQUEST_TO_MEASURE = "request again to measure"
    IMPROVE_JUDGE = "improve judge"
    RAISE_MAX_TOKENS = "raise max_tokens"
    SET_MAX_TOKENS = "set max_tokens"
    BOUND_COST = "bound cost"
    FIX_MUST_PASS = "fix must-pass cases"  # noqa: S105 - not a password
    FIX_TRAINING_DATA = "fix training data"
    FIX_FORMAT = "fix format"
    FIX_LABEL = "fix label"
    FIX_PART = "fix part"
    FIX_CASES = "fix cases"
    CLAIM_OTHERS = "claim others"
    DECLARE_PRICE = "declare price"
    LOWER_USAGE = "lower usage"
    KEEP_THOUGHTS = "keep thoughts"
    TRAIN_AGAIN = "train again"
    ADD_MINIMUM = "add minimum"
    DECLARE_MINIMUM = "declare minimum"
    RAISE_MINIMUM = "raise minimum"
    DECLARE_LIMIT = "declare limit"
    ADD_CASES = "add cases"
    LABEL = "label"
    DECIDE_OTHERWISE = "decide otherwise"
    SETTLE = "settle"
    REPEAT_RUNS = "repeat runs"
    STATE_AMOUNT = "state amount"
    SHIP_OTHER = "ship other"
    SETTLE_SKILL = "settle skill"
    ACCEPT = "accept"
    ACCEPT_EXAM = "accept exam"
    ACCEPT_RUN = "accept run"
    MAKE_BASELINE = "make baseline"
    SET_LIMIT = "set limit"
    SHOW_REGRESSED = "show regressed"
    EXPLAIN = "explain"


#: The roles of the kinds that neither fix the variant nor add evidence.
_ROLES = {
    StepKind.SHIP_OTHER: StepRole.OR,
    StepKind.SETTLE_SKILL: StepRole.OR,
    StepKind.ACCEPT: StepRole.ACCEPT,
    StepKind.ACCEPT_EXAM: StepRole.ACCEPT,
    StepKind.ACCEPT_RUN: StepRole.ACCEPT,
    StepKind.MAKE_BASELINE: StepRole.ACCEPT,
    StepKind.SET_LIMIT: StepRole.ACCEPT,
    StepKind.SHOW_REGRESSED: StepRole.SEE,
    StepKind.EXPLAIN: StepRole.SEE,
}


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do about a verdict; ``pytest_ftgate.step_line`` puts it into words."""

    kind: StepKind
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def role(self) -> StepRole:
        """What the step is for."""
        return _ROLES.get(self.kind, StepRole.FIX)

    def add(self, **values: Value) -> NextStep:
        """Return the step with more *values*."""
        return replace(self, values={**self.values, **values})


def next_step(kind: StepKind, /, **values: Value) -> NextStep:
    """Return the step of *kind* with its *values*."""
    return NextStep(kind, values)


class LossOfExam(StrEnum):
    """What decided when a run was accepted, and does not decide any more."""

    GATE = "gate"
    VARIANT = "variant"
    COMPARED = "compared"
    LIMIT = "limit"
    REPEATS = "repeats"
    MUST_PASS = "must pass"  # noqa: S105 - not a password
    BASELINE = "baseline"
    THOUGHTS = "thoughts"


@dataclass(frozen=True, slots=True)
class ExamLoss:
    """One thing that does not decide any more, by its name; of a limit the values."""

    kind: LossOfExam
    name: str
    before: float | str = ""
    now: float | str = ""


@dataclass(frozen=True, slots=True)
class LostCases:
    """Accepted cases that do not decide as they did.

    Attributes:
        kind: ``gone``, ``without weight`` or ``changed``; ``without a reply`` for those that had
            none when the run was accepted.
        right: how many of them were right; None if that is not known.
        ids: the first few of them.
        is_tolerated: True if they are so few that they block nothing.
    """

    kind: str
    count: int
    right: int | None
    ids: tuple[str, ...]
    is_tolerated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamChange:
    """How what decides a gate differs from what was accepted.

    Attributes:
        accepted: the number of accepted cases.
        came, came_ids: the cases that came since, and the first few of them; they block nothing.
        is_older: True if the record does not say what decided.
        is_new: True if the record has no gate of the variant.
    """

    accepted: int = 0
    lost: tuple[LostCases, ...] = ()
    came: int = 0
    came_ids: tuple[str, ...] = ()
    losses: tuple[ExamLoss, ...] = ()
    is_older: bool = False
    is_new: bool = False

    @property
    def has_shrunk(self) -> bool:
        """True if anything does not decide any more, or may not."""
        is_less = any(not lost.is_tolerated for lost in self.lost)
        return is_less or bool(self.losses or self.is_older)
