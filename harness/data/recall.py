"""The `recall` data set: multi-query associative recall, generated on the spot. docs/recall.md says what is in it.

Key-value pairs come first, each as one token; then keys are asked for at places drawn by a power law, each with its
value behind it. Arora et al. 2023, Zoology (arXiv:2312.04927), define the task; a pair of theirs is two tokens. The
sizes, and what stands in the other places, are ours.
"""

import hashlib
import os

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.data.file_set import FileSet
from harness.data.manifest import SourceFile
from harness.data.tokenizer import CharacterTokenizer

NAME = "recall"

FILLER = 0
"""The line break of the tokenizer below, which also stands before a text."""


class Sizes(msgspec.Struct, frozen=True):
    """What a data set of this kind is made by."""

    length: int = 64
    """Tokens of a sequence, the block size of the profile: a window is one sequence."""
    pairs: tuple[int, ...] = (4, 8, 16)
    """Key-value pairs of a sequence, each number as often as any other."""
    keys: int = 16
    """Tokens 1 to `keys`, which ask; no key is given twice in a sequence."""
    values: int = 8
    """The tokens after them, which answer; then come those of the pairs, by key and within one by value."""
    exponent: float = 0.01
    """A key is first asked for at the g-th place behind the pairs with probability proportional to g^(exponent - 1)."""
    sequences: tuple[tuple[str, int], ...] = (("train", 51_216), ("dev", 960), ("validation", 1_536))
    """By split."""


SIZES = Sizes()

_FIXED_SEEDS = {"train": 1, "dev": 2}
"""The validation part has a seed that is drawn when it is made and kept nowhere: nothing can make it again."""

_KEY_CHARACTERS, _VALUE_CHARACTERS, _PAIR_CHARACTERS = 0x0410, 0x3041, 0x4E00
"""First code points of the letters that stand for keys (Cyrillic), values (Hiragana) and pairs (Han)."""


def sequences(dice: np.random.Generator, count: int, pairs: int, sizes: Sizes = SIZES) -> NDArray[np.uint16]:
    """Sequences of so many pairs: (count, length)."""
    keys_SD = dice.random((count, sizes.keys)).argsort(1)[:, :pairs]
    values_SD = dice.integers(sizes.values, size=(count, pairs))
    asked_SP = _asked(dice, count, pairs, (sizes.length - pairs) // 2, sizes.exponent)
    tokens_ST = np.full((count, sizes.length), FILLER, dtype=np.uint16)
    tokens_ST[:, :pairs] = pair_tokens(keys_SD, values_SD, sizes)
    for place, told_SD in enumerate((1 + keys_SD, 1 + sizes.keys + values_SD)):
        told_SP = np.take_along_axis(told_SD, np.maximum(asked_SP, 0), 1)
        tokens_ST[:, pairs + place :: 2] = np.where(asked_SP < 0, FILLER, told_SP)
    return tokens_ST


def pair_tokens(keys: NDArray[np.int64], values: NDArray[np.int64], sizes: Sizes = SIZES) -> NDArray[np.int64]:
    """The tokens that give these values with these keys, both counted from 0."""
    return 1 + sizes.keys + sizes.values + keys * sizes.values + values


def _asked(dice: np.random.Generator, count: int, pairs: int, places: int, exponent: float) -> NDArray[np.int64]:
    """Which pair each place asks for, (count, places): all of them once by the power law, else one asked before.

    -1 is a place before the first question.
    """
    logarithms_P = (exponent - 1) * np.log(np.arange(1, places + 1))
    # the largest of log p + Gumbel noise are a draw without replacement by the weights p
    first_SD = (-logarithms_P - dice.gumbel(size=(count, places))).argsort(1)[:, :pairs]
    asked_SP = np.full((count, places), -1)
    np.put_along_axis(asked_SP, first_SD, np.arange(pairs)[None, :], 1)
    known_SP = (asked_SP >= 0).cumsum(1)
    chosen_SP = (dice.random((count, places)) * known_SP).astype(np.int64)
    before_SP = np.take_along_axis(first_SD.argsort(1), chosen_SP, 1)
    return np.where((asked_SP < 0) & (known_SP > 0), before_SP, asked_SP)


def part(dice: np.random.Generator, count: int, sizes: Sizes = SIZES) -> NDArray[np.uint16]:
    """Sequences of all numbers of pairs, equally many of each, shuffled: (count, length)."""
    each = count // len(sizes.pairs)
    assert each * len(sizes.pairs) == count, f"{count} sequences cannot be shared out among {sizes.pairs}"
    tokens_ST = np.concatenate([sequences(dice, each, pairs, sizes) for pairs in sizes.pairs])
    return tokens_ST[dice.permutation(count)]


def queries(tokens_ST: NDArray[np.uint16], sizes: Sizes = SIZES) -> NDArray[np.bool_]:
    """Where a key stands for the first time, so that its value is asked for: (sequences, length)."""
    is_STK = tokens_ST[:, :, None] == np.arange(1, sizes.keys + 1)
    first_ST: NDArray[np.bool_] = (is_STK & (is_STK.cumsum(1) == 1)).any(2)
    return first_ST


def tokenizer(sizes: Sizes = SIZES) -> CharacterTokenizer:
    """Each token as one character, for `linbench sample`: a line break, then letters of three scripts."""
    kinds = ((_KEY_CHARACTERS, sizes.keys), (_VALUE_CHARACTERS, sizes.values))
    letters = (
        chr(first + number)
        for first, count in (*kinds, (_PAIR_CHARACTERS, sizes.keys * sizes.values))
        for number in range(count)
    )
    return CharacterTokenizer("".join(["\n", *letters]))


def sources(sizes: Sizes = SIZES) -> tuple[SourceFile, ...]:
    """What it is made from: this module, at these sizes."""
    return (SourceFile("harness/data/recall.py", hashlib.sha256(msgspec.json.encode(sizes)).hexdigest()),)


def make(sizes: Sizes = SIZES) -> FileSet:
    """The whole data set; its train and dev parts are the same wherever it is made, its validation part never is."""
    splits = {}
    for split, count in sizes.sequences:
        seed = _FIXED_SEEDS.get(split, int.from_bytes(os.urandom(16)))
        tokens_N = np.append(part(np.random.default_rng(seed), count, sizes), np.uint16(FILLER))  # the last target
        splits[split] = {f"{split}_0000.bin": (tokens_N.astype("<u2").tobytes(), count)}
    rule = "train and dev from fixed seeds, validation from one that was drawn when it was made and is kept nowhere"
    return FileSet("tokens", "uint16", sources(sizes), splits, tokenizer(sizes), rule)
