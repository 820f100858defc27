"""The reply to one request, with its cost and its thoughts; long texts lie in a file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from io import FileIO
from itertools import chain
from sys import intern
from tempfile import TemporaryFile
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import finalize

from pytest_ftgate.readers.text import replace_in_fields
from pytest_ftgate.requests.request import CaseRequest, Passage, Request, Step, ToolCall
from pytest_ftgate.suite.model import ThoughtMarks
from pytest_ftgate.suite.prices import Tariff, request_price
from pytest_ftgate.suite.providers import provider_spec

if TYPE_CHECKING:
    from pytest_ftgate.readers.agent_runs import RunFacts

#: The fact that says where the prompts of a server differ from those of the training.
TEMPLATE_FACT = "chat template differs"
#: The fact that states the scale of the adapter that a server applies to all requests.
SERVED_SCALE_FACT = "served adapter scale"

#: Marks that some chat templates open in the prompt, so that only the closing one is in the reply.
#: The others may stand in an answer, such as XML that the prompt asks for.
_OPENED_BY_TEMPLATE: ThoughtMarks = (
    ("<think>", "</think>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
)
#: The marks that chat templates of reasoning models use.
_KNOWN_MARKS: ThoughtMarks = (
    *_OPENED_BY_TEMPLATE,
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
)
_CLOSED_IN_REPLY = tuple(closing for _, closing in _OPENED_BY_TEMPLATE)
#: The channels of the harmony format, in which gpt-oss answers.
_CHANNEL = re.compile(
    r"<\|channel\|>(?P<name>\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>"
    r"(?P<text>.*?)(?:<\|(?:end|return|call)\|>|(?=<\|(?:start|channel)\|>)|\Z)",
    re.DOTALL,
)
_CHANNEL_STARTS = ("<|channel|>", "<|start|>assistant")
#: The same channels from a server that leaves out the special tokens.
_BARE_ANALYSIS, _BARE_FINAL = "analysis", "assistantfinal"
#: How a text with a thought begins, unless a chat template opened the thought.
_KNOWN_STARTS = (*_CHANNEL_STARTS, _BARE_ANALYSIS, *(opening for opening, _ in _KNOWN_MARKS))


class SplitText(NamedTuple):
    """A text split into thought and answer.

    Attributes:
        thought: what is marked as a thought, without the marks.
        answer: the rest; "" if the thought never ends.
        is_closed: False if the thought never ends, or no answer follows its channel.
    """

    thought: str
    answer: str
    is_closed: bool = True


def split_thoughts(text: str, marks: ThoughtMarks | None = None) -> SplitText:
    """Split *text* into the thoughts at its start and the answer.

    *marks* are the pairs of marks around a thought: None for those of the known chat templates, ()
    for none. A text without a thought comes back as it is.
    """
    start = text.lstrip()
    if marks is None and not may_think(start):
        return SplitText("", text)
    if marks is None and start.startswith(_CHANNEL_STARTS):
        return _split_channels(start)
    if marks is None and start.startswith(_BARE_ANALYSIS) and _BARE_FINAL in start:
        thought, _, answer = start.removeprefix(_BARE_ANALYSIS).partition(_BARE_FINAL)
        return SplitText(thought.strip(), answer)
    split = _split_leading(start, _KNOWN_MARKS if marks is None else marks)
    if split.answer is not start:
        return split
    for opening, closing in _OPENED_BY_TEMPLATE if marks is None else marks:
        thought, closed, answer = start.partition(closing)
        if closed and opening not in thought:
            return SplitText(thought.strip(), answer.lstrip())
    return SplitText("", text)


def may_think(text: str) -> bool:
    """Return True if *text* may hold a thought; most do not, which is found out fast."""
    if text.startswith(_KNOWN_STARTS) or (text[:1].isspace() and may_think(text.lstrip())):
        return True
    for closing in _CLOSED_IN_REPLY:  # noqa: SIM110 - twice as fast as any()
        if closing in text:
            return True
    return False


def template_thinks(template: str, marks: ThoughtMarks | None) -> bool:
    """Return True if the chat *template* of a model names a mark of thoughts.

    Such a model may think, and its prompt may open the thought. *marks* are as in `split_thoughts`.
    """
    openings = (opening for opening, _ in (_KNOWN_MARKS if marks is None else marks))
    return any(mark in template for mark in (*_CHANNEL_STARTS, *openings))


def _split_leading(text: str, marks: ThoughtMarks) -> SplitText:
    """Return the thoughts that stand before everything else in *text*, and the rest."""
    thoughts = list[str]()
    while pair := next((pair for pair in marks if text.startswith(pair[0])), None):
        opening, closing = pair
        thought, closed, rest = text[len(opening) :].partition(closing)
        thoughts.append(thought.strip())
        if not closed:
            return SplitText(_join(thoughts), "", is_closed=False)
        text = rest.lstrip()
    return SplitText(_join(thoughts), text)


def _split_channels(text: str) -> SplitText:
    """Return the text of the final channel as the answer, and the other channels as thoughts."""
    thoughts, answers = list[str](), list[str]()
    for channel in _CHANNEL.finditer(text):
        (answers if channel["name"] == "final" else thoughts).append(channel["text"].strip())
    return SplitText(_join(thoughts), _join(answers), is_closed=bool(answers))


def _join(texts: list[str]) -> str:
    return "\n\n".join(filter(None, texts))


#: Shared by all replies to save memory: a run may hold hundreds of thousands of them.
_EMPTY: dict[str, Any] = {}
#: Fields that hold dataclasses.
_NESTED = ("steps", "passages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply as the provider returned it, without lone surrogates in its texts.

    Attributes:
        text: the text of the reply.
        stop: why the model stopped: ``end``, ``length``, ``stop``, ``refusal`` or ``tool``.
        model: the model that the server reports, or None if it reports none.
        usage: token counts: ``input``, ``output``, ``cache_read``, ``cache_write``, ``thought``.
        seconds: the time from sending the request to receiving the whole reply.
        request_id: the provider's id of the request.
        steps: the turns in which the model called tools before it answered.
        passages: the retrieved passages that the model was shown.
        unsent: declared settings that were left out because the server rejected them.
        facts: properties of the model that the server reports, such as its parent or the date
            on which it retires.
        processing: ``batch`` if the request was sent in a batch, at half the price; else "".
        thought: what a reasoning model wrote before its answer; "" if it shows no thought. In the
            cache, a thought that the server sent inside the text is still there.
        score: the score that a file of recorded replies states, 0 to 1, or None.
        run: what is known of the run of an agent that ended with the reply, or None.
    """

    text: str
    stop: str = "end"
    model: str | None = None
    usage: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    seconds: float = 0.0
    request_id: str | None = None
    steps: tuple[Step, ...] = ()
    passages: tuple[Passage, ...] = ()
    unsent: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    processing: str = ""
    thought: str = ""
    score: float | None = None
    run: RunFacts | None = None

    def __post_init__(self) -> None:
        replace_in_fields(self, "text", "stop", "model", "request_id", "facts", "thought")

    @property
    def thinks(self) -> bool:
        """Whether the model thought before its answer."""
        return bool(self.thought or self.usage.get("thought"))

    @property
    def stated_cost(self) -> float | None:
        """What the runner of an agent says that its run cost, in USD; None if it does not."""
        return None if self.run is None else self.run.cost_usd

    @property
    def has_no_answer(self) -> bool:
        """Whether the token limit cut the reply off before an answer began."""
        return self.stop == "length" and not self.text.strip() and not self.steps

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """All tool calls, in order."""
        return tuple(chain.from_iterable(step.calls for step in self.steps))

    def to_json(self) -> str:
        """Return the reply as one line of JSON, without its empty fields."""
        raw = {name: value for name in Reply.__slots__ if (value := getattr(self, name))}
        raw |= {name: [asdict(value) for value in raw[name]] for name in _NESTED if name in raw}
        raw["text"] = self.text
        if self.score is not None:
            raw["score"] = self.score
        if self.run is not None:
            raw["run"] = self.run.to_plain()
        return json.dumps(raw)

    @classmethod
    def from_json(cls, text: str) -> Reply:
        """Read a reply from the output of *to_json*; ignore the keys of later versions.

        Raises:
            ValueError: *text* is not a reply.
        """
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, raw: Any) -> Reply:
        """Return the reply that a parsed JSON object describes.

        Raises:
            ValueError: *raw* is not a reply.
        """
        if not isinstance(raw, dict) or not isinstance(raw.get("text"), str):
            raise ValueError('a reply is an object with "text"')  # noqa: TRY004 - a file's content
        values = {key: value for key, value in raw.items() if key in _FIELDS}
        try:
            values |= {key: read(values[key]) for key, read in _READERS.items() if key in values}
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"no reply: {type(error).__name__}: {error}") from error
        return cls(**values)


