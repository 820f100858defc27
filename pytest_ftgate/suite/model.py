"""A suite as the author meant it: files read, inheritance resolved, faults ruled out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.suite.ladder import Economics, Thresholds
from pytest_ftgate.suite.margins import DataGate, ForgettingGate, Gate
from pytest_ftgate.suite.prices import Tariff

if TYPE_CHECKING:
    # The rules need pydantic; a plugin's provider names replies and calls wherever pytest starts.
    from pytest_ftgate.suite.judge import Judge
    from pytest_ftgate.suite.rules import Rule

__all__ = [
    "Case",
    "Expected",
    "ReplyRules",
    "Retrieve",
    "Shot",
    "Suite",
    "Turn",
    "Variant",
    "canonical",
    "digest",
]

#: A mapping is the call of a tool, or the fields of a JSON object.
Expected = str | int | float | Mapping[str, Any] | list[Any] | None
#: (role, content)
Turn = tuple[str, str]


#: Writes a value as JSON in the one way that names go by.
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str).encode


def digest(value: Any) -> str:
    """Return the sha256 of *value* in canonical JSON, as 64 hexadecimal digits."""
    return sha256(canonical(value).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One input with what is expected of the reply.

    Attributes:
        id: stable, unique in its suite.
        where: ``path:line`` of the case.
        vars: further values that templates may name.
        score: how its content is marked, where it differs from the suite's own.
        format: the form it must have, where it differs from the suite's own.
        weight: how much it counts beside the others.
        must_pass: a wrong reply to this case alone fails the accuracy gate.
        must_keep: of skills; where the base is right, a wrong reply alone fails the gate.
        folder: where functions that its rules name are looked for, if not beside the suite.
        holdout: it is asked of the chosen rung alone, to confirm the choice.
    """

    id: str
    where: str
    input: str = ""
    messages: tuple[Turn, ...] = ()
    vars: Mapping[str, Any] = field(default_factory=dict)
    expected: Expected = None
    tags: tuple[str, ...] = ()
    group: str | None = None
    score: Rule
    format: tuple[Rule, ...] = ()
    max_tokens: int | None = None
    skill: str | None = None
    difficulty: int | None = None
    language: str | None = None
    weight: float = 1.0
    must_pass: bool = False
    must_keep: bool = False
    folder: Path | None = None
    holdout: bool = False

    @property
    def marked(self) -> bool:
        """Whether a reply to it can be right or wrong."""
        return self.expected is not None or self.score.unaided

    @property
    def yardstick(self) -> str:
        """A digest of what is asked and how it is marked; a new one makes old scores stale."""
        rules = [(r.kind, r.value, dict(r.options)) for r in (self.score, *self.format)]
        return digest([self.input, self.messages, dict(self.vars), self.expected, rules])[:16]

    @property
    def shown(self) -> str:
        """The input in the words of a person: the last thing the user says."""
        return self.input or (self.messages[-1][1] if self.messages else "")


