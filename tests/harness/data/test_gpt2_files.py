"""harness/data/gpt2_files.py: where GPT-2's vocabulary is found, and what is not taken for it."""

from pathlib import Path

import pytest

from harness.data.dataset import open_dataset
from harness.data.errors import DataError
from harness.data.gpt2_files import gpt2_tokenizer
from harness.data.prepare import prepare


def test_the_vocabulary_is_found_beside_the_source(root: Path, gpt2_folder: Path, corpus: Path) -> None:
    """A folder gpt2* next to the source's folder is enough."""
    tokenizer = gpt2_tokenizer([corpus])
    assert tokenizer.encode("Hello world").tolist() == [15496, 995]
    assert (tokenizer.vocab_size, tokenizer.end_of_text) == (50257, 50256)


def test_the_vocabulary_prepared_once_is_found_from_everywhere(root: Path, gpt2_folder: Path, tmp_path: Path) -> None:
    """`prepare gpt2` keeps a copy that outlives its source, under either pair of published names."""
    (gpt2_folder / "vocab.json").rename(gpt2_folder / "encoder.json")
    (gpt2_folder / "merges.txt").rename(gpt2_folder / "vocab.bpe")
    prepare("gpt2", [gpt2_folder])
    gpt2_folder.rename(tmp_path / "elsewhere")
    assert gpt2_tokenizer([]).encode("Hello world").tolist() == [15496, 995]
    assert open_dataset("gpt2").tokenizer().end_of_text == 50256


def test_a_missing_vocabulary_names_files_place_and_command(root: Path, corpus: Path) -> None:
    """Without the files and without a network the message says what to fetch and what to run."""
    with pytest.raises(DataError, match=r"vocab\.json and merges\.txt .* from https://huggingface\.co") as caught:
        gpt2_tokenizer([corpus])
    assert caught.value.run == "linbench data prepare gpt2 --source DIR"


def test_another_vocabulary_is_refused(root: Path, gpt2_folder: Path) -> None:
    """Files of the right names with other merges are not taken for GPT-2's."""
    merges = gpt2_folder / "merges.txt"
    merges.write_text(merges.read_text(encoding="utf-8").replace("Hell o\n", ""), encoding="utf-8")
    with pytest.raises(DataError, match="are not GPT-2's"):
        prepare("gpt2", [gpt2_folder])
    assert not (root / "gpt2").exists()
