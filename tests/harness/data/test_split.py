"""harness/data/split.py: equal documents never part, and every split gets its share."""

from collections import Counter

import pytest

from harness.data.errors import DataError
from harness.data.split import LARGE_SOURCE, digest, rule_for_small


def test_equal_documents_go_the_same_way() -> None:
    """White space around a document does not move it to another split."""
    for n in range(100):
        assert LARGE_SOURCE.split_of(f"document {n}") == LARGE_SOURCE.split_of(f"\n document {n}  \n")


def test_a_large_source_gives_one_in_a_hundred() -> None:
    """About one per cent of many documents is validation, and another dev."""
    counts = Counter(LARGE_SOURCE.split_of(f"document {n}") for n in range(20000))
    assert 140 < counts["validation"] < 260
    assert 140 < counts["dev"] < 260


@pytest.mark.parametrize(("documents", "each"), [(3, 1), (20, 2), (500, 50)])
def test_a_small_source_is_dealt_exactly(documents: int, each: int) -> None:
    """A tenth of the different documents, at least one, is validation, and as many are dev."""
    texts = [f"document {n}" for n in range(documents)]
    rule = rule_for_small(map(digest, texts * 2), characters=10000)
    counts = Counter(map(rule.split_of, texts))
    assert counts == {"validation": each, "dev": each, "train": documents - 2 * each}


def test_too_few_documents_are_refused() -> None:
    """Two different documents cannot fill three splits, however often they come."""
    with pytest.raises(DataError, match="2 different document"):
        rule_for_small(map(digest, ["a", "b", "a"]), characters=3)