def reply_cost(request: Request, reply: Reply) -> Decimal | None:
    """Return the cost of *reply* in USD, or None if it is unknown."""
    return reply_price(request.tariff, reply, batch=reply.processing == "batch")


def reply_price(tariff: Tariff, reply: Reply, *, batch: bool = False) -> Decimal | None:
    """Return the price of *reply* in USD, or None if it is unknown.

    What an agent's run states of its cost comes before the price of its tokens.
    """
    if (cost := reply.stated_cost) is not None:
        return Decimal(str(cost))
    run, usage = reply.run, reply.usage
    if run and not usage and run.input_tokens is not None and run.output_tokens is not None:
        usage = {"input": round(run.input_tokens), "output": round(run.output_tokens)}
    return request_price(tariff, usage, batch=batch)


def without_date(model: str) -> str:
    """Return the name of a model without the date of its version."""
    return re.sub(r"-(20\d{6}|20\d\d-\d\d-\d\d|latest)$", "", model)


def _plain_model_name(model: str, provider: str) -> str:
    """Return the name without the parts that providers add: the date, at Bedrock the region."""
    return without_date(re.sub(provider_spec(provider).model_affixes, "", model))


def wrong_model(request: Request, served: str | None) -> str:
    """Return which other model answered than the declared one, and what to write; "" if none did.

    *served* is the model that the reply names. A dated name (``…-20251001``) is the undated one.
    Replies that name no model, and models that are declared by an ARN, are never wrong.
    """
    declared = request.served_model or request.model
    if not declared or not served or served == declared or declared.startswith("arn:"):
        return ""
    names = {_plain_model_name(name, request.provider) for name in (declared, served)}
    if len(names) == 1:
        return ""
    return (
        f"another model answered: {served}, declared {declared}; if that is the same model, set "
        f"served_model: {served}"
    )


