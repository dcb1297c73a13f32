"""Preparing a data set of tokens: survey, tokenizer, shards, manifest; each step goes on where a killed one stopped."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from harness.data.batches import Batch, batches
from harness.data.bpe_training import train_bpe
from harness.data.encoding import Encoded, encode_all
from harness.data.entries import Entry
from harness.data.errors import DataError
from harness.data.gpt2_files import gpt2_tokenizer
from harness.data.manifest import Manifest, SourceFile, Split, content_hash
from harness.data.progress import Progress, Report
from harness.data.source import Source
from harness.data.split import SPLITS, SplitRule
from harness.data.staging import ShardWriter, Staging, State
from harness.data.survey import all_characters, plan_split, training_texts
from harness.data.tokenizer import ByteTokenizer, CharacterTokenizer, Tokenizer, load_tokenizer

_FORMAT = 1
"""Counts changes that make other shards out of the same source."""


class _Plan(msgspec.Struct, frozen=True):
    """Equal plans give equal data sets."""

    sources: tuple[SourceFile, ...]
    tokenizer: str
    shard_characters: int
    format: int = _FORMAT


def prepare_tokens(
    entry: Entry,
    source: Source,
    sources: tuple[SourceFile, ...],
    spec: str,
    near: Sequence[Path],
    processes: int,
    report: Report,
) -> Manifest:
    """Make the data set `entry.name` out of the source; `near` is where GPT-2's vocabulary is looked for first.

    Raises DataError for bad input, OSError for a full disk; finished shards are kept in both cases.
    """
    staging = Staging(entry.name, _Plan(sources, spec, entry.shard_characters))
    source, rule = plan_split(source, report)
    tokenizer = _tokenizer(staging, spec, source, rule, near, report)
    _write_shards(staging, entry, source, rule, tokenizer, processes, report)
    manifest = _manifest(entry, staging.state, sources, tokenizer, rule)
    staging.publish(manifest)
    return manifest


def _tokenizer(
    staging: Staging, spec: str, source: Source, rule: SplitRule, near: Sequence[Path], report: Report
) -> Tokenizer:
    if not staging.state.tokenizer_ready:
        made = _new_tokenizer(staging.folder, spec, source, rule, near, report)
        made.save(staging.folder)
        staging.tokenizer_is_ready()
    return load_tokenizer(staging.folder, spec)


def _new_tokenizer(
    folder: Path, spec: str, source: Source, rule: SplitRule, near: Sequence[Path], report: Report
) -> Tokenizer:
    if spec == "gpt2":
        return gpt2_tokenizer(near)
    if spec == "bytes":
        return ByteTokenizer()
    if spec == "characters":
        return CharacterTokenizer(all_characters(source, report))
    return train_bpe(training_texts(source, rule, report), int(spec.removeprefix("bpe:")), folder)


def _write_shards(
    staging: Staging,
    entry: Entry,
    source: Source,
    rule: SplitRule,
    tokenizer: Tokenizer,
    processes: int,
    report: Report,
) -> None:
    todo = batches(source.read(staging.state.position), entry.shard_characters)
    encoded = encode_all(todo, staging.folder, tokenizer.spec, rule, processes)
    writer = ShardWriter(staging.folder, len(staging.state.shards))
    tokens, documents = staging.state.total_tokens, staging.state.total_documents
    with closing(encoded):
        try:
            for batch, result in encoded:
                writer.add(result)
                tokens, documents = _counted(result, tokens, documents)
                report(Progress("tokenizing", batch.fraction, documents, tokens))
                writer = _next_writer(staging, writer, batch)
        finally:
            writer.close()


def _counted(result: Encoded, tokens: int, documents: int) -> tuple[int, int]:
    return tokens + sum(map(len, result.tokens.values())) // 2, documents + sum(result.documents.values())


def _next_writer(staging: Staging, writer: ShardWriter, batch: Batch) -> ShardWriter:
    if batch.position is None:
        return writer
    staging.add_shard(writer.finish(batch.position))
    return ShardWriter(staging.folder, len(staging.state.shards))


def _manifest(
    entry: Entry, state: State, sources: tuple[SourceFile, ...], tokenizer: Tokenizer, rule: SplitRule
) -> Manifest:
    splits = {}
    for name in SPLITS:
        files = state.files(name)
        splits[name] = Split(files, sum(file.tokens for file in files), state.documents(name))
        if not files:
            raise DataError(f"no document of the source fell into {name}: it is too small or too uniform.")
    return Manifest(
        name=entry.name,
        kind="tokens",
        tokenizer=tokenizer.spec,
        vocab_size=tokenizer.vocab_size,
        end_of_text=tokenizer.end_of_text,
        dtype="uint16",
        splits=splits,
        split_rule=rule.in_words(),
        sources=sources,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sha256=content_hash(splits),
    )
