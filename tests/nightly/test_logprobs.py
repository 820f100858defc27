"""Log-probabilities that Transformers computes in this process, compared with plain passes."""

from __future__ import annotations

import pytest
import torch
from ftgate_testing.notes import texts
from ftgate_testing.tiny_model import WORDS, answers, request, save_adapter, save_model
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from pytest_ftgate import evaluate
from pytest_ftgate.requests.logprobs import GivenReply

#: The third begins with the second, so that their ends count as well.
LABELS = ("w7 w8", "w7 w9", "w7 w9 w10", "w11")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("models") / "tiny", context=4096)


@pytest.fixture(scope="module")
def adapter(model, tmp_path_factory):
    return save_adapter(tmp_path_factory.mktemp("adapters") / "tuned", model)


def logprobs_after(model, prompt: list[int], tokens: list[int]) -> torch.Tensor:
    """Return the distributions at *tokens* after *prompt*, from one plain pass."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0]
    return logits[len(prompt) - 1 : -1].log_softmax(-1)


def likelihood(model, prompt: list[int], tokens: list[int]) -> float:
    rows = logprobs_after(model, prompt, tokens)
    return sum(rows[index, token].item() for index, token in enumerate(tokens))


def test_labels_are_as_likely_in_a_batch_as_alone(model):
    texts = ["w1 w2 w3", "w4", "w5 w6"]
    requests = [request(model, text, labels=LABELS) for text in texts]
    requests.insert(1, request(model, "w1 w2"))

    replies = answers(requests)

    plain = AutoModelForCausalLM.from_pretrained(model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = [[*tokenizer(x, add_special_tokens=False).input_ids, 1] for x in LABELS]
    assert replies[1].logprobs is None
    for text, reply in zip(texts, [replies[0], *replies[2:]], strict=True):
        prompt = tokenizer(f"{text} ", add_special_tokens=False).input_ids
        alone = [likelihood(plain, prompt, label) for label in ids]
        assert [*reply.logprobs.labels] == [*LABELS]
        assert [*reply.logprobs.labels.values()] == pytest.approx(alone, abs=1e-4)
        assert reply.text  # A reply is written as well.


def test_the_divergence_of_an_adapter_is_that_of_plain_passes(model, adapter):
    given = GivenReply("w8 w9 w30", str(model))

    (reply,) = answers([request(model, "w1 w2", adapter, given=given)])

    base = AutoModelForCausalLM.from_pretrained(model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    prompt, tokens = tokenizer("w1 w2 ").input_ids, tokenizer("w8 w9 w30").input_ids
    before = logprobs_after(base, prompt, tokens)
    after = logprobs_after(PeftModel.from_pretrained(base, adapter), prompt, tokens)
    kl = (before.exp() * (before - after)).sum().item()
    found = reply.logprobs.divergence
    assert found.tokens == 3
    assert kl > 1e-3
    assert found.kl == pytest.approx(kl, rel=1e-4)
    assert found.base_logprob == pytest.approx(before[range(3), tokens].sum().item(), abs=1e-4)
    assert found.logprob == pytest.approx(after[range(3), tokens].sum().item(), abs=1e-4)


def test_a_model_does_not_diverge_from_itself(model):
    given = GivenReply("w8 w9", str(model))

    (reply,) = answers([request(model, "w1 w2", given=given)])

    assert reply.logprobs.divergence.kl == 0.0
    assert reply.logprobs.divergence.logprob == reply.logprobs.divergence.base_logprob


def test_another_checkpoint_is_loaded_as_the_base(model, tmp_path):
    tuned = save_model(tmp_path / "tuned", width=64, context=4096)

    (reply,) = answers([request(tuned, "w1 w2", given=GivenReply("w8 w9", str(model)))])

    assert reply.logprobs.divergence.kl > 0.01


SUITE = """
cases: [{{input: w1 w2, expected: w7}}, {{input: w3, expected: w8}}, {{input: w4 w5, expected: w9}}]
reply: {{format: {{choice: [w7, w8, w9]}}, score: margin, max_tokens: 3}}
variants:
  base: {{provider: transformers, model: {model}, gated: false}}
  tuned: {{like: base, adapter: {adapter}, gated: true}}
gates:
  accuracy: {{min: 0.01, evidence: point}}
  divergence: {{{limit}}}
"""


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [("", None), ("max_kl: 0.000001", "failed"), ("max_kl: 1000", "passed")],
)
def test_a_suite_rates_labels_and_gates_the_divergence(
    model, adapter, tmp_path, monkeypatch, limit, outcome
):
    monkeypatch.chdir(tmp_path)
    text = SUITE.format(model=model, adapter=adapter, limit=limit)
    (tmp_path / "s.ftgate.yaml").write_text(text, "utf-8")

    run = evaluate("s.ftgate.yaml")

    divergence = run.verdict("divergence", "tuned")
    assert len(WORDS) > 9
    assert 0.0 < run.verdict("accuracy", "tuned").check.after < 1.0
    # Without a limit the figure is shown and not gated.
    assert (divergence.outcome if divergence.gated else None) == outcome, str(run)
    assert ("nats a token: no limit is set" in str(run)) == (outcome is None)
    assert divergence.check.n > 200
    assert divergence.check.low > 0.0
    assert any(note.startswith("perplexity") for note in texts(divergence.notes))
