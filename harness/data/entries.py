"""The data sets that linbench knows by name: what each is, which files it wants and where they come from."""

import difflib
from collections.abc import Iterable
from typing import Literal

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """One known data set."""

    name: str
    kind: Literal["tokens", "evaluation", "tokenizer", "built-in", "generated"]
    """built-in: nothing lies on the disk; generated: made where it is first used, from nothing."""
    about: str
    wants: str
    """The files that prepare it without a network, in words."""
    where: str
    """Where those files are published."""
    tokenizer: str = ""
    """What it is tokenized with unless asked otherwise; "" where it stays text."""
    hub: tuple[str, str | None] | None = None
    """Name and config on Hugging Face, used when no source is given; None where there is none."""
    patterns: tuple[str, ...] = ("*",)
    """Names of the files to take out of a source folder."""
    shard_characters: int = 1 << 25
    """Text that goes into one shard: finished ones survive an interruption."""


TEXT_WANTS = "any .txt, .jsonl or .parquet files (plain, .gz, .xz or .zst), or a Hugging Face name OWNER/NAME"

_FINEWEB = "https://huggingface.co/datasets/HuggingFaceFW/fineweb/tree/main/sample/10BT"
_SHAKESPEARE = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"

ENTRIES = (
    Entry("pydocs", "built-in", "Python's own language reference as bytes; nothing to prepare", "", ""),
    Entry(
        "recall", "generated", "multi-query associative recall: random keys with values, then asked for again", "", ""
    ),
    Entry(
        "fineweb10B",
        "tokens",
        "FineWeb sample-10BT: about 10 billion GPT-2 tokens of English web pages",
        "its files sample/10BT/*.parquet, or .jsonl files with a column 'text'",
        _FINEWEB,
        "gpt2",
        ("HuggingFaceFW/fineweb", "sample-10BT"),
        shard_characters=400_000_000,
    ),
    Entry(
        "shakespeare_char",
        "tokens",
        "Tiny Shakespeare: 1.1 million characters of plays",
        "input.txt",
        _SHAKESPEARE,
        "characters",
        patterns=("input.txt*", "*shakespeare*"),
    ),
    Entry("text", "tokens", "your own text, under this or any other name", TEXT_WANTS, "anywhere", "gpt2"),
    Entry(
        "wikitext2",
        "evaluation",
        "WikiText-2 test split, untokenized: perplexity a word",
        "wiki.test.raw (or test-*.parquet of wikitext-2-raw-v1)",
        "https://huggingface.co/datasets/Salesforce/wikitext/tree/main/wikitext-2-raw-v1",
        hub=("Salesforce/wikitext", "wikitext-2-raw-v1"),
    ),
    Entry(
        "lambada",
        "evaluation",
        "LAMBADA test split: the last word of a passage",
        "lambada_test*.jsonl with a column 'text'",
        "https://huggingface.co/datasets/EleutherAI/lambada_openai",
        hub=("EleutherAI/lambada_openai", "default"),
    ),
    Entry(
        "arc_easy",
        "evaluation",
        "ARC-Easy: school science questions with about four choices",
        "arc_easy_test*.jsonl (or ARC-Easy/test-*.parquet)",
        "https://huggingface.co/datasets/allenai/ai2_arc",
        hub=("allenai/ai2_arc", "ARC-Easy"),
    ),
    Entry(
        "hellaswag",
        "evaluation",
        "HellaSwag validation: which of four endings follows",
        "hellaswag_val*.jsonl (or validation-*.parquet)",
        "https://huggingface.co/datasets/Rowan/hellaswag",
        hub=("Rowan/hellaswag", None),
    ),
    Entry(
        "piqa",
        "evaluation",
        "PIQA validation: which of two ways works",
        "valid.jsonl and valid-labels.lst (or validation-*.parquet)",
        "https://yonatanbisk.com/piqa/data",
        hub=("baber/piqa", None),
    ),
    Entry(
        "winogrande",
        "evaluation",
        "WinoGrande XL dev: which of two names a gap means",
        "winogrande_xl_dev.jsonl, dev.jsonl (or winogrande_xl/validation-*.parquet)",
        "https://huggingface.co/datasets/allenai/winogrande",
        hub=("allenai/winogrande", "winogrande_xl"),
    ),
    Entry(
        "gpt2",
        "tokenizer",
        "GPT-2's byte-pair encoding, 50257 tokens: prepared once, every data set finds it",
        "vocab.json and merges.txt (or encoder.json and vocab.bpe)",
        "https://huggingface.co/openai-community/gpt2",
        hub=("openai-community/gpt2", None),
    ),
)
_BY_NAME = {entry.name: entry for entry in ENTRIES}


def entry_for(name: str) -> Entry | None:
    """The known data set of this name; None for a name of the user's own."""
    return _BY_NAME.get(name)


def own_entry(name: str) -> Entry:
    """A data set of the user's own text under a name of its own."""
    return msgspec.structs.replace(_BY_NAME["text"], name=name)


def nearest(name: str, alternatives: Iterable[str]) -> str:
    """Say what there is, and what was probably meant."""
    options = list(alternatives)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.6)
    return (f"Did you mean {close[0]!r}? " if close else "") + f"There are: {', '.join(options)}."
