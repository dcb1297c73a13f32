"""The model's process: the only one of a scoring that runs the agent's code. It is given tokens and gives logits.

Usage: python -m harness.scoring.server SOURCE RUN CHECKPOINT_FD SOCKET_FD MEMORY_FD TOKENS SLOT_BYTES
"""

import os
import socket
import sys
import traceback
from collections import deque
from pathlib import Path
from select import select
from typing import Any, NamedTuple, get_args

import msgspec
import torch

from harness.child import prepare_child, withhold_validation_text
from harness.run_config import RunConfig
from harness.scoring.checkpoint import load_checkpoint
from harness.scoring.logits import NotScorable, Question, logits_of
from harness.scoring.messages import Answer, Ask, Channel, Chunk, Failed, Misshapen, Precision, Ready, Taken
from harness.scoring.shared_memory import SLOTS, SharedMemory

_LONGEST_TRACEBACK = 20_000
"""Characters of it that are told, the last ones."""


class Computed(NamedTuple):
    """Logits (N, V), on a GPU there once the event has come."""

    logits_NV: torch.Tensor
    event: torch.cuda.Event | None


def main() -> None:
    """Load the model when told to, and answer until the evaluator hangs up. What the agent's code raises is one too."""
    prepare_child()
    withhold_validation_text()
    source, run, *numbers = sys.argv[1:]
    checkpoint, connection, memory, tokens, slot_bytes = map(int, numbers)
    channel = Channel(socket.socket(fileno=connection))
    try:
        channel.receive_asked()
    except (EOFError, ConnectionError):  # it is not needed
        return
    try:
        with os.fdopen(checkpoint, "rb") as file:
            model, step = load_checkpoint(Path(source), Path(run), file)
    except BaseException as problem:  # the agent's code may raise anything, and SystemExit
        channel.send(_failed(problem))
        return
    config = msgspec.json.decode(Path(run).read_bytes(), type=RunConfig)
    channel.send(Ready(step))
    Server(channel, model, config, SharedMemory(memory, tokens, slot_bytes, config.device)).serve()


def _failed(problem: BaseException) -> Failed:
    return Failed(f"{type(problem).__name__}: {problem}"[:2000], traceback.format_exc()[-_LONGEST_TRACEBACK:])


def _name(dtype: torch.dtype) -> Any:
    return str(dtype).removeprefix("torch.")


class Server:
    """A loaded model behind a channel. On a GPU the next answer is computed while one is copied out."""

    def __init__(self, channel: Channel, model: Any, config: RunConfig, memory: SharedMemory):
        self.channel, self.model, self.memory = channel, model, memory
        self.device, self.dtype = config.device, config.dtype
        self.copies = torch.cuda.Stream() if config.device == "cuda" else None
        self.asks: deque[Ask] = deque()
        self.sent = 0
        """Chunks, of all answers together."""
        self.taken = 0

    def serve(self) -> None:
        """Answer every ask in turn, until the evaluator is gone."""
        ready: Computed | Failed | Misshapen | None = None
        try:
            while True:
                ask = self._next_ask(wait=True) if ready is None else self._ahead()
                computed = None if ask is None else self._compute(ask)
                if ready is not None:
                    self._give(ready)
                ready = computed
        except (EOFError, ConnectionError):
            return

    def _ahead(self) -> Ask | None:
        """The ask to begin with before the last one is answered: none on a CPU, which would only answer later."""
        return None if self.copies is None else self._next_ask(wait=False)

    def _next_ask(self, wait: bool) -> Ask | None:
        while not self.asks and (wait or select([self.channel.end], [], [], 0)[0]):
            self._hear()
        return self.asks.popleft() if self.asks else None

    def _hear(self) -> None:
        message = self.channel.receive_asked()
        if isinstance(message, Ask):
            self.asks.append(message)
        elif isinstance(message, Taken):
            self.taken += 1

    def _compute(self, ask: Ask) -> Computed | Failed | Misshapen:
        try:
            question = Question(*self.memory.get(ask.region, ask.rows, ask.length, ask.places))
            logits_NV = logits_of(self.model, question, self.device, self.dtype)
            known = _name(logits_NV.dtype) in get_args(Precision)
            logits_NV = (logits_NV if known else logits_NV.float()).contiguous()
            return Computed(logits_NV, None if self.copies is None else torch.cuda.current_stream().record_event())
        except NotScorable as problem:
            return Misshapen(str(problem))
        except BaseException as problem:  # as in main
            return _failed(problem)

    def _give(self, ready: Computed | Failed | Misshapen) -> None:
        if isinstance(ready, Failed | Misshapen):
            self.channel.send(ready)
            return
        rows, width = ready.logits_NV.shape
        dtype = ready.logits_NV.dtype
        self.channel.send(Answer(rows, width, _name(dtype)))
        for rows_NV in ready.logits_NV.split(max(1, self.memory.rows_a_chunk(width, dtype))):
            while self.sent - self.taken >= SLOTS:
                self._hear()
            self._copy(rows_NV, self.memory.chunk(self.sent, len(rows_NV), width, dtype), ready.event)
            self.sent += 1
            self.channel.send(Chunk())

    def _copy(self, rows_NV: torch.Tensor, slot_NV: torch.Tensor, computed: torch.cuda.Event | None) -> None:
        if self.copies is None or computed is None:
            slot_NV.copy_(rows_NV)
            return
        with torch.cuda.stream(self.copies):
            self.copies.wait_event(computed)
            slot_NV.copy_(rows_NV, non_blocking=True)
        self.copies.synchronize()


if __name__ == "__main__":
    main()
