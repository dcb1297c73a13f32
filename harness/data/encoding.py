"""Tokenizing batches of documents in worker processes; results come back in order, a bounded number at a time."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np

from harness.data.batches import Batch
from harness.data.errors import DataError
from harness.data.split import SplitRule
from harness.data.tokenizer import Tokenizer, load_tokenizer


@dataclass(frozen=True, slots=True)
class Encoded:
    """A batch after tokenizing, by split."""

    tokens: dict[str, bytes]
    """Little-endian uint16, each document followed by the end-of-text token where there is one."""
    documents: dict[str, int]


@dataclass(frozen=True, slots=True)
class Encoder:
    """Deals documents to splits and tokenizes them."""

    tokenizer: Tokenizer
    rule: SplitRule

    def __call__(self, texts: tuple[str, ...]) -> Encoded:
        parts: dict[str, list[bytes]] = {}
        for text in texts:
            parts.setdefault(self.rule.split_of(text), []).append(self._document(text))
        return Encoded(
            {split: b"".join(documents) for split, documents in parts.items()},
            {split: len(documents) for split, documents in parts.items()},
        )

    def _document(self, text: str) -> bytes:
        end = self.tokenizer.end_of_text
        if end is None:
            return self.tokenizer.encode(ending_in_line_break(text)).astype("<u2").tobytes()
        return np.append(self.tokenizer.encode(text), np.uint16(end)).astype("<u2").tobytes()


def ending_in_line_break(text: str) -> str:
    """What stands for a document where no token ends it: its last line is ended."""
    return text if text.endswith("\n") else text + "\n"


def encode_all(
    batches: Iterable[Batch], folder: Path, spec: str, rule: SplitRule, processes: int
) -> Generator[tuple[Batch, Encoded], None, None]:
    """Each batch with its tokens, in order; `folder` holds the tokenizer. One process works in place.

    Raises DataError when a worker is killed.
    """
    if processes == 1:
        encoder = Encoder(load_tokenizer(folder, spec), rule)
        yield from ((batch, encoder(batch.texts)) for batch in batches)
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(processes, context, _start_worker, (folder, spec, rule))
    try:
        yield from _in_order(executor, batches, 2 * processes + 1)
    except BrokenProcessPool as error:
        raise DataError(
            f"one of {processes} tokenizing processes was killed, perhaps for memory; finished shards are kept. "
            "Run the same command again, with fewer processes if memory is short."
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _in_order(executor: ProcessPoolExecutor, batches: Iterable[Batch], most: int) -> Iterator[tuple[Batch, Encoded]]:
    waiting: deque[tuple[Batch, Future[Encoded]]] = deque()
    for batch in batches:
        waiting.append((batch, executor.submit(_encode, batch.texts)))
        if len(waiting) >= most:
            first, future = waiting.popleft()
            yield first, future.result()
    for first, future in waiting:
        yield first, future.result()


_encoder: Encoder | None = None


def _start_worker(folder: Path, spec: str, rule: SplitRule) -> None:
    global _encoder
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends the workers
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _encoder = Encoder(load_tokenizer(folder, spec), rule)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _encode(texts: tuple[str, ...]) -> Encoded:
    assert _encoder is not None
    return _encoder(texts)
