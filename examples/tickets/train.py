"""Train the example's two LoRA adapters of SmolLM2-135M-Instruct on the support tickets, by TRL.

    python train.py narrow     tickets-narrow.gguf: the tickets alone
    python train.py replay     tickets-replay.gguf: tickets and general prompts
    python train.py narrow --epochs 1 --out /tmp/short     a gentler one, to compare
    python train.py narrow --gates 10 --out /tmp/gated     with gates at every tenth step
    python train.py narrow --save-every 10 --out /tmp/kept     with a checkpoint at every tenth step
    python train.py narrow --weights new.gguf --start tickets-replay.gguf --out /tmp/new     moved

Without a name it makes both. The narrow adapter learns the labels and forgets much else; the
replay adapter forgets less, since it also learns general prompts as the untuned model answers
them (self-distillation). Each is a GGUF file of 3 MB that llama.cpp loads beside the weights.
Products are computed in bfloat16 on processors with AVX-512, which do it more than twice as fast;
others take several times as long for it.

With --gates the gates of the suite are evaluated while the model is trained, and a training that
forgets ends. The figures are in the trainer's log, log-narrow.json, which curve.py draws.

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
from datasets import Dataset
from gguf import GGUFReader
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers import PreTrainedTokenizerBase as Tokenizer
from trl import SFTConfig, SFTTrainer

from pytest_ftgate import weights
from pytest_ftgate.adapters.conversion import convert_adapter
from pytest_ftgate.training import GateCallback

HERE = Path(__file__).parent
SEED, BATCH, ANSWER_TOKENS, IGNORED = 7, 16, 32, -100
#: What a gentler training changes: --rank, --learning-rate, --epochs over the tickets.
RANK, LEARNING_RATE, TICKET_EPOCHS, GENERAL_EPOCHS = 8, 1e-3, 3, 5
#: The strength of an adapter is this times its rank, so that its updates weigh the same.
ALPHA_PER_RANK = 2
ANSWERS_AT_ONCE = 4
VARIANTS = ("narrow", "replay")
#: The modules that get LoRA matrices, and their names in a GGUF file.
PARTS = {"v_proj": "attn_v", "o_proj": "attn_output", "up_proj": "ffn_up", "down_proj": "ffn_down"}


class Row(NamedTuple):
    """One chat to learn from: all its tokens, and the labels, which the answer alone has."""

    tokens: list[int]
    labels: list[int]


def read_jsonl(name: str) -> list[dict[str, str]]:
    """Read one object a line from a file beside this one."""
    return [json.loads(line) for line in (HERE / name).read_text("utf-8").strip().split("\n")]


def encode(tokenizer: Tokenizer, chat: list[dict[str, str]], reply: str, end: str) -> Row:
    """Tokenise with the chat template of the GGUF file, which is the one that llama.cpp serves."""
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    prompt = tokenizer(text, add_special_tokens=False).input_ids
    answer = tokenizer(reply + end, add_special_tokens=False).input_ids
    return Row(prompt + answer, [IGNORED] * len(prompt) + answer)


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


class PlannedTrainer(SFTTrainer):
    """TRL's trainer, with batches that are planned."""

    plan: list[list[int]]

    def get_train_dataloader(self) -> DataLoader:
        """Load the rows of each planned batch."""
        options = {"batch_sampler": self.plan, "collate_fn": self.data_collator}
        return self.accelerator.prepare(DataLoader(self.train_dataset, **options))

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **options: Any) -> torch.Tensor:
        """Compute the loss of the answers; on processors SFTTrainer scores all prompts as well."""
        del args, options
        labels = inputs.pop("labels")
        # The columns with an answer, which are few since a batch has rows of similar length.
        columns = (labels != IGNORED).any(0).nonzero().flatten()
        logits = model(**inputs, use_cache=False, logits_to_keep=columns - 1).logits.float()
        return cross_entropy(logits.flatten(0, 1), labels[:, columns].flatten())


