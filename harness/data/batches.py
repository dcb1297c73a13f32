"""Documents grouped for the workers; where a shard ends depends on the text alone, never on the number of processes."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.data.source import Position, Reader

_BATCH_CHARACTERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """Some consecutive documents."""

    texts: tuple[str, ...]
    fraction: float | None
    """Of the source, read so far."""
    position: Position = None
    """Where the source goes on after a batch that ends a shard; None after any other."""


def batches(reader: Reader, shard_characters: int) -> Iterator[Batch]:
    """Batches of about 1 Mi characters; the one that fills a shard, and the last one, carry a position."""
    texts: list[str] = []
    in_batch = in_shard = 0
    for text in reader:
        texts.append(text)
        in_batch, in_shard = in_batch + len(text), in_shard + len(text)
        if in_shard >= shard_characters:
            yield Batch(tuple(texts), reader.fraction, reader.position)
            texts, in_batch, in_shard = [], 0, 0
        elif in_batch >= _BATCH_CHARACTERS:
            yield Batch(tuple(texts), reader.fraction)
            texts, in_batch = [], 0
    if in_shard:
        yield Batch(tuple(texts), reader.fraction, reader.position)
