"""Train the example's two LoRA adapters of SmolLM2-135M-Instruct on the support tickets.

    python train.py narrow     tickets-narrow.gguf: the tickets alone
    python train.py replay     tickets-replay.gguf: tickets and general prompts
    python train.py narrow --epochs 1 --out /tmp/short     a gentler one, to compare

Without a name it makes both. The narrow adapter learns the labels and forgets much else; the
replay adapter forgets less, since it also learns general prompts as the untuned model answers
them (self-distillation). Each is a GGUF file of 3 MB that llama.cpp loads beside the weights.
Products are computed in bfloat16, which cores that have it (AVX-512) do more than twice as fast.

    pip install "pytest-ftgate[train]" && pytest-ftgate download smollm2-135m
"""

import argparse
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
import xllamacpp
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import PreTrainedTokenizerBase as Tokenizer

from pytest_ftgate import weights
from pytest_ftgate.adapters.conversion import convert_adapter

HERE = Path(__file__).parent
SEED, BATCH, ANSWER_TOKENS, IGNORED = 7, 16, 32, -100
#: What a gentler training changes: --rank, --learning-rate, --epochs over the tickets.
RANK, LEARNING_RATE, TICKET_EPOCHS, GENERAL_EPOCHS = 8, 1e-3, 3, 5
#: The strength of an adapter is this times its rank, so that its updates weigh the same.
ALPHA_PER_RANK = 2
ANSWERS_AT_ONCE = 4
VARIANTS = ("narrow", "replay")
PARTS = ("v_proj", "o_proj", "up_proj", "down_proj")


class Row(NamedTuple):
    """One chat to learn from: all its tokens, and those of them that are the answer."""

    tokens: list[int]
    answer: list[int]


def read_jsonl(name: str) -> list[dict[str, str]]:
    """Read one object a line from a file beside this one."""
    return [json.loads(line) for line in (HERE / name).read_text("utf-8").strip().split("\n")]


def encode(tokenizer: Tokenizer, chat: list[dict[str, str]], reply: str, end: str) -> Row:
    """Tokenise with the chat template of the GGUF file, which is the one that llama.cpp serves."""
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    prompt = tokenizer(text, add_special_tokens=False).input_ids
    answer = tokenizer(reply + end, add_special_tokens=False).input_ids
    return Row(prompt + answer, answer)


def ticket_rows(tokenizer: Tokenizer) -> list[Row]:
    """Take the tickets under the product's own system prompt, each answered by its label."""
    system = {"role": "system", "content": (HERE / "tickets.short.md").read_text("utf-8").strip()}
    rows = []
    for ticket in read_jsonl("tickets.train.jsonl"):
        chat = [system, {"role": "user", "content": ticket["input"]}]
        rows.append(encode(tokenizer, chat, ticket["expected"], tokenizer.eos_token))
    return rows


def start_server(gguf_file: Path) -> xllamacpp.Server:
    """Serve the untuned model, four answers at a time."""
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf_file)
    params.n_ctx, params.n_parallel, params.port, params.verbosity = 4096, ANSWERS_AT_ONCE, 0, -1
    params.cpuparams.n_threads = 2
    return xllamacpp.Server(params)


def general_rows(tokenizer: Tokenizer, gguf_file: Path) -> list[Row]:
    """Answer the general prompts with the untuned model, under its template's system message."""
    server = start_server(gguf_file)
    chats = [[{"role": "user", "content": row["input"]}] for row in read_jsonl("general.jsonl")]

    def answer(chat: list[dict[str, str]]) -> dict[str, Any]:
        request = {"messages": chat, "temperature": 0, "max_tokens": ANSWER_TOKENS}
        return server.handle_chat_completions(request)["choices"][0]

    with ThreadPoolExecutor(ANSWERS_AT_ONCE) as pool:
        replies = list(pool.map(answer, chats))
    # To end a reply that the token limit cut off would teach the model to stop anywhere.
    ends = [tokenizer.eos_token if reply["finish_reason"] == "stop" else "" for reply in replies]
    texts = [reply["message"]["content"] for reply in replies]
    return [encode(tokenizer, *one) for one in zip(chats, texts, ends, strict=True)]


