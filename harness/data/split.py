"""Which split a document belongs to: decided by a hash of its text, so that equal documents never part."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from harness.data.errors import DataError

SPLITS = ("train", "dev", "validation")
_SPACE = 1 << 64
_TARGET_CHARACTERS = 1 << 20
"""A source of less than 100 times this gives more than 1 % of its documents to dev and to validation."""


def digest(text: str) -> int:
    """64 bits of the text without the white space around it."""
    return int.from_bytes(hashlib.blake2b(text.strip().encode("utf-8"), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class SplitRule:
    """Documents with digest <= validation_last are validation, of the others those <= dev_last are dev."""

    validation_last: int
    dev_last: int

    def split_of(self, text: str) -> str:
        """train, dev or validation."""
        value = digest(text)
        if value <= self.validation_last:
            return "validation"
        return "dev" if value <= self.dev_last else "train"

    def in_words(self) -> str:
        """For the manifest."""
        return (
            f"blake2b-64 of the stripped document: validation up to {self.validation_last:016x}, "
            f"dev up to {self.dev_last:016x}, else train"
        )


LARGE_SOURCE = SplitRule(_SPACE // 100, _SPACE // 50)
LARGE_CHARACTERS = 100 * _TARGET_CHARACTERS


def rule_for_small(digests: Iterable[int], characters: int) -> SplitRule:
    """The rule for a source of fewer than LARGE_CHARACTERS, which deals exactly so many different documents.

    dev and validation each get 1 Mi characters' worth, but at most a tenth of the documents and at least one.
    Raises DataError when there are fewer than three different documents.
    """
    ordered = sorted(set(digests))
    if len(ordered) < 3:
        raise DataError(
            f"the source has {len(ordered)} different document(s), and train, dev and validation need one each. "
            "Give more text, or separate the documents by lines that hold <|endoftext|>."
        )
    share = min(0.1, _TARGET_CHARACTERS / max(1, characters))
    each = max(1, round(share * len(ordered)))
    return SplitRule(ordered[each - 1], ordered[2 * each - 1])