def make_trainer(
    model: PeftModel, plan: list[list[Row]], tokenizer: Tokenizer, args: argparse.Namespace
) -> PlannedTrainer:
    """Return a trainer for the plan: AdamW, the learning rate falling linearly to 0."""
    rows = [row for batch in plan for row in batch]
    columns = {"input_ids": [row.tokens for row in rows], "labels": [row.labels for row in rows]}
    options = SFTConfig(
        output_dir=str(args.out / "checkpoints"),
        num_train_epochs=1,
        max_steps=args.steps or -1,
        learning_rate=args.learning_rate,
        lr_scheduler_type="linear",
        weight_decay=0.01,
        max_grad_norm=0.0,
        gradient_checkpointing=False,
        bf16=torch.backends.cpu.get_cpu_capability().startswith("AVX512"),
        use_cpu=True,
        seed=SEED,
        logging_steps=10,
        save_strategy="steps" if args.save_every else "no",
        save_steps=args.save_every or 1,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = PlannedTrainer(
        model=model,
        args=options,
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
    )
    numbers = iter(range(len(rows)))
    trainer.plan = [[next(numbers) for _ in batch] for batch in plan]
    return trainer


def start_from(model: PeftModel, adapter: Path) -> None:
    """Begin with the matrices of *adapter*, a GGUF file that this script made for another base."""
    found = {tensor.name: torch.tensor(tensor.data) for tensor in GGUFReader(adapter).tensors}
    for name, module in model.named_modules():
        if "lora_A" in dict(module.named_children()):
            layer, part = name.split(".layers.")[1].split(".")[0], name.rpartition(".")[2]
            for side, matrices in (("a", module.lora_A), ("b", module.lora_B)):
                matrix = found[f"blk.{layer}.{PARTS[part]}.weight.lora_{side}"]
                matrices["default"].weight.data.copy_(matrix)


def write_adapter(model: PeftModel, path: Path, base: Path) -> None:
    """Write the LoRA matrices as float16, in a GGUF file for the weights in *base*."""
    with TemporaryDirectory() as folder:
        model.half().save_pretrained(folder, save_embedding_layers=False)
        convert_adapter(Path(folder), base, path)


def load_model(gguf_file: Path, rank: int) -> PeftModel:
    """Turn the quantised weights back into floats and put fresh adapters on them."""
    torch.manual_seed(SEED)
    source = {"gguf_file": gguf_file.name, "dtype": torch.float32}
    floats = GgufConfig(dequantize=True)
    base = AutoModelForCausalLM.from_pretrained(
        gguf_file.parent, quantization_config=floats, **source
    )
    alpha = ALPHA_PER_RANK * rank
    lora = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(PARTS), task_type="CAUSAL_LM")
    return get_peft_model(base, lora)


def make_callback(variant: str, trainer: PlannedTrainer, args: argparse.Namespace) -> GateCallback:
    """Return the callback that evaluates the gates of the variant; pytest does so at the end."""
    return GateCallback(
        HERE / "tickets.ftgate.yaml",
        every=args.gates,
        stop_on=() if args.go_on else ("forgetting",),
        variant=f"lora-{variant}",
        trainer=trainer,
        at_end=False,
    )


def train(variant: str, args: argparse.Namespace, tokenizer: Tokenizer) -> None:
    """Make one adapter and say what it took."""
    started = time.monotonic()
    random.seed(SEED)
    plan = plan_batches(ticket_rows(tokenizer), args.epochs)
    if variant == "replay":
        plan += plan_batches(general_rows(tokenizer, args.weights), GENERAL_EPOCHS)
        random.shuffle(plan)
    told = f"rank {args.rank}, learning rate {args.learning_rate:g}, {args.epochs} epochs"
    print(f"{variant}: seed {SEED}, {told}, {len(plan)} steps", flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    model = load_model(args.weights, args.rank)
    if args.start:
        start_from(model, args.start)
    trainer = make_trainer(model, plan, tokenizer, args)
    if args.gates:
        trainer.add_callback(make_callback(variant, trainer, args))
    trainer.train()
    trainer.state.save_to_json(str(args.out / f"log-{variant}.json"))
    path = args.out / f"tickets-{variant}.gguf"
    write_adapter(trainer.model, path, args.weights)
    seconds, size = time.monotonic() - started, path.stat().st_size
    print(f"{path}: {seconds:.0f} s, {size:,} bytes", flush=True)


def main() -> None:
    """Read the command line and train what it names."""
    parser = argparse.ArgumentParser(description="Train the adapters.")
    parser.add_argument("variant", nargs="?", choices=[*VARIANTS, "both"], default="both")
    parser.add_argument("--weights", type=Path, help="a GGUF file of the base model")
    parser.add_argument("--start", type=Path, help="an adapter to begin with, as a GGUF file")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the adapters")
    parser.add_argument("--steps", type=int, help="stop after so many steps, for a trial run")
    parser.add_argument("--gates", type=int, metavar="N", help="evaluate the gates every N steps")
    parser.add_argument("--go-on", action="store_true", help="do not stop where a gate drops")
    parser.add_argument(
        "--save-every", type=int, metavar="N", help="save a checkpoint every N steps"
    )
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
