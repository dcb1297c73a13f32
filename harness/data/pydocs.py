"""The `pydocs` data set: the Python language reference that every CPython carries, as bytes. It needs no download.

Its validation tokens are made in the scoring process and never lie in a file that a training process could read.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np

from harness.data.root import make_root

DOCUMENT_BYTES = 2048
"""A document ends at the first blank line after so many bytes."""

VOCAB_SIZE = 256


def documents() -> list[bytes]:
    """The text of `pydoc_data.topics`, in the order of the topics, cut at blank lines into documents of about 2 kB."""
    from pydoc_data.topics import topics  # type: ignore[import-untyped, unused-ignore]

    found: list[bytes] = []
    for name in sorted(topics):
        document = b""
        for paragraph in topics[name].encode().split(b"\n\n"):
            document += paragraph + b"\n\n"
            if len(document) >= DOCUMENT_BYTES:
                found.append(document)
                document = b""
        found.append(document)
    return [document for document in found if document.strip()]


def splits() -> dict[str, bytes]:
    """The documents dealt out by their hash: eight parts of ten to train, one to dev, one to validation."""
    parts: dict[str, list[bytes]] = {"train": [], "dev": [], "validation": []}
    for document in documents():
        tenth = hashlib.sha256(document).digest()[0] * 10 // 256
        parts["validation" if tenth == 9 else "dev" if tenth == 8 else "train"].append(document)
    return {name: b"".join(found) for name, found in parts.items()}


def content_sha256(parts: dict[str, bytes]) -> str:
    """Hash over the splits' hashes; it differs between Python versions, whose reference differs."""
    lines = (f"{name} {hashlib.sha256(parts[name]).hexdigest()}\n" for name in sorted(parts))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def tokens(part: bytes) -> np.ndarray:
    """One uint16 token a byte."""
    return np.frombuffer(part, dtype=np.uint8).astype("<u2")


def prepare() -> tuple[Path, str]:
    """Write the train and dev tokens where they are not yet there, whole; the folder and the data set's sha256.

    Raises DataError when the data folder cannot be written.
    """
    parts = splits()
    sha256 = content_sha256(parts)
    folder = make_root() / f"pydocs-{sha256[:12]}"
    folder.mkdir(exist_ok=True)
    for name in ("train", "dev"):
        _write(folder / f"{name}.bin", tokens(parts[name]).tobytes())
    return folder, sha256


def _write(path: Path, content: bytes) -> None:
    """Replace the file by the content in one step where it holds any other; a training that reads the old one goes on.

    A file that was cut short or changed would otherwise stand under the hash of the right one for ever.
    """
    if path.is_file() and path.read_bytes() == content:
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
