"""What is fuzzed: for each target what it does with an input, and the inputs to start from.

Each target takes any bytes and raises only where the package breaks a promise. `fuzz.py` feeds it
with Atheris, `test_targets.py` with the inputs to start from and those that once broke it.
"""

from __future__ import annotations

import json
import re
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import yaml

from pytest_ftgate.adapters.conversion import _tensors
from pytest_ftgate.adapters.lora import CONFIG_FILE, WEIGHTS_FILE, adapter_facts, folder_problem
from pytest_ftgate.cache.export import read_replies, write_replies
from pytest_ftgate.cache.sqlite import CacheEntry
from pytest_ftgate.cli.record import schema_text
from pytest_ftgate.errors import ConfigurationError, FtgateError, SuiteError
from pytest_ftgate.readers.answer_rows import Columns
from pytest_ftgate.readers.answers import read_answers
from pytest_ftgate.readers.datasets import read_import
from pytest_ftgate.readers.source import Source
from pytest_ftgate.requests.reply import Reply, read_reply, split_thoughts
from pytest_ftgate.results.accepted import record_of_suite
from pytest_ftgate.results.run import read_run
from pytest_ftgate.scoring.structured import find_json, structured_reader
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.training_data import read_training_rows

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
#: A folder below which an input lies, with the files that a suite names.
FOLDER = Path(tempfile.mkdtemp(prefix="ftgate-fuzz-"))
CASES = '{"id": "a", "input": "Where is my refund?", "expected": "refund"}\n'
SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".eval", ".yaml")


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that is fuzzed.

    Attributes:
        run: takes the input; whatever it raises is a defect.
        seeds: yields the inputs to start from, besides those of the folder ``corpus/NAME``.
        words: parts of inputs that a fuzzer would hardly find by itself.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    words: tuple[str, ...] = ()


def text_of(data: bytes) -> str:
    """Return *data* as text; bytes that are no UTF-8 become lone surrogates, as JSON may hold."""
    return data.decode("utf-8", "surrogateescape")


def explained(error: FtgateError) -> None:
    """Assert that *error* says something."""
    assert str(error).strip()
    if isinstance(error, SuiteError):
        assert error.errors
        assert all(one.message.strip() and one.line >= 0 for one in error.errors)


# Suites -------------------------------------------------------------------------------------------


def run_suite(data: bytes) -> None:
    """Load the suite: either it can be used, or each of its errors has a line and a message."""
    path = FOLDER / "s.ftgate.yaml"
    path.write_bytes(data)
    for name in ("tickets.cases.jsonl", "cases.jsonl"):
        (FOLDER / name).write_text(CASES, "utf-8")
    (FOLDER / "tickets.md").write_text("Answer with one label.", "utf-8")
    try:
        load_suite(path, FOLDER)
    except (SuiteError, ConfigurationError) as error:
        explained(error)


