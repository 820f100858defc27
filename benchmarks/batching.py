"""How much faster batches are than one request after the other, in the provider transformers.

    python benchmarks/batching.py [MODEL] [--requests 16] [--dtype bfloat16]

Prompt-bound requests read 200 words and answer with 2 tokens, as labels do; decode-bound ones read
20 and answer with 64. Each kind is answered one by one and in one batch, by the embedded model or
by MODEL, a GGUF file or a folder. The factors are of the time, and of the CPU seconds of all
threads, which other load on the machine changes less. Needs the extra ``transformers``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from pytest_ftgate import Reply, Request, weights
from pytest_ftgate.providers.transformers import TransformersProvider

#: By kind of work: the words of a prompt, and the tokens of a reply.
KINDS = {"prompt-bound": (200, 2), "decode-bound": (20, 64)}
TEXT = "The parcel that I ordered last week has not arrived at my new address yet"
WORDS = TEXT.split(" ")


def make_requests(model: Path, kind: str, count: int, options: dict[str, str]) -> list[Request]:
    """Return requests of one kind, with different prompts of the same length."""
    words, tokens = KINDS[kind]
    return [
        Request(
            fingerprint=f"{kind} {number}",
            provider="transformers",
            model=str(model),
            messages=(("user", " ".join(WORDS[(number + n) % len(WORDS)] for n in range(words))),),
            max_tokens=tokens,
            sampling={},
            options=options,
        )
        for number in range(count)
    ]


def measure(provider: TransformersProvider, batches: Sequence[Sequence[Request]]) -> list[float]:
    """Answer all batches; return the time and the CPU seconds."""
    start, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        for reply in provider._answer(batch):  # noqa: SLF001 - without an event loop
            assert isinstance(reply, Reply), reply
    return [time.perf_counter() - start, time.process_time() - cpu]


def main() -> None:
    """Measure both kinds of work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--requests", type=int, default=16)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    args = parser.parse_args()
    model = args.model or weights.find_weights("smollm2-135m", Path.cwd())
    options = {"dtype": args.dtype}
    provider = TransformersProvider(make_requests(model, "prompt-bound", 1, options), {})
    print(f"{model.name}, {args.dtype}, {args.requests} requests of each kind")
    print("work           one by one         in a batch         factor: time   CPU")
    for kind in KINDS:
        requests = make_requests(model, kind, args.requests, options)
        # The first answer pays for what is loaded late.
        measure(provider, [requests[:1]])
        alone = measure(provider, [[request] for request in requests])
        batch = measure(provider, [requests])
        factors = [one / many for one, many in zip(alone, batch, strict=True)]
        print(
            f"{kind:13}  {alone[0]:5.1f} s {alone[1]:5.1f} CPU  {batch[0]:5.1f} s "
            f"{batch[1]:5.1f} CPU  {factors[0]:12.1f}  {factors[1]:5.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
