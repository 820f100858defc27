r"""The embedded model: the gate beside llama.cpp itself, and the fast weights beside the original.

    python benchmarks/local_model.py speed [--every 12] [--rounds 3] [SUITE]
    python benchmarks/local_model.py weights [--every 1] [--folder FOLDER] [SUITE]
    python benchmarks/local_model.py types [--rounds 3]

- ``speed``: the requests of the tickets, their skills and the ladder, a row each, in the order
  of a run: sent by the gate and by `xllamacpp` with the same weights, threads, slots and ends of
  replies, in turn, each from loading the model to the last reply. Tools are left out, which
  `xllamacpp` alone does not call. It prints requests a second, their ratio (held to 0.95), and the
  tokens of the gate: how many prompts have, how many of them were evaluated rather than found in a
  slot, and how many were decoded; and how often the adapter changed. ``--slots N`` sets the slots.
- ``weights``: runs the suite three times, twice with the weights of this machine and once with the
  original file. It prints the share of right labels and skills, how far two runs of the fast
  weights agree, how far the fast and the original agree, and the verdicts. A run that was
  interrupted goes on if FOLDER is the same.
- ``types``: prompt tokens a second of the same weights in several types, with one thread.

``--every N`` takes each Nth request or case, ``--skills NAME`` another set of skills. Without SUITE
it is examples/tickets/tickets.ftgate.yaml. ``speed`` works on a busy machine too, by its ratio.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from self_agreement import asked, marks

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.providers.llamacpp import LlamaCppProvider, open_llamacpp
from pytest_ftgate.reporting.tables import format_table
from pytest_ftgate.requests.request import Request, distinct_requests
from pytest_ftgate.scoring.scores import VariantScores, score_replies
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.weights import KNOWN_MODELS, find_weights, original_weights

ROOT = Path(__file__).parents[1]
SUITE = ROOT / "examples" / "tickets" / "tickets.ftgate.yaml"
MODEL = "smollm2-135m"
LADDER = ROOT / "examples" / "ladder" / "ladder.ftgate.yaml"
LIMIT = 0.95
#: Types of weights that the gguf package can make, and the prompt that measures them.
TYPES = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F16", "BF16")
PROMPT = "The customer writes that the order came late and asks for help with a refund. " * 24


# The gate beside llama.cpp --------------------------------------------------------------------


def requests_of(suite_path: Path, every: int) -> dict[str, list[Request]]:
    """Return each *every*-th request of the suite in the order of a run: labels and skills."""
    suite = load_suite(suite_path, ROOT)
    found: dict[str, list[Request]] = {}
    for name, case_requests in asked(suite, None):
        requests = distinct_requests(case_requests)[::every]
        part = f"{suite_path.parent.name}: {name.rpartition(': ')[2]}"
        found.setdefault(part, []).extend(
            one for one in requests if one.provider == "llamacpp" and not one.tools
        )
    return found


class Counts:
    """Counts the tokens of the gate and the changes of the adapter."""

    def __init__(self) -> None:
        self.tokens, self.evaluated, self.decoded, self.switches = 0, 0, 0, -1
        self._lora: Any = None

    def watch(self, provider: LlamaCppProvider) -> LlamaCppProvider:
        """Count what *provider* evaluates from now on."""
        server = provider._server  # noqa: SLF001
        complete = server.handle_chat_completions

        class Watched:
            listening_address = server.listening_address

            @staticmethod
            def handle_chat_completions(payload: Mapping[str, Any], *add: Any) -> Any:
                self.switches += payload["lora"] != self._lora
                self._lora = payload["lora"]
                if not add:
                    reply = complete(payload)
                    self._count(reply["timings"])
                    return reply
                last: dict[str, Any] = {}

                def seen(chunk: dict[str, Any]) -> Any:
                    last.update(chunk)
                    return add[0](chunk)

                complete(payload, seen)
                self._count(last["timings"])
                return None

        provider._server = Watched()  # noqa: SLF001
        return provider

    def _count(self, timings: Mapping[str, int]) -> None:
        self.tokens += timings["cache_n"] + timings["prompt_n"]
        self.evaluated += timings["prompt_n"]
        self.decoded += timings["predicted_n"]


def by_the_gate(requests: Sequence[Request], counts: Counts) -> float:
    """Return the seconds that the gate takes."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder) / "cache.sqlite", run="speed", clock=time.time)

        def opened(requests: Sequence[Request], environ: Mapping[str, str]) -> Any:
            return counts.watch(open_llamacpp(requests, environ))

        engine = Engine(cache, {}, plugin_providers={"llamacpp": opened})
        engine.wait(requests)
        engine.close()
    return time.perf_counter() - start


