"""`linbench data prepare`: makes one data set out of local files or from Hugging Face, once, whoever asks how often."""

import errno
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from harness.data.dataset import missing
from harness.data.entries import Entry, entry_for, own_entry
from harness.data.errors import DataError
from harness.data.evaluation import find_evaluation
from harness.data.file_set import publish_files
from harness.data.gpt2_files import find_gpt2
from harness.data.hub import HubSource, hub_name, hub_reachable
from harness.data.manifest import Manifest, SourceFile, read_manifest
from harness.data.progress import Progress, Report, silent
from harness.data.root import dataset_folder, make_root
from harness.data.source import Source, find_files
from harness.data.tokenized import prepare_tokens
from harness.data.tokenizer_spec import check_spec

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def prepare(
    name: str,
    source: list[Path] | None = None,
    tokenizer: str | None = None,
    processes: int | None = None,
    progress: Report = silent,
) -> Manifest:
    """Prepare the data set `name` and give its manifest; a name of your own with a source is a text data set.

    `source` holds files, folders, or one Hugging Face name; None means Hugging Face, where the data set is there.
    `tokenizer` is gpt2, bytes, characters or bpe:N; None means the data set's own. `processes` None means one a core.
    A data set prepared from the same source already is given back as it is. Raises DataError.
    """
    entry = entry_for(name) or own_entry(name)
    folder = dataset_folder(name)
    if entry_for(name) is None and source is None and read_manifest(folder) is None:
        raise missing(name)
    if entry.kind == "built-in":
        raise DataError(f"{name} is built in: there is nothing to prepare.", run="linbench data list")
    if tokenizer and entry.kind != "tokens":
        raise DataError(f"{name} is not tokenized when it is prepared, so it takes no tokenizer.")
    spec = check_spec(tokenizer or entry.tokenizer) if entry.kind == "tokens" else ""
    root = make_root()
    again = _command(name, source, tokenizer)
    with _locked(root / f".{name}.lock", name, progress), _faults_explained(root, again):
        existing = read_manifest(folder)
        if existing and source is None and tokenizer is None:
            return existing
        if existing is None and folder.exists():
            raise DataError(f"{folder} exists and is no data set: move it away.", run=f"mv {folder} {folder}.old")
        return _make(entry, existing, source, spec, processes or os.cpu_count() or 1, progress)


def _make(
    entry: Entry, existing: Manifest | None, given: list[Path] | None, spec: str, processes: int, progress: Report
) -> Manifest:
    if entry.kind == "tokens":
        source = _source(entry, given)
        sources = source.identify()
        if existing:
            return _same(existing, sources, spec)
        return prepare_tokens(entry, source, sources, spec, given or [], processes, progress)
    files = find_gpt2(entry, given) if entry.kind == "tokenizer" else find_evaluation(entry, given)
    if existing:
        return _same(existing, files.sources, existing.tokenizer)
    return publish_files(entry.name, files)


def _source(entry: Entry, given: list[Path] | None) -> Source:
    if given and (hub := hub_name(given)):
        if not hub_reachable():
            raise DataError(f"{str(given[0])!r} is no file or folder here, and the hub cannot be reached.")
        return hub.pinned()
    if given:
        return find_files(given, entry.wants, entry.patterns)
    if entry.hub is None or not hub_reachable():
        raise missing(entry.name)
    return HubSource(*entry.hub).pinned()


def _same(existing: Manifest, sources: tuple[SourceFile, ...], spec: str) -> Manifest:
    if (existing.sources, existing.tokenizer) == (sources, spec):
        return existing
    how = f" with the tokenizer {existing.tokenizer}" if existing.tokenizer else ""
    folder = dataset_folder(existing.name)
    raise DataError(
        f"{existing.name} was prepared already from {', '.join(file.file for file in existing.sources[:3])}{how} "
        f"(sha256 {existing.sha256[:12]}), and runs may use it. Choose another name, or move {folder} away first.",
        run=f"mv {folder} {folder}.old",
    )


@contextmanager
def _locked(path: Path, name: str, progress: Report) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(Progress(f"waiting for another process that prepares {name}"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _faults_explained(root: Path, again: str) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        error.run = error.run or again
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise DataError(
                f"no room is left in {root} ({error.strerror}); finished shards are kept. Make room, or set "
                "LINBENCH_DATA to a larger disk, then run the same command again.",
                run=again,
            ) from error
        if error.filename is None:
            raise
        raise DataError(f"{error.filename}: {error.strerror}.", run=again) from error


def _command(name: str, source: list[Path] | None, tokenizer: str | None) -> str:
    words = ["linbench", "data", "prepare", name]
    for path in source or []:
        words += ["--source", str(path)]
    return shlex.join([*words, "--tokenizer", tokenizer] if tokenizer else words)
