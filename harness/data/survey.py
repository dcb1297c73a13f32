"""A look at the source before tokenizing: how long its blocks are, how it is split, which characters it has."""

from collections.abc import Iterator

from harness.data.encoding import ending_in_line_break
from harness.data.progress import Progress, Report
from harness.data.source import BLOCK_CHARACTERS, Reader, Source
from harness.data.split import LARGE_CHARACTERS, LARGE_SOURCE, SplitRule, digest, rule_for_small

_FEW_DOCUMENTS = 20
_SMALL_BLOCK = 512


def plan_split(source: Source, report: Report) -> tuple[Source, SplitRule]:
    """The source with its blocks made short where it has few documents, and the rule that splits it.

    Reads at most LARGE_CHARACTERS. Raises DataError when there is too little text to split.
    """
    for block in (BLOCK_CHARACTERS, _SMALL_BLOCK):
        cut = source.with_blocks(block)
        digests, characters = set(), 0
        for text in watched(cut.read(), "looking at the source", report):
            digests.add(digest(text))
            characters += len(text)
            if characters >= LARGE_CHARACTERS:
                return cut, LARGE_SOURCE
        if len(digests) >= _FEW_DOCUMENTS:
            break
    return cut, rule_for_small(digests, characters)


def all_characters(source: Source, report: Report) -> str:
    """Every character of the source once, with the line break that ends documents."""
    found: set[str] = set()
    for text in watched(source.read(), "collecting characters", report):
        found.update(ending_in_line_break(text))
    return "".join(sorted(found))


def training_texts(source: Source, rule: SplitRule, report: Report) -> Iterator[str]:
    """The documents of the train split, which are all that a tokenizer may be trained on."""
    texts = watched(source.read(), "training the tokenizer", report)
    return (text for text in texts if rule.split_of(text) == "train")


def watched(reader: Reader, stage: str, report: Report) -> Iterator[str]:
    """The documents, with a report for every Mi characters."""
    characters = 0
    for text in reader:
        yield text
        characters += len(text)
        if characters >= 1 << 20:
            characters = 0
            report(Progress(stage, reader.fraction))
