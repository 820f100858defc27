"""What a runner of agents says about one run beside its score: cost, tokens, time and tools."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.text import replace_in_json

#: How a path to the text of a skill ends; its folder has the name of the skill.
_SKILL_FILE, _FOLDER = re.compile(r"[/\\]SKILL\.md\b"), re.compile(r"[\w.-]+$")
#: The most characters of such a path that are looked at.
_MAX_PATH = 200
#: Tools that load a skill, and the arguments that name it.
_LOADS_SKILL = re.compile(r"(?:(?:use|load|read|invoke)_?)?skill", re.IGNORECASE)
_NAMES_SKILL = ("skill", "skill_name", "name", "command")
#: Tools that write the text of a skill do not read it.
_WRITES = re.compile(r"write|edit|create|patch|replace", re.IGNORECASE)
#: More dollars, tokens, seconds or calls are no amount that a run took.
_MOST = 1e15
#: The most reasons that a note names, and the most characters of one.
_MAX_REASONS, _MAX_REASON = 4, 40


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """One run of an agent, as the file of its runner states it; None for what it does not state.

    Attributes:
        model: the model that the agent used, or "".
        status: how the run ended, in the words of the runner, or "".
        cost_usd: what it cost, in US dollars.
        input_tokens: tokens that were sent, those from a cache included.
        output_tokens: tokens that came back.
        total_tokens: all tokens; the sum, where a file states the parts.
        seconds: how long the agent worked, by the clock.
        tool_calls: how many times the agent called a tool.
        uses: the skills that were read according to the trace; None without a trace.
    """

    model: str = ""
    status: str = ""
    cost_usd: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    total_tokens: float | None = None
    seconds: float | None = None
    tool_calls: int | None = None
    uses: tuple[str, ...] | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return what is known, as JSON has it."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any]) -> RunFacts:
        """Return the facts that an object of JSON states, with the names of the attributes.

        Raises:
            ValueError: a name is unknown, or a value is not what it should be.
        """
        read = {name: _fact(name, value) for name, value in dict(raw).items() if value is not None}
        return cls(**read)


def _fact(name: str, value: Any) -> Any:
    known = [one.name for one in fields(RunFacts)]
    if name not in known:
        raise ValueError(f"run: {name}: unknown; a run has {', '.join(known)}")
    if name == "uses":
        if isinstance(value, list | tuple) and all(isinstance(skill, str) for skill in value):
            return tuple(value)
        raise ValueError('run: uses: a list of the skills that were read, such as ["pdf"]')
    if name in ("model", "status"):
        return str(value)
    number = stated_amount(value)
    if number is None or (name == "tool_calls" and not number.is_integer()):
        raise ValueError(f"run: {name}: {value!r} is no number of at least 0")
    return int(number) if name == "tool_calls" else number


def stated_amount(value: Any) -> float | None:
    """Return *value* if it is a number of at least 0 that a run can take, else None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= _MOST else None


def measured(value: Any) -> float | None:
    """Return *value* if it is a number above 0, else None: tools write 0 for what they lack."""
    return stated_amount(value) or None


def stated_run(
    *,
    tokens: Iterable[Any] = (),
    seconds: Any = None,
    milliseconds: Any = None,
    tool_calls: Any = None,
    **facts: Any,
) -> RunFacts:
    """Return the facts of a run as its file states them, of which some may be no numbers.

    *tokens* are those that were sent, those that came back, and all of them if that is stated.
    *facts* are further fields.
    """
    sent, received, total, *_ = *map(measured, tokens), None, None, None
    calls, thousandths = stated_amount(tool_calls), measured(milliseconds)
    return RunFacts(
        input_tokens=sent,
        output_tokens=received,
        # One part alone would be too little.
        total_tokens=total or (sent + received if sent and received else None),
        seconds=thousandths / 1_000 if thousandths else measured(seconds),
        tool_calls=None if calls is None else int(calls),
        **facts,
    )


def seconds_between(start: Any, end: Any) -> float | None:
    """Return the seconds between two times in ISO 8601, or None."""
    try:
        times = [datetime.fromisoformat(str(value)) for value in (start, end)]
        return measured((times[1] - times[0]).total_seconds())
    # Times with and without a zone have no difference.
    except (ValueError, TypeError):
        return None


def skills_read(calls: Iterable[tuple[str, Any]]) -> tuple[str, ...]:
    """Return the names of the skills that calls of tools read, each once.

    *calls* are names of tools with their arguments. A tool called ``skill`` names one, and so does
    a path to a file ``SKILL.md`` in what another tool reads.
    """
    found: dict[str, None] = {}
    for tool, arguments in calls:
        if _LOADS_SKILL.fullmatch(tool) and isinstance(arguments, Mapping):
            named = (arguments.get(key) for key in _NAMES_SKILL)
            found |= dict.fromkeys([str(name) for name in named if name][:1])
        elif not _WRITES.search(tool):
            found |= dict.fromkeys(_skills_named(json.dumps(arguments, default=str)))
    return tuple(found)


def _skills_named(text: str) -> Iterator[str]:
    """Yield the folder of each file of a skill in *text*, in a time that grows with its length."""
    for match in _SKILL_FILE.finditer(text):
        path = text[max(0, match.start() - _MAX_PATH) : match.start()].rstrip("/\\")
        if folder := _FOLDER.search(path):
            yield folder[0]


def missing_note(reasons: Sequence[str]) -> Iterator[str]:
    """Yield how many runs are missing, by the *reasons* of all runs; "" for one that counts."""
    counts = Counter(reason[:_MAX_REASON] for reason in reasons if reason)
    if counts:
        named = [f"{reason} ({n:,})" for reason, n in counts.most_common(_MAX_REASONS)]
        more = ", …" * (len(counts) > _MAX_REASONS)
        verb = f"count{'s' * (counts.total() == 1)} as missing, not as wrong"
        yield f"{counts.total():,} of {len(reasons):,} runs {verb}: {', '.join(named)}{more}"


def require_version(name: str, document: Mapping[str, Any], known: Sequence[int]) -> None:
    """Raise an error if *document* has a ``schema_version`` that is not *known*.

    Raises:
        ConfigurationError: it has.
    """
    version = document.get("schema_version", known[0])
    if version not in known:
        read = " and ".join(map(str, known))
        raise ConfigurationError(
            f"{name} has schema_version {str(version)[:_MAX_REASON]}, and {read} can be read; "
            "update pytest-ftgate, or write its rows as JSON lines, such as "
            '{"id": "task-1", "score": 1}'
        )


def document_in(path: Path) -> Mapping[str, Any]:
    """Return the object in a file of JSON.

    Raises:
        ConfigurationError: the file cannot be read, or holds no object.
    """
    try:
        text = path.read_text("utf-8-sig")
        document = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        remedy = "let the tool write it again, or remove it"
        raise ConfigurationError(f"{path} is not JSON: {error}; {remedy}") from error
    if not isinstance(document, Mapping):
        raise ConfigurationError(f"{path} holds no JSON object; let the tool write it again")
    whole: Mapping[str, Any] = replace_in_json(document) if "\\u" in text else document
    return whole
