"""harness/data/tokenizer.py: round trips, pieces that change no token, and words that are not tokens."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data import tokenizer as module
from harness.data.bpe_training import train_bpe
from harness.data.errors import DataError
from harness.data.tokenizer import BpeTokenizer, ByteTokenizer, CharacterTokenizer, Tokenizer, load_tokenizer
from harness.data.tokenizer_spec import check_spec


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> BpeTokenizer:
    folder = tmp_path_factory.mktemp("bpe")
    return train_bpe(["the mechanism attends\n\nto the word  before it, don't it?"] * 9, 400, folder)


def test_every_tokenizer_gives_the_text_back(bpe: BpeTokenizer, tmp_path: Path) -> None:
    """Encoding and decoding, also after saving and loading, is the identity on text of the data set."""
    text = "naïve 日本\n\n  the end\t<|endoftext|>"
    made: list[Tokenizer] = [ByteTokenizer(), CharacterTokenizer(text), bpe]
    for tokenizer in made:
        tokenizer.save(tmp_path)
        again = load_tokenizer(tmp_path, tokenizer.spec)
        tokens = again.encode(text)
        assert again.decode(tokens.tolist()) == text
        assert (again.vocab_size, again.end_of_text) == (tokenizer.vocab_size, tokenizer.end_of_text)
        assert tokens.max() < again.vocab_size


def test_text_never_becomes_the_end_of_text_token(bpe: BpeTokenizer) -> None:
    """A document that spells the token is text: only the harness ends documents."""
    assert bpe.end_of_text is not None
    assert bpe.end_of_text not in bpe.encode("a <|endoftext|> b").tolist()


@given(text=st.text(alphabet="ab1'. \n\t\x1c\u00a0日", max_size=60), piece=st.integers(1, 7))
@settings(max_examples=300)
def test_pieces_give_the_tokens_of_the_whole(bpe: BpeTokenizer, text: str, piece: int) -> None:
    """Cutting a text in pieces bounds memory and changes no token."""
    whole = bpe._bpe.encode(text).ids
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", piece)
        assert bpe.encode(text).tolist() == whole


def test_an_unknown_character_is_named() -> None:
    """A text with a character that the data set has not is refused."""
    with pytest.raises(DataError, match="'z' is not among the 3"):
        CharacterTokenizer("abc").encode("abz")


def test_training_is_deterministic(documents: list[str], tmp_path: Path) -> None:
    """The same documents train the same vocabulary and merges."""
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        assert train_bpe(documents, 300, folder).vocab_size == 300
    for name in ("vocab.json", "merges.txt"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


@pytest.mark.parametrize("spec", ["gpt3", "bpe", "bpe:", "bpe:256", "bpe:65537", "bpe:-5", "bpe:١٢٣٤", ""])
def test_an_unknown_tokenizer_names_those_there_are(spec: str) -> None:
    """A tokenizer that is not there is answered with those that are."""
    with pytest.raises(DataError, match="There are: gpt2, bytes, characters, bpe:N with N from 257 to 65536"):
        check_spec(spec)
    assert check_spec("bpe:0300") == "bpe:300"
