"""Finding GPT-2's vocabulary: beside the source, prepared earlier, in the Hugging Face cache, or on the hub."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.data.dataset import missing
from harness.data.entries import Entry
from harness.data.errors import DataError
from harness.data.file_set import FileSet
from harness.data.hub import hub_reachable
from harness.data.manifest import SourceFile, hash_file
from harness.data.root import data_root
from harness.data.tokenizer import BpeTokenizer

VOCAB_SIZE = 50257
WANTS = "vocab.json and merges.txt (or encoder.json and vocab.bpe)"
WHERE = "https://huggingface.co/openai-community/gpt2"
_NAMES = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
_HUB = "openai-community/gpt2"


def gpt2_tokenizer(source: Sequence[Path]) -> BpeTokenizer:
    """GPT-2's tokenizer from the nearest place that has it.

    Raises DataError where none has, or where the files are of another vocabulary.
    """
    for folder in [*_near(source), data_root() / "gpt2"]:
        if files := _files_in(folder):
            return _checked(*files)
    if files := _from_hub():
        return _checked(*files)
    raise DataError(
        f"GPT-2's vocabulary is not on this machine and the hub cannot be reached. It is {WANTS} from {WHERE}; "
        "put both in one folder.",
        run="linbench data prepare gpt2 --source DIR",
    )


def find_gpt2(entry: Entry, given: list[Path] | None) -> FileSet:
    """What `linbench data prepare gpt2` keeps: the two files, checked, from a source folder or the hub."""
    if given:
        found = next((files for folder in _near(given) if (files := _files_in(folder))), None)
        if found is None:
            raise DataError(f"{', '.join(map(str, given))} does not hold {WANTS}. They are at {WHERE}.")
    else:
        found = _from_hub()
    if found is None:
        raise missing(entry.name)
    tokenizer = _checked(*found)
    return FileSet(
        kind="tokenizer",
        dtype="text",
        sources=tuple(SourceFile(path.name, hash_file(path)) for path in found),
        splits={"tokenizer": {name: (path.read_bytes(), 0) for name, path in zip(_NAMES[0], found, strict=True)}},
        tokenizer=tokenizer,
    )


def _near(source: Sequence[Path]) -> Iterator[Path]:
    """A source folder or a source file's folder, folders gpt2* in it, and folders gpt2* beside it."""
    for path in source:
        if path.exists():
            folder = path if path.is_dir() else path.resolve().parent
            yield folder
            yield from sorted(folder.glob("gpt2*"))
            yield from sorted(folder.resolve().parent.glob("gpt2*"))


def _files_in(folder: Path) -> tuple[Path, Path] | None:
    for vocabulary, merges in _NAMES:
        if (folder / vocabulary).is_file() and (folder / merges).is_file():
            return folder / vocabulary, folder / merges
    return None


def _from_hub() -> tuple[Path, Path] | None:
    try:
        from huggingface_hub import hf_hub_download, try_to_load_from_cache
    except ImportError:
        return None
    vocabulary, merges = (try_to_load_from_cache(_HUB, name) for name in _NAMES[0])
    if isinstance(vocabulary, str) and isinstance(merges, str):
        return Path(vocabulary), Path(merges)
    if not hub_reachable():
        return None
    return Path(hf_hub_download(_HUB, "vocab.json")), Path(hf_hub_download(_HUB, "merges.txt"))


def _checked(vocabulary: Path, merges: Path) -> BpeTokenizer:
    tokenizer = BpeTokenizer(vocabulary, merges, "gpt2")
    sample = tokenizer.encode("Hello world").tolist()
    if tokenizer.vocab_size != VOCAB_SIZE or sample != [15496, 995]:
        raise DataError(
            f"{vocabulary} and {merges} are not GPT-2's: {tokenizer.vocab_size} tokens instead of {VOCAB_SIZE}, and "
            f"'Hello world' becomes {sample} instead of [15496, 995]. Take {WANTS} from {WHERE}.",
            run="linbench data prepare gpt2 --source DIR",
        )
    return tokenizer
