"""Make a second base model for docs/how-to/new-base.md: a GGUF file of 145 MB.

    python benchmarks/new_base.py OUT [--steps 16]     writes OUT/new-base.gguf

No package index has another small chat model. So the new base is SmolLM2-135M-Instruct, trained
further: it sorts words and short sentences into categories that a prompt lists, and answers small
questions. No ticket and no category of the tickets is among the rows. The training is that of
``examples/tickets/train.py``; its LoRA matrices are added to the weights, which are stored as Q8_0.
Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gguf import GGUFReader, dequantize, quantize

EXAMPLE = Path(__file__).parents[1] / "examples" / "tickets"
sys.path.insert(0, str(EXAMPLE))

import train  # noqa: E402 - the example's trainer

from pytest_ftgate import weights  # noqa: E402

#: Categories and what belongs to them.
CATEGORIES = {
    "animal": "horse rabbit eagle salmon spider camel goat penguin",
    "vegetable": "carrot onion spinach cabbage potato leek pumpkin",
    "fruit": "apple cherry banana grape lemon peach plum",
    "musical_instrument": "violin trumpet piano flute drum harp guitar",
    "vehicle": "tractor bicycle tram lorry ferry scooter train",
    "clothing": "jacket scarf sock glove shirt hat skirt",
    "furniture": "sofa wardrobe table shelf chair bed desk",
    "job_title": "baker nurse plumber judge teacher farmer pilot",
    "city_name": "Paris Tokyo Cairo Lima Oslo Madrid Vienna",
    "metal": "iron copper silver zinc lead gold nickel",
    "sport_activity": "tennis rowing football boxing skiing judo golf",
    "body_part": "elbow knee shoulder ear thumb heel chin",
    "weather_word": "rain fog hail thunder snow drizzle sunshine",
    "kitchen_tool": "whisk ladle grater saucepan spatula sieve peeler",
    "school_subject": "history chemistry geography algebra biology physics Latin",
    "family_member": "uncle niece grandmother brother cousin father aunt",
    "hot_drink": "coffee tea cocoa espresso cappuccino",
    "feeling": "joy anger sadness pride envy relief shame",
    "bird_sound": "chirp hoot quack caw tweet cluck",
    "time_unit": "minute decade hour month century second week",
}
TEXTS = (
    "{}", "I was thinking about {} all day.", "Can you tell me more about {}?",
    "My neighbour talked about {} again!!", "{}, please, and be quick",
    "Last week we wrote a long letter about {}, and I still have not had an answer.",
)  # fmt: skip
PROMPTS = (
    "Sort the message. Reply with exactly one of these categories and nothing else: {}.",
    (
        "You sort messages for an office. Reply with exactly one of these categories and nothing "
        "else: {}. Of two take the one that comes first."
    ),
    "Which category fits? Answer with one of them, as it is written: {}.",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
#: One row in so many is a small question.
QUESTIONS = 3


def small_question() -> tuple[str, str]:
    """Return a question with its answer."""
    word, day = random.choice(random.choice([*CATEGORIES.values()]).split()), random.randrange(7)
    first, second = random.randint(2, 30), random.randint(2, 30)
    return random.choice(
        [
            (f"What is {first} plus {second}?", f"{first} plus {second} is {first + second}."),
            (f"Which number is larger, {first} or {second + 30}?", f"{second + 30} is larger."),
            (f"Which day comes after {DAYS[day]}?", f"{DAYS[(day + 1) % 7]} does."),
            (f"Write the word {word} in capital letters.", word.upper()),
            (f"Which letter does the word {word} begin with?", f"It begins with {word[0]}."),
        ]
    )


def mixed_rows(tokenizer: Any, count: int) -> Iterator[train.Row]:
    """Yield small questions, and texts with one of 3 to 18 categories that the prompt lists."""
    for number in range(count):
        if number % QUESTIONS == 0:
            question, answer = small_question()
            chat = [{"role": "user", "content": question}]
            yield train.encode(tokenizer, chat, answer, tokenizer.eos_token)
            continue
        offered = random.sample([*CATEGORIES], random.randint(3, 18))
        label = random.choice(offered)
        word = random.choice(CATEGORIES[label].split())
        chat = [
            {"role": "system", "content": random.choice(PROMPTS).format(", ".join(offered))},
            {"role": "user", "content": random.choice(TEXTS).format(word)},
        ]
        yield train.encode(tokenizer, chat, label, tokenizer.eos_token)


def added_weights(model: Any) -> dict[str, Any]:
    """Return what the adapter adds to each tensor, by the tensor's name in a GGUF file."""
    found = {}
    for name, module in model.named_modules():
        if "lora_A" in dict(module.named_children()):
            layer, part = name.split(".layers.")[1].split(".")[0], name.rpartition(".")[2]
            a, b = (side["default"].weight.detach() for side in (module.lora_A, module.lora_B))
            added = (b @ a * module.scaling["default"]).numpy()
            found[f"blk.{layer}.{train.PARTS[part]}.weight"] = added
    return found


def write_merged(source: Path, added: dict[str, Any], target: Path) -> None:
    """Write the weights of *source*, whose tensors are of type Q8_0, with what is added to them."""
    shutil.copy(source, target)
    for tensor in GGUFReader(target, "r+").tensors:
        if tensor.name in added:
            whole = dequantize(tensor.data, tensor.tensor_type) + added.pop(tensor.name)
            tensor.data[:] = quantize(whole, tensor.tensor_type)
    assert not added, f"{target} has no {', '.join(added)}"


def main() -> None:
    """Train the untuned model further, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=16)
    args = parser.parse_args()
    args.save_every, args.learning_rate = None, train.LEARNING_RATE
    source = weights.find_weights("smollm2-135m", EXAMPLE)
    tokenizer = train.AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    random.seed(train.SEED)
    rows = [*mixed_rows(tokenizer, args.steps * train.BATCH)]
    plan = train.plan_batches(rows, 1)
    trainer = train.make_trainer(train.load_model(source, train.RANK), plan, tokenizer, args)
    trainer.train()
    target = args.out / "new-base.gguf"
    write_merged(source, added_weights(trainer.model), target)
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
