"""Training a byte-level byte-pair encoding on the spot (tokenizers library)."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.data.tokenizer import END_OF_TEXT, BpeTokenizer, cut_in_pieces

TRAINING_CHARACTERS = 1 << 27
"""At most this much text is counted, so that memory stays bounded."""


def train_bpe(texts: Iterable[str], size: int, folder: Path) -> BpeTokenizer:
    """Train `size` tokens, the end-of-text token first, and write vocab.json and merges.txt into the folder.

    A text with too few different words gives fewer tokens than asked for. Raises OSError.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    trained.train_from_iterator(_bounded(texts), trainer)
    vocabulary, merges = trained.model.save(str(folder))
    return BpeTokenizer(Path(vocabulary), Path(merges), f"bpe:{size}")


def _bounded(texts: Iterable[str]) -> Iterator[str]:
    counted = 0
    for text in texts:
        yield from cut_in_pieces(text)
        counted += len(text)
        if counted > TRAINING_CHARACTERS:
            return