def directly(requests: Sequence[Request]) -> float:
    """Return the seconds that llama.cpp takes for the same requests, adapter by adapter."""
    start = time.perf_counter()
    provider = open_llamacpp(requests, {})
    payloads = [(request, provider._payload(request)) for request in requests]  # noqa: SLF001
    with ThreadPoolExecutor(provider.concurrency) as pool:
        for _, group in groupby(payloads, key=lambda pair: pair[1]["lora"]):
            list(pool.map(lambda pair: provider._complete(*pair), group))  # noqa: SLF001
    return time.perf_counter() - start


def speed(args: argparse.Namespace) -> None:
    """Print the gate's requests a second beside those of llama.cpp."""
    runtime = {"slots": args.slots} if args.slots else {}
    rows = []
    for suite in dict.fromkeys((args.suite, LADDER)):
        for name, asks in requests_of(suite, args.every).items():
            requests = [replace(one, runtime={**one.runtime, **runtime}) for one in asks]
            rows.append(speed_row(name, requests, args.rounds))
            print(" ".join(rows[-1]), file=sys.stderr)
    headers = ["requests", "", "llama.cpp: a second", "gate: a second", "ratio", "prompt tokens"]
    headers += ["evaluated", "decoded", "changes"]
    print(format_table(rows, headers, right_columns=range(1, 9)))
    print(f"The ratio is the median of {args.rounds}, held to {LIMIT}.")


def speed_row(name: str, requests: Sequence[Request], rounds: int) -> list[str]:
    """Return the figures of *requests*, with the medians of some *rounds*."""
    times = []
    for _ in range(rounds):
        counts = Counts()
        times.append((directly(requests), by_the_gate(requests, counts)))
    n = len(requests)
    direct, gate = (n / median(side) for side in zip(*times, strict=True))
    ratio = median(one / other for one, other in times)
    tokens = (counts.tokens, counts.evaluated, counts.decoded, counts.switches)
    shown = [f"{direct:.2f}", f"{gate:.2f}", f"{ratio:.2f}", *map("{:,}".format, tokens)]
    return [name, f"{n:,}", *shown]


# Fast and original weights --------------------------------------------------------------------


def copied(args: argparse.Namespace, model: str, folder: Path) -> Path:
    """Copy the folder of the suite, with another model and each Nth case; return the suite."""
    shutil.copytree(args.suite.parent, folder, ignore=shutil.ignore_patterns(".ftgate"))
    suite: Path = folder / args.suite.name
    text = re.sub(rf"\b{MODEL}\b", model, suite.read_text("utf-8"))
    if args.skills:
        text = re.sub(r"skills: [\w-]+", f"skills: {args.skills}", text)
    suite.write_text(text, "utf-8")
    for cases in folder.glob("*.cases.jsonl") if args.every > 1 else ():
        lines = cases.read_text("utf-8").splitlines()[:: args.every]
        cases.write_text("\n".join(lines) + "\n", "utf-8")
    return suite


def run(suite: Path) -> dict[str, str]:
    """Run the suite; return the outcome of each gate."""
    record = suite.parent / "run.json"
    options = [f"--ftgate-cache={cache_of(suite)}", f"--ftgate-json={record}"]
    options += ["-q", "-c", "/dev/null", "--rootdir", str(suite.parent)]
    command = [sys.executable, "-m", "pytest", "--ftgate", *options, str(suite)]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    verdicts = json.loads(record.read_text("utf-8"))["verdicts"]
    return {f"{one['gate']}[{one['variant']}]": one["outcome"] for one in verdicts}


def cache_of(suite: Path) -> Path:
    """Return the cache of one run."""
    return suite.parent / "cache.sqlite"


