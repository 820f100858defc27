"""The model that is being trained, as a provider, and digests of its weights."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from typing import Any

import torch

from pytest_ftgate.errors import ProviderRejected
from pytest_ftgate.providers.base import Provider
from pytest_ftgate.providers.generation import ChatModel, answer_each, has_fast_16_bits
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request


class ModelInMemory(Provider):
    """A model with its adapter, and the same model without it.

    Requests to *base_name* are answered without the adapter. A model without an adapter is its own
    base until it is trained: then only the cache answers for the base.
    """

    def __init__(self, model: Any, tokenizer: Any, batch_size: int) -> None:
        super().__init__((), {})
        # Many are in flight, so that each batch has requests of similar length.
        self.batch_size, self.concurrency = batch_size, 16 * batch_size
        #: The type that products are computed in; None for the model's.
        self._precision: torch.dtype | None = None
        self._chat = ChatModel(model, tokenizer)
        self.has_adapter = hasattr(model, "disable_adapter") and hasattr(model, "peft_config")
        self.is_trained = False
        #: The names of the two in requests; they change with the weights.
        self.name = self.base_name = ""
        # Computed once: it reads all weights.
        self.base_digest = weights_digest(model, trained=not self.has_adapter)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ftgate-training")

    def compute_as_in_training(self, args: Any) -> None:
        """Compute products in the type of a trainer's *args*, on machines that are faster so."""
        on_processor = self._chat.model.device.type == "cpu"
        if args.fp16 and not on_processor:
            self._precision = torch.float16
        # A processor without instructions for it takes several times as long.
        elif args.bf16 and (not on_processor or has_fast_16_bits()):
            self._precision = torch.bfloat16

    def name_weights(self) -> None:
        """Name the two sides by the digests of their weights, which the cache goes by."""
        self.base_name = f"base {self.base_digest}"
        digest = weights_digest(self._chat.model, trained=True)
        self.name = f"trained {digest} on {self.base_digest}"

    async def generate_many(self, requests: Sequence[Request]) -> Sequence[Reply | Exception]:
        """Return the replies to *requests*, all to the trained model or all to its base."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._answer, requests)

    def _answer(self, requests: Sequence[Request]) -> Sequence[Reply | Exception]:
        with _as_for_inference(self._chat.model, self._precision):
            return answer_each(requests, self._write, self._distributions)

    def _write(self, requests: Sequence[Request]) -> Sequence[Reply | Exception]:
        with self._side(requests[0].model):
            return self._chat.generate(requests)

    def _distributions(self, request: Request) -> tuple[list[int], Any, Any]:
        tokens, tuned = self._chat.distributions(request)
        with self._side(self.base_name):
            return tokens, tuned, self._chat.distributions(request)[1]

    @contextmanager
    def _side(self, name: str) -> Iterator[None]:
        """Switch the adapter off for the base."""
        is_base = name == self.base_name
        if is_base and self.is_trained and not self.has_adapter:
            raise ProviderRejected(
                "the model has no adapter, so its base is gone once it is trained; its replies are "
                "requested before, at the beginning of the training"
            )
        switched = is_base and self.has_adapter
        with self._chat.model.disable_adapter() if switched else nullcontext():
            yield

    async def close(self) -> None:
        """Leave the model as it is, since it belongs to the trainer."""

    def stop(self) -> None:
        """End the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _as_for_inference(model: Any, precision: torch.dtype | None) -> Iterator[None]:
    """Switch dropout off, compute in *precision*, and leave everything as it was."""
    was_training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.autocast(model.device.type, precision) if precision else nullcontext():
            yield
    finally:
        for module, training in was_training.items():
            module.training = training


def weights_digest(model: Any, *, trained: bool) -> str:
    """Return a digest of the weights of *model* that are trained, or of those that are not."""
    found = sha256()
    for name, value in sorted(model.named_parameters()):
        if value.requires_grad is trained:
            found.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            found.update(flat.numpy())
    return found.hexdigest()[:16]