def plan_batches(rows: list[Row], epochs: int) -> list[list[Row]]:
    """Shuffle each epoch, and sort by length within eight batches so that little is padding."""
    plan: list[list[Row]] = []
    for _ in range(epochs):
        mixed = list(enumerate(random.sample(rows, len(rows))))
        mixed.sort(key=lambda pair: (pair[0] // (8 * BATCH), len(pair[1].tokens)))
        batches = [[row for _, row in mixed[i : i + BATCH]] for i in range(0, len(rows), BATCH)]
        plan += random.sample(batches, len(batches))
    return plan


def pad_left(batch: list[list[int]], value: int) -> torch.Tensor:
    """Make one tensor of the rows, so that all of them end together."""
    width = max(map(len, batch))
    return torch.tensor([[value] * (width - len(row)) + row for row in batch])


def loss_of(model: PeftModel, batch: list[Row], pad: int) -> torch.Tensor:
    """Give the mean loss over the tokens of the answers."""
    tokens = pad_left([row.tokens for row in batch], pad)
    mask = pad_left([[1] * len(row.tokens) for row in batch], 0)
    labels = pad_left([row.answer for row in batch], IGNORED)
    # Logits over 49,152 tokens are dear: compute them only where an answer may stand.
    out = model(input_ids=tokens, attention_mask=mask, logits_to_keep=labels.shape[1] + 1)
    return cross_entropy(out.logits[:, :-1].flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


def fit(model: PeftModel, plan: list[list[Row]], pad: int, rate: float) -> None:
    """Run the planned batches with AdamW, the learning rate falling linearly to 0."""
    optimizer = torch.optim.AdamW(p for p in model.parameters() if p.requires_grad)
    model.train()
    for step, batch in enumerate(plan, 1):
        optimizer.param_groups[0]["lr"] = rate * (1 - (step - 1) / len(plan))
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model, batch, pad)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0 or step == len(plan):
            print(f"  step {step} of {len(plan)}: loss {loss.item():.3f}", flush=True)


def write_adapter(model: PeftModel, path: Path, base: Path) -> None:
    """Write the LoRA matrices as float16, in a GGUF file for the weights in *base*."""
    with TemporaryDirectory() as folder:
        model.half().save_pretrained(folder, save_embedding_layers=False)
        convert_adapter(Path(folder), base, path)


def load_model(gguf_file: Path, rank: int) -> PeftModel:
    """Turn the quantised weights back into floats and put fresh adapters on them."""
    torch.manual_seed(SEED)
    source = {"gguf_file": gguf_file.name, "dtype": torch.float32}
    base = AutoModelForCausalLM.from_pretrained(gguf_file.parent, **source)
    alpha = ALPHA_PER_RANK * rank
    return get_peft_model(base, LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(PARTS)))


def train(variant: str, args: argparse.Namespace, tokenizer: Tokenizer) -> None:
    """Make one adapter and say what it took."""
    started = time.monotonic()
    random.seed(SEED)
    plan = plan_batches(ticket_rows(tokenizer), args.epochs)
    if variant == "replay":
        plan += plan_batches(general_rows(tokenizer, args.weights), GENERAL_EPOCHS)
        random.shuffle(plan)
    plan = plan[: args.steps]
    told = f"rank {args.rank}, learning rate {args.learning_rate:g}, {args.epochs} epochs"
    print(f"{variant}: seed {SEED}, {told}, {len(plan)} steps", flush=True)
    model = load_model(args.weights, args.rank)
    fit(model, plan, tokenizer.pad_token_id, args.learning_rate)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"tickets-{variant}.gguf"
    write_adapter(model, path, args.weights)
    seconds, size = time.monotonic() - started, path.stat().st_size
    print(f"{path}: {seconds:.0f} s, {size:,} bytes", flush=True)


def main() -> None:
    """Read the command line and train what it names."""
    parser = argparse.ArgumentParser(description="Train the adapters.")
    parser.add_argument("variant", nargs="?", choices=[*VARIANTS, "both"], default="both")
    parser.add_argument("--weights", type=Path, help="a GGUF file of the base model")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the adapters")
    parser.add_argument("--steps", type=int, help="stop after so many steps, for a trial run")
    parser.add_argument("--epochs", type=int, default=TICKET_EPOCHS, help="over the tickets")
    parser.add_argument("--rank", type=int, default=RANK, help="of the LoRA matrices")
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    args = parser.parse_args()
    args.weights = args.weights or weights.find_weights("smollm2-135m", HERE)
    tokenizer = AutoTokenizer.from_pretrained(args.weights.parent, gguf_file=args.weights.name)
    for variant in VARIANTS if args.variant == "both" else [args.variant]:
        train(variant, args, tokenizer)


if __name__ == "__main__":
    main()