def read_reply(reply: Reply, marks: ThoughtMarks | None = None) -> Reply:
    """Return *reply*, as the server sent it, with the thought in its text apart from the answer.

    *marks* stand around a thought; None for the known ones. A thought that never ends is all of the
    reply: the token limit cut off what should follow.
    """
    text = reply.text
    if marks is None and not may_think(text):
        return reply
    split = split_thoughts(text, marks)
    if split.answer is text:
        return reply
    thought = "\n\n".join(filter(None, (reply.thought, split.thought)))
    is_cut_off = not split.is_closed and not reply.steps and reply.stop != "refusal"
    stop = "length" if is_cut_off else reply.stop
    return replace(reply, text=split.answer, thought=thought, stop=stop)


def received(
    case_requests: Iterable[CaseRequest], results: Mapping[str, object]
) -> Iterator[tuple[CaseRequest, Reply]]:
    """Yield each request with a reply among *results*, which are by fingerprint, and the reply.

    The reply is as the server sent it.
    """
    for case_request in case_requests:
        result = results.get(case_request.request.fingerprint)
        if isinstance(result, Reply):
            yield case_request, result


def answered(
    case_requests: Iterable[CaseRequest], results: Mapping[str, object]
) -> Iterator[tuple[CaseRequest, Reply]]:
    """Yield what `received` does, with replies that are read: the text is the answer alone."""
    # As in `received`, without the time of a second generator.
    for case_request in case_requests:
        result = results.get(case_request.request.fingerprint)
        if isinstance(result, Reply):
            yield case_request, read_reply(result, case_request.request.thoughts)


def _step(raw: Mapping[str, Any]) -> Step:
    tool_calls = tuple(ToolCall(**tool_call) for tool_call in raw["calls"])
    return Step(raw["text"], tool_calls, tuple(raw.get("blocks", ())))


def _run_facts(raw: Mapping[str, Any]) -> RunFacts:
    from pytest_ftgate.readers.agent_runs import RunFacts

    return RunFacts.from_plain(raw)