def suite_seeds() -> Iterator[bytes]:
    yield from (path.read_bytes() for path in ROOT.glob("examples/*/*.ftgate.yaml"))
    for page in sorted((ROOT / "docs").glob("*.md")):
        blocks = re.findall(
            r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
        yield from (block.encode() for block in blocks)


def schema_words() -> tuple[str, ...]:
    """Return every key and every word that a suite may hold."""
    words: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            words.update(value.get("properties", ()))
            words.update(word for word in value.get("enum", ()) if isinstance(word, str))
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    collect(json.loads(schema_text("suite")))
    return tuple(sorted(words))


# Files of other tools -----------------------------------------------------------------------------


def run_foreign(data: bytes) -> None:
    """Read a file as answers, as a configuration or dataset, and as training rows."""
    path = FOLDER / f"foreign{SUFFIXES[(data[:1] or b'0')[0] % len(SUFFIXES)]}"
    path.write_bytes(data[1:])
    for read in (lambda: read_answers(path, Columns()), lambda: read_import(path)):
        try:
            read()
        except FtgateError as error:
            explained(error)
    if path.suffix in (".jsonl", ".csv", ".json"):
        source = Source(root=FOLDER, path=path)
        read_training_rows(source, path)
        assert all(error.message for error in source.errors)


def foreign_seeds() -> Iterator[bytes]:
    folders = ("tests/readers/data/*", "examples/answers/*", "examples/tickets/*.jsonl")
    for path in (path for pattern in folders for path in sorted(ROOT.glob(pattern))):
        content = path.read_bytes()
        # Whole lines: a long file has many of one kind.
        short = b"".join(content.splitlines(keepends=True)[:4])
        kept = short if path.suffix == ".jsonl" else content
        yield bytes([SUFFIXES.index(path.suffix)]) + kept
    yield b"\x02id,input,expected,reply\na,b,c,d\n"
    yield b"\x05providers: [openai:gpt-4.1]\nprompts: ['{{q}}']\ntests: [{vars: {q: a}}]\n"
    for document in DOCUMENTS:
        yield b"\x00" + json.dumps(document).encode()
    for row in ROWS:
        yield b"\x01" + json.dumps(row).encode()


DOCUMENTS = yaml.safe_load("""
- providers: ["openai:gpt-4.1", {id: "a:b", config: {temperature: 0}}]
  prompts: ["{{q}}"]
  defaultTest: {assert: [{type: llm-rubric, value: x}]}
  tests: [{vars: {q: a}, assert: [{type: contains-any, value: [a]}]}]
- goldens: [{input: a, expected_output: b, context: [c]}]
- cases:
  - {name: a, inputs: q, expected_output: b, metadata: {a: b},
     evaluators: [{Contains: {value: x}}, EqualsExpected]}
  evaluators: [{LLMJudge: {rubric: r, model: m}}, {MaxDuration: 2.0}]
- [{ideal: [a], input: [{role: user, content: q}]}]
- [{inputs: {question: x}, outputs: {answer: y}, metadata: {split: a}}]
""")
ROWS = (
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    {"prompt": "a", "completion": "b"},
    {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
)


# Entries of the cache -----------------------------------------------------------------------------


def run_cache(data: bytes) -> None:
    """Read replies of a file, and one of a row: what is read can be written and read again."""
    path = FOLDER / "s.replies.jsonl"
    path.write_bytes(data)
    try:
        entries = read_replies(path, path.name)
    except SuiteError as error:
        explained(error)
    else:
        write_replies(path, "s", entries.values())
        assert read_replies(path, path.name) == entries
    try:
        entry = CacheEntry.from_row(("f", "r", "1", text_of(data), "p", "m"))
    except (TypeError, ValueError):
        return
    assert CacheEntry.from_row(entry.row) == entry


def cache_seeds() -> Iterator[bytes]:
    head = '{"about": "replies kept by pytest-ftgate", "format": 1, "suite": "s", "replies": 1}\n'
    reply = {
        "text": "billing",
        "stop": "length",
        "model": "m",
        "usage": {"input": 9, "output": 2},
        "seconds": 0.5,
        "thought": "hm",
        "steps": [{"text": "a", "calls": [{"name": "f", "arguments": {"a": 1}, "result": "2"}]}],
        "passages": [{"id": "p", "text": "t", "score": 0.5}],
        "unsent": ["seed"],
        "facts": {"region": "eu"},
    }
    line = {"fingerprint": "a" * 64, "run": "r", "at": 1.0, "provider": "p", "model": "m"}
    yield (head + json.dumps(line | {"reply": reply}) + "\n").encode()
    yield json.dumps(reply).encode()
    yield json.dumps({"text": "a"}).encode()


# Thoughts -----------------------------------------------------------------------------------------


def run_thoughts(data: bytes) -> None:
    """Split a reply: nothing is made up, and only a cut thought may leave no answer."""
    text = Reply(text=text_of(data)).text
    for marks in (None, (), (("<think>", "</think>"),), (("[", "]"), ("◁", "▷"))):
        split = split_thoughts(text, marks)
        kept = "".join((split.thought + split.answer).split())
        assert not [*_surplus(kept, text)]
        assert split.is_closed or not split.answer.strip()
        read = read_reply(Reply(text=text), marks)
        assert (read.text, read.thought) == (split.answer, split.thought)


def _surplus(kept: str, text: str) -> Iterator[str]:
    """Yield the characters that stand in *kept* more often than in *text*."""
    rest = list(text)
    for character in kept[:500]:
        if character in rest:
            rest.remove(character)
        else:
            yield character


def thoughts_seeds() -> Iterator[bytes]:
    texts = (
        "<think>a</think>b",
        "a</think>\n\nb",
        "<think>a",
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
        "analysis a assistantfinal b",
        "◁think▷a◁/think▷b",
        "[THINK]a[/THINK]b",
        "<seed:think>a</seed:think>b",
        "<reasoning>a</reasoning><thinking>b</thinking>c",
    )
    yield from (text.encode() for text in texts)


# Repair of JSON -----------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["billing", "refund"]}, "n": {"type": "integer"}},
    "required": ["label"],
    "additionalProperties": False,
}
RULES = (
    *(Rule("json_schema", SCHEMA), Rule("code", "json"), Rule("code", "yaml")),
    *(Rule("xml", ("a", "b")), Rule("csv", {"columns": ("a", "b")})),
)


def run_repair(data: bytes) -> None:
    """Look for structured data in a reply: any error has a kind, and what is found is JSON."""
    text = text_of(data)
    found = find_json(text)
    assert json.loads(json.dumps(found)) == found
    for rule in RULES:
        error = structured_reader(rule, FOLDER).find_error(text)
        assert error is None or error.kind
    if structured_reader(RULES[0], FOLDER).find_error(text) is None:
        assert isinstance(found, dict)
        assert found["label"] in ("billing", "refund")


def repair_seeds() -> Iterator[bytes]:
    value = '{"label": "refund", "n": 1}'
    texts = (
        value,
        f"```json\n{value}\n```",
        f"Here it is: {value}. Anything else?",
        '{"label": "refund",}',
        '{"label": "ref',
        f"[1, {value}, [2]]",
        "<a>1</a><b>2</b>",
        "a,b\n1,2\n",
        "a: [1, 2]\nb: &x {c: *x}\n",
    )
    yield from (text.encode() for text in texts)


# Adapters ----------------------------------------------------------------------------------------


def run_adapter(data: bytes) -> None:
    """Read an adapter of a trainer: it is of use, or an error says why not."""
    folder = FOLDER / "adapter"
    folder.mkdir(exist_ok=True)
    config, _, weights = data.partition(b"\0\0")
    (folder / CONFIG_FILE).write_bytes(config)
    (folder / WEIGHTS_FILE).write_bytes(weights)
    facts = adapter_facts(folder, sha256(data).hexdigest())
    assert all(isinstance(value, str) for value in facts.values())
    assert isinstance(folder_problem(folder), str)
    with suppress(ConfigurationError):
        assert all(array.ndim >= 0 for _, array in _tensors(folder / WEIGHTS_FILE))


def adapter_seeds() -> Iterator[bytes]:
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]}
    header = b'{"q_proj.lora_A.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}'
    text = json.dumps(config | {"rank_pattern": {"q": 4}, "use_rslora": True}).encode()
    yield text + b"\0\0" + struct.pack("<Q", len(header)) + header + bytes(4)


