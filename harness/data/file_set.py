"""A data set of small whole files (evaluation texts, a vocabulary, generated tokens): written aside, then given its
place at once."""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from harness.data.manifest import BYTES_A_TOKEN, Manifest, ShardFile, SourceFile, Split, content_hash, write_manifest
from harness.data.root import data_root, dataset_folder
from harness.data.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class FileSet:
    """The contents of such a data set."""

    kind: Literal["evaluation", "tokenizer", "tokens"]
    dtype: str
    sources: tuple[SourceFile, ...]
    splits: dict[str, dict[str, tuple[bytes, int]]]
    """Split -> file name -> (contents, documents)."""
    tokenizer: Tokenizer | None = None
    """In a data set that is a tokenizer, or of tokens."""
    split_rule: str = "as published"
    """How it was dealt to the splits, in words."""


def publish_files(name: str, files: FileSet) -> Manifest:
    """Write the files and their manifest under the data root. Raises OSError; then nothing is left behind."""
    folder = Path(tempfile.mkdtemp(dir=data_root(), prefix=f".{name}.", suffix=".preparing"))
    try:
        splits = {split: _write(folder, contents, files.kind) for split, contents in files.splits.items()}
        if files.kind == "tokens" and files.tokenizer:
            files.tokenizer.save(folder)
        manifest = _manifest(name, files, splits)
        write_manifest(folder, manifest)
        folder.chmod(0o755)
        os.rename(folder, dataset_folder(name))
    except BaseException:
        shutil.rmtree(folder)
        raise
    return manifest


def _write(folder: Path, contents: dict[str, tuple[bytes, int]], kind: str) -> Split:
    written = []
    for file, (data, _) in contents.items():
        with (folder / file).open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        tokens = len(data) // BYTES_A_TOKEN if kind == "tokens" else 0
        written.append(ShardFile(file, tokens, hashlib.sha256(data).hexdigest()))
    return Split(
        tuple(written), sum(file.tokens for file in written), max(documents for _, documents in contents.values())
    )


def _manifest(name: str, files: FileSet, splits: dict[str, Split]) -> Manifest:
    tokenizer = files.tokenizer
    return Manifest(
        name=name,
        kind=files.kind,
        tokenizer=tokenizer.spec if tokenizer else "",
        vocab_size=tokenizer.vocab_size if tokenizer else 0,
        end_of_text=tokenizer.end_of_text if tokenizer else None,
        dtype=files.dtype,
        splits=splits,
        split_rule=files.split_rule,
        sources=files.sources,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sha256=content_hash(splits),
    )