@lru_cache(maxsize=4096)
def _shared_usage(counts: tuple[tuple[str, Any], ...]) -> Mapping[str, Any]:
    return {intern(_USAGE_NAMES.get(name, name)): count for name, count in counts}


_FIELDS = frozenset(Reply.__slots__)
#: Names of token counts in stored replies, where they differ.
_USAGE_NAMES = {"thinking": "thought"}
#: Readers of the fields that JSON has no type for, or whose equal values replies share in memory.
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "model": lambda name: name and intern(name),
    "usage": lambda counts: _shared_usage(tuple(counts.items())),
    "steps": lambda steps: tuple(map(_step, steps)),
    "passages": lambda passages: tuple(Passage(**passage) for passage in passages),
    "unsent": tuple,
    "run": _run_facts,
}


#: The most characters of a text that stays in memory: labels, numbers and short answers do.
_MOST_CHARACTERS = 500
#: The bytes before a text in the file that say how long it is.
_HEAD = 4
#: The bytes that are read at once, unless a text is longer.
_BLOCK = 16_384
_OTHER_FIELDS = tuple(name for name in Reply.__slots__ if name != "text")


class TextFile:
    """A temporary file of texts; any thread may add and read them.

    The first text opens the file. It has no name, or one that only its owner may read, and it is
    closed with this object.
    """

    def __init__(self) -> None:
        self._opened: FileIO | None = None
        self._end = 0
        #: The last text that was read, with its start: scoring reads a text several times.
        self._last = (-1, "")
        #: The bytes that were read last, with their start: most texts are read one after the other.
        self._block = (0, b"")
        self._lock = Lock()

    def add(self, text: str) -> int:
        """Add *text*, and return where it starts.

        Raises:
            OSError: there is no folder for temporary files, or the disk is full.
        """
        body = text.encode("utf-8", "surrogatepass")
        record = len(body).to_bytes(_HEAD, "big") + body
        with self._lock:
            start, file = self._end, self._file()
            file.seek(start)
            if file.write(record) != len(record):
                raise OSError("the disk is full")
            self._end += len(record)
        return start

    def read(self, start: int) -> str:
        """Return the text that starts at *start*."""
        with self._lock:
            if self._last[0] != start:
                size = int.from_bytes(self._part(start, _HEAD), "big")
                body = self._part(start + _HEAD, size)
                self._last = (start, body.decode("utf-8", "surrogatepass"))
            return self._last[1]

    def _part(self, start: int, size: int) -> bytes:
        offset = start - self._block[0]
        if not 0 <= offset <= len(self._block[1]) - size:
            offset, self._block = 0, (start, self._read_bytes(max(size, _BLOCK), start))
        return self._block[1][offset : offset + size]

    def _read_bytes(self, size: int, start: int) -> bytes:
        # A forked process shares the position in the file, so that reads must not move it.
        if hasattr(os, "pread"):
            return os.pread(self._file().fileno(), size, start)
        self._file().seek(start)
        return self._file().read(size)

    def _file(self) -> FileIO:
        if self._opened is None:
            self._opened = TemporaryFile(prefix="ftgate-", buffering=0)  # noqa: SIM115 - closed below
            finalize(self, self._opened.close)
        return self._opened


class FiledReply(Reply):
    """A reply whose text is read from a file on each access."""

    __slots__ = ("_file", "_start")
    _file: TextFile
    _start: int

    def __getattr__(self, name: str) -> str:
        """Return the text, the only field that is not set."""
        if name != "text":
            raise AttributeError(name)
        return self._file.read(self._start)


def file_text(reply: Reply, file: TextFile) -> Reply:
    """Return *reply* with its text in *file* if the text is long and can be written."""
    if isinstance(reply, FiledReply) or len(reply.text) <= _MOST_CHARACTERS:
        return reply
    try:
        start = file.add(reply.text)
    except OSError:
        return reply
    filed = FiledReply.__new__(FiledReply)
    # The constructor would need the text, and keep it in memory.
    for name in _OTHER_FIELDS:
        object.__setattr__(filed, name, getattr(reply, name))
    object.__setattr__(filed, "_file", file)
    object.__setattr__(filed, "_start", start)
    return filed