@dataclass(frozen=True, slots=True)
class Shot:
    """One worked example: what it asks, in the words of a person, and the turns that show it."""

    shown: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieve:
    """How passages are found for a case: in files, or by a function of the team's own.

    Attributes:
        paths: the files to look in.
        top: how many passages a case is given.
        chunk: the most words of a passage.
        function: ``module:function``, called with the case, instead of the files.
    """

    paths: tuple[Path, ...] = ()
    top: int = 4
    chunk: int = 120
    function: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way of answering the cases; keys as in the suite file.

    Attributes:
        system: the system prompt's template, or None where there is none.
        user: the user message's template.
        shots: examples shown before the case.
        pool: examples of which the *similar* most like the case are shown instead.
        constrained: the provider is asked to hold the reply to the suite's format.
        schema: the JSON Schema that it is held to instead, or None.
        retrieve: how passages are found that the model is shown, or None.
        tools: the functions that the model may call, each ``module:function``.
        max_turns: how often it is asked at most before it must have answered.
        served_model: what the server calls the model in its replies, where not by *model*.
        api_version: the version of the API to ask for, where not the SDK's own.
        base_replies: what the base said to skills cases, where it cannot be asked any more.
        options: settings that only a provider from elsewhere knows.
        batch: its cases are asked together, at half the price, and answered within a day.
        tariff: what its calls cost.
        rung: where it stands on the ladder, as declared; "" where what it uses tells.
        prompt_path: the file of its system prompt.
        line: the line of the suite file that begins it.
    """

    name: str
    line: int
    provider: str
    model: str = ""
    system: str | None = None
    user: str = "{{ input }}"
    shots: tuple[Turn, ...] = ()
    pool: tuple[Shot, ...] = ()
    similar: int = 0
    constrained: bool = False
    schema: Mapping[str, Any] | None = None
    retrieve: Retrieve | None = None
    tools: tuple[str, ...] = ()
    max_turns: int = 8
    batch: bool = False
    served_model: str | None = None
    gated: bool = True
    base_url: str | None = None
    base_url_env: str | None = None
    api_key_env: str | None = None
    api_version: str | None = None
    adapter: Path | None = None
    scale: float = 1.0
    base: str | None = None
    base_replies: Path | None = None
    training_data: Path | None = None
    max_tokens: int | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    function: str | None = None
    replies: Path | None = None
    runtime: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    tariff: Tariff = field(default_factory=Tariff)
    rung: str = ""
    prompt_path: Path | None = None

    @property
    def tuned(self) -> bool:
        """Whether there is an untuned model under it, so that it can have forgotten something."""
        return any(one is not None for one in (self.adapter, self.base, self.base_replies))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRules:
    """What the suite asks of every reply, unless a case says otherwise."""

    format: tuple[Rule, ...] = ()
    score: Rule
    max_tokens: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One suite file, ready to be planned.

    Attributes:
        path: the suite file.
        name: its path relative to the root directory, with forward slashes.
        repeats: how often each case is asked, or None for as often as its gates need.
        holdout: cases that are asked of the chosen rung alone.
        serves: the variant that is meant to serve, or "" where nobody has said.
        challengers: variants that may have become as good as a fine-tuned one.
        economics: the volume and what variants take besides their calls, where declared.
        ladder: where the rules of the advice draw their lines.
        judges: the models that grade its replies.
    """

    path: Path
    name: str
    cases: tuple[Case, ...]
    reply: ReplyRules
    variants: Mapping[str, Variant]
    baseline: str
    gates: Mapping[str, Gate]
    repeats: int | None = 1
    holdout: tuple[Case, ...] = ()
    serves: str = ""
    challengers: tuple[str, ...] = ()
    economics: Economics | None = None
    ladder: Thresholds = field(default_factory=Thresholds)
    judges: tuple[Judge, ...] = ()

    @property
    def held_out(self) -> Suite:
        """The cases that are held out, as a suite of their own."""
        return replace(self, name=f"{self.name} (held out)", cases=self.holdout, holdout=())

    @property
    def accepted_path(self) -> Path:
        """Where the accepted record lies: beside the suite."""
        return self._beside(".accepted.json")

    @property
    def replies_path(self) -> Path:
        """Where committed replies lie: beside the suite."""
        return self._beside(".replies.jsonl")

    @property
    def case_files(self) -> tuple[Path, ...]:
        """The files that its cases are in; the suite file where they stand there."""
        root = Path(str(self.path).removesuffix(self.name))
        names = (case.where.rpartition(":")[0] for case in (*self.cases, *self.holdout))
        return tuple(root / name for name in dict.fromkeys(names))

    @property
    def files_of_replies(self) -> tuple[Path, ...]:
        """The files that recorded variants name."""
        return tuple(one.replies for one in self.variants.values() if one.replies)

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name.removesuffix(".ftgate.yaml") + suffix)

    def gates_of(self, variant: Variant) -> tuple[Gate, ...]:
        """Return the gates that judge *variant*, as far as it has what they look at."""
        if not variant.gated:
            return ()
        return tuple(gate for gate in self.gates.values() if _has_what(gate, variant))


def _has_what(gate: Gate, variant: Variant) -> bool:
    """Tell whether there is something to judge: forgetting needs a base, data needs a file."""
    if isinstance(gate, DataGate):
        return variant.training_data is not None
    return variant.tuned or not isinstance(gate, ForgettingGate)