def scores(path: Path) -> Iterator[tuple[str, VariantScores]]:
    """Yield the scores of the parts of a run."""
    suite = load_suite(path, path.parent)
    cache = Cache(cache_of(path), run="weights", clock=time.time)
    for name, case_requests in asked(suite, None):
        replies = cache.replies(one.request.fingerprint for one in case_requests)
        there = tuple(one for one in case_requests if one.request.fingerprint in replies)
        if there:
            yield name, score_replies("", there, replies, path.parent)
    cache.close()


def same(first: Mapping[str, float], second: Mapping[str, float]) -> str:
    """Return the share of the cases of both that have the same score."""
    both = first.keys() & second.keys()
    return f"{sum(first[key] == second[key] for key in both) / len(both):.1%}"


def weights(args: argparse.Namespace) -> None:
    """Print the quality of the fast weights beside the original, and the verdicts."""
    folder = args.folder or Path(tempfile.mkdtemp())
    models = {"fast": MODEL, "again": MODEL, "original": str(original_weights(MODEL))}
    paths = {}
    for name, model in models.items():
        there = folder / name / args.suite.name
        paths[name] = there if there.is_file() else copied(args, model, folder / name)
    outcomes = {name: run(path) for name, path in paths.items()}
    parts = {name: dict(scores(path)) for name, path in paths.items()}
    rows = []
    for part in parts["fast"]:
        fast, again, original = (marks(parts[name][part]) for name in models)
        right = [f"{sum(one.values()) / len(one):.1%}" for one in (original, fast)]
        rows.append([part, str(len(fast)), *right, same(fast, again), same(fast, original)])
    headers = ["part", "replies", "right: original", "right: fast"]
    headers += ["same score: fast, fast", "same score: fast, original"]
    print(format_table(rows, headers, right_columns=range(1, 6)))
    gates = [
        [gate, *(outcomes[name].get(gate, "") for name in models)] for gate in outcomes["fast"]
    ]
    print("\n" + format_table(gates, ["gate", *models]))


# Types of weights -----------------------------------------------------------------------------


def of_type(source: Path, name: str, target: Path) -> None:
    """Write the weights with every quantized matrix in another type; the embedding stays."""
    import gguf

    reader, kind = gguf.GGUFReader(source), gguf.GGMLQuantizationType[name]
    writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    for field in reader.fields.values():
        if field.name != "general.architecture" and not field.name.startswith("GGUF."):
            value_type = field.types[0]
            items = field.types[-1] if value_type == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), value_type, sub_type=items)
    for tensor in reader.tensors:
        data, type_ = tensor.data, tensor.tensor_type
        if type_.name not in ("F32", "Q8_0"):
            data, type_ = gguf.quantize(gguf.dequantize(data, type_), kind), kind
        writer.add_tensor(tensor.name, data, raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def prompt_rate(path: Path, number: int) -> float:
    """Return the prompt tokens a second of CPU time."""
    request = Request(
        fingerprint="", provider="llamacpp", model=str(path), max_tokens=1, sampling={},
        messages=(("user", f"{number} {PROMPT}"),),
        runtime={"slots": 1, "threads": 1, "context": 1024},
    )  # fmt: skip
    provider = open_llamacpp([request], {})
    complete = provider._server.handle_chat_completions  # noqa: SLF001
    start = time.process_time()
    reply = complete(provider._payload(request))  # noqa: SLF001
    return float(reply["timings"]["prompt_n"] / (time.process_time() - start))


def types(args: argparse.Namespace) -> None:
    """Print how fast each type of weights reads a prompt."""
    rates = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.gguf" for name in TYPES}
        for name, path in paths.items():
            of_type(original_weights(MODEL), name, path)
        for number in range(args.rounds):
            for name, path in paths.items():
                rates[name] += prompt_rate(path, number) / args.rounds
    rows = [[name, f"{rate:.0f}", f"{rate / rates['Q4_1']:.2f}"] for name, rate in rates.items()]
    print(format_table(rows, ["type", "prompt tokens a CPU s", "beside Q4_1"]))


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=("speed", "weights", "types"))
    parser.add_argument("suite", type=Path, nargs="?", default=SUITE)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slots", type=int)
    parser.add_argument("--skills")
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    args.suite = args.suite.resolve()
    print(f"{MODEL}: {find_weights(MODEL, ROOT).name}; {KNOWN_MODELS[MODEL].package}")
    {"speed": speed, "weights": weights, "types": types}[args.what](args)


if __name__ == "__main__":
    main()
