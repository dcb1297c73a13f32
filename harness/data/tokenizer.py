"""Tokenizers: text to uint16 token ids and back. Saved beside the shards, so that a data set carries its own."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.data.errors import DataError

Tokens = NDArray[np.uint16]
END_OF_TEXT = "<|endoftext|>"
LARGEST_VOCABULARY = 1 << 16
VOCABULARY_FILE, MERGES_FILE, CHARACTERS_FILE = "vocab.json", "merges.txt", "characters.json"
_PIECE = 1 << 16
_BOUNDARY = re.compile(r"[ \n](?=\S)")


class Tokenizer(Protocol):
    """Text in, token ids out. A text that spells `<|endoftext|>` is encoded as text, never as the token."""

    spec: str
    vocab_size: int
    end_of_text: int | None
    """The id that ends a document; None where there is none."""

    def encode(self, text: str) -> Tokens:
        """Token ids of a text, shape (tokens,)."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids; bytes that are no UTF-8 become U+FFFD."""

    def save(self, folder: Path) -> None:
        """Write what load_tokenizer needs into the folder."""


class ByteTokenizer:
    """UTF-8 bytes."""

    spec, vocab_size = "bytes", 256
    end_of_text: int | None = None

    def encode(self, text: str) -> Tokens:
        return np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.uint16)

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(int(token) for token in tokens).decode("utf-8", errors="replace")

    def save(self, folder: Path) -> None:
        """Nothing to write."""


class CharacterTokenizer:
    """The characters of one data set, numbered in code point order."""

    spec = "characters"
    end_of_text: int | None = None

    def __init__(self, characters: str):
        self.characters = "".join(sorted(set(characters)))
        self.vocab_size = len(self.characters)
        if self.vocab_size > LARGEST_VOCABULARY:
            raise DataError(f"{self.vocab_size} different characters do not fit in uint16; use the tokenizer 'bytes'.")
        self._points = self._code_points(self.characters)

    def encode(self, text: str) -> Tokens:
        points = self._code_points(text)
        ids = np.minimum(np.searchsorted(self._points, points), self.vocab_size - 1)
        unknown = points[self._points[ids] != points]
        if unknown.size:
            raise DataError(f"the character {chr(unknown[0])!r} is not among the {self.vocab_size} of this data set.")
        return ids.astype(np.uint16)

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(self.characters[int(token)] for token in tokens)

    def save(self, folder: Path) -> None:
        (folder / CHARACTERS_FILE).write_bytes(msgspec.json.encode(self.characters))

    @staticmethod
    def _code_points(text: str) -> NDArray[np.uint32]:
        return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


class BpeTokenizer:
    """Byte-level byte-pair encoding with GPT-2's word pattern, from a vocabulary and its merges.

    Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2.
    """

    def __init__(self, vocabulary: Path, merges: Path, spec: str):
        from tokenizers import Tokenizer, models, pre_tokenizers

        self.spec, self._files = spec, (vocabulary, merges)
        try:
            self._bpe: Any = Tokenizer(models.BPE.from_file(str(vocabulary), str(merges)))
        except Exception as error:  # the library raises Exception itself
            raise DataError(f"{vocabulary} and {merges} are not a byte-pair encoding: {error}") from error
        self._bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        self._bpe.decoder = _byte_level_decoder()
        self.vocab_size = 1 + max(self._bpe.get_vocab().values(), default=-1)
        self.end_of_text = self._bpe.token_to_id(END_OF_TEXT)
        if self.vocab_size > LARGEST_VOCABULARY:
            raise DataError(f"{vocabulary} holds {self.vocab_size} tokens; ids must fit in uint16 (65536).")

    def encode(self, text: str) -> Tokens:
        encoded = self._bpe.encode_batch_fast(cut_in_pieces(text), add_special_tokens=False)
        return np.concatenate([np.asarray(piece.ids, dtype=np.uint16) for piece in encoded])

    def decode(self, tokens: Sequence[int]) -> str:
        text: str = self._bpe.decode([int(token) for token in tokens], skip_special_tokens=False)
        return text

    def save(self, folder: Path) -> None:
        for source, name in zip(self._files, (VOCABULARY_FILE, MERGES_FILE), strict=True):
            (folder / name).write_bytes(source.read_bytes())


def cut_in_pieces(text: str) -> list[str]:
    """Pieces of some 64 Ki characters, so that memory stays bounded; their tokens are those of the whole text.

    A piece begins with the last white space before a word: GPT-2's word pattern has a boundary there in any text.
    """
    pieces, start = [], 0
    while cut := _BOUNDARY.search(text, start + _PIECE):
        pieces.append(text[start : cut.start()])
        start = cut.start()
    return [*pieces, text[start:]]


def load_tokenizer(folder: Path, spec: str) -> Tokenizer:
    """The tokenizer that `save` wrote into the folder. Raises DataError where its files are missing or damaged."""
    if spec == "bytes":
        return ByteTokenizer()
    try:
        if spec == "characters":
            return CharacterTokenizer(msgspec.json.decode((folder / CHARACTERS_FILE).read_bytes(), type=str))
        return BpeTokenizer(folder / VOCABULARY_FILE, folder / MERGES_FILE, spec)
    except (OSError, msgspec.MsgspecError) as error:
        raise DataError(
            f"{folder} has lost its tokenizer {spec!r}: {error}. Move it away and prepare it again."
        ) from error


def _byte_level_decoder() -> Any:
    from tokenizers import decoders

    return decoders.ByteLevel()
