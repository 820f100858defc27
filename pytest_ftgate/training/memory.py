"""The model that is being trained, as a provider, and digests of its weights."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch.nn.parallel import DataParallel, DistributedDataParallel

from pytest_ftgate.errors import ProviderRejected, RequestRejected
from pytest_ftgate.providers.base import Provider
from pytest_ftgate.providers.generation import (
    OUT_OF_MEMORY,
    ChatModel,
    has_fast_16_bits,
)
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request

#: What to do where a device has too little memory for one request beside a training.
TOO_LITTLE_MEMORY = (
    "the device has too little memory for replies beside the training; write through=VARIANT, so "
    "that the provider of a variant answers, or lower max_tokens"
)


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
        #: The time, by `time.monotonic`, after which no request is answered; None for none.
        self.deadline: float | None = None
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
            return list(self._write(requests))

    def _write(self, requests: Sequence[Request]) -> Sequence[Reply | Exception]:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise ProviderRejected("the time that other processes wait is used up")
        with self._side(requests[0].model):
            replies = self._chat.generate(requests)
        too_much = OUT_OF_MEMORY.format(device=self._chat.model.device)
        mended = RequestRejected(TOO_LITTLE_MEMORY)
        return [mended if str(reply) == too_much else reply for reply in replies]

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


def whole_model(model: Any) -> Any:
    """Return *model* without what copies it to other processes or devices."""
    while isinstance(model, DataParallel | DistributedDataParallel):
        model = model.module
    return model


def is_split(model: Any) -> bool:
    """Return True if this process has a part of the weights alone.

    So it is under FSDP, ZeRO-3 and tensor parallelism, where each computation needs all processes.
    """
    # Names, since a build of torch may lack the classes.
    wrapped = any("_fsdp_wrapped_module" in name for name, _ in model.named_modules())
    parameters = model.parameters()
    return wrapped or any(hasattr(one, "placements") or hasattr(one, "ds_id") for one in parameters)


@contextmanager
def kept_random_states() -> Iterator[None]:
    """Leave the generators of Python, NumPy and torch as they were, on this process's GPU too."""
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - a trainer's
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002


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