# Records ------------------------------------------------------------------------------------------


def run_records(data: bytes) -> None:
    """Read an accepted record and a run record: each is one, or an error says why not."""
    for read in (lambda path: record_of_suite(path, "s.ftgate.yaml"), read_run):
        path = FOLDER / "s.accepted.json"
        path.write_bytes(data)
        try:
            read(path)
        except FtgateError as error:
            explained(error)


def record_seeds() -> Iterator[bytes]:
    yield from (path.read_bytes()[:6_000] for path in ROOT.glob("examples/*/*.accepted.json"))
    row = [1.0, None, 1, "a", "b", None]
    yield json.dumps(
        {"suite": "s.ftgate.yaml", "at": "2026-01-01T00:00:00Z", "format": 5, "verdicts": [],
         "variants": {"v": {"a": row}}, "limits": {"accuracy": 0.1}, "anchors": {}}
    ).encode()  # fmt: skip
    yield b'{"format": 5, "verdict": "passed", "verdicts": [], "suites": []}'


MARKS = (
    *("<think>", "</think>", "<thinking>", "</thinking>", "<thought>", "</thought>", "<reasoning>"),
    *(
        "</reasoning>",
        "<seed:think>",
        "</seed:think>",
        "[THINK]",
        "[/THINK]",
        "◁think▷",
        "◁/think▷",
    ),
    *("<|channel|>", "<|message|>", "<|start|>assistant", "<|end|>", "<|constrain|>", "final"),
    *("analysis", "assistantfinal"),
)
TARGETS = {
    "suite": Target(run_suite, suite_seeds, schema_words()),
    "foreign": Target(run_foreign, foreign_seeds),
    "cache": Target(run_cache, cache_seeds),
    "thoughts": Target(run_thoughts, thoughts_seeds, MARKS),
    "adapter": Target(run_adapter, adapter_seeds, ("peft_type", "rank_pattern", "lora_A")),
    "records": Target(run_records, record_seeds),
    "repair": Target(run_repair, repair_seeds, ("```", "```json\n", '"label"', '"refund"', "NaN")),
}


def inputs(name: str) -> Iterator[bytes]:
    """Yield the inputs from which the target *name* starts, and those that once broke it."""
    yield from TARGETS[name].seeds()
    yield from (path.read_bytes() for path in sorted((CORPUS / name).glob("*")))
