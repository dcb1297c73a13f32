"""A trained model together with its tokenizer: text in, log-likelihoods or text out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.data.dataset import open_dataset
from harness.data.tokenizer import ByteTokenizer, Tokenizer
from harness.scoring.generation import Choice, continue_tokens, greedy
from harness.scoring.passages import Observer, Passage, Score, cut, score_passages
from harness.scoring.remote_model import RemoteModel


def tokenizer_of(data: str) -> Tokenizer:
    """What the data set `data` is tokenized with. Raises DataError where it is not prepared."""
    return ByteTokenizer() if data == "pydocs" else open_dataset(data).tokenizer()


def language_model_of(model: RemoteModel, tokenizer: Tokenizer) -> "LanguageModel":
    """A model in a process of its own; a batch holds as many tokens as a micro-batch of its training did."""
    files, config = model.files, model.files.config
    return LanguageModel(model, tokenizer, config.block_size, config.device, config.dtype, files.tokens_per_batch)


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A model, and how to ask it."""

    model: Any
    """What harness.scoring.logits asks."""
    tokenizer: Tokenizer
    block_size: int
    """Tokens that the model sees at most."""
    device: str
    dtype: str
    """"float32", or "bfloat16" for autocast."""
    tokens_per_batch: int
    observe: Observer = lambda sheet, log_probabilities_N: None
    """Shown each batch of passages that is scored."""

    @property
    def prefix(self) -> int:
        """What stands before a text: the token that ends a document, else the line break that ends one."""
        end = self.tokenizer.end_of_text
        return int(self.tokenizer.encode("\n")[-1]) if end is None else end

    def log_likelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """The score of each (context, continuation); a context that does not fit loses its beginning."""
        return self._scores([self._encode_pair(context, continuation) for context, continuation in pairs])

    def rolling_log_likelihoods(self, texts: Sequence[str]) -> list[float]:
        """Natural logarithm of each text's probability after the prefix, block_size tokens at a time."""
        coded = [([self.prefix], self._encode(text)) for text in texts]
        return [score.log_likelihood for score in self._scores(coded)]

    def generate(
        self, prompts: Sequence[str], most: int, until: Sequence[str] = (), choose: Choice = greedy
    ) -> list[str]:
        """What follows each prompt, cut before the first string of `until` and before the end of the document."""
        end, decode = self.tokenizer.end_of_text, self.tokenizer.decode

        def ended(tokens: list[int]) -> bool:
            return tokens[-1] == end or (bool(until) and any(stop in decode(tokens) for stop in until))

        coded = [self._encode(prompt) or [self.prefix] for prompt in prompts]
        texts, size = [], max(1, self.tokens_per_batch // self.block_size)
        for first in range(0, len(coded), size):
            for tokens in continue_tokens(
                self.model,
                coded[first : first + size],
                most=most,
                choose=choose,
                ended=ended,
                vocab_size=self.tokenizer.vocab_size,
                block_size=self.block_size,
                device=self.device,
                dtype=self.dtype,
            ):
                text = decode(tokens[:-1] if tokens and tokens[-1] == end else tokens)
                texts.append(min((text.partition(stop)[0] for stop in until), key=len, default=text))
        return texts

    def _encode(self, text: str) -> list[int]:
        tokens: list[int] = self.tokenizer.encode(text).tolist()
        return tokens

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """White space between the two belongs to the continuation; where they part, the whole text's tokens do."""
        kept = context.rstrip()
        if not kept:
            return [self.prefix], self._encode(context + continuation)
        before = self._encode(kept)
        return before, self._encode(context + continuation)[len(before) :]

    def _scores(self, coded: Sequence[tuple[list[int], list[int]]]) -> list[Score]:
        passages: list[Passage] = []
        counts = []
        for context, continuation in coded:
            pieces = cut(context, continuation, self.block_size)
            passages += pieces
            counts.append(len(pieces))
        scores = iter(
            score_passages(
                self.model,
                passages,
                block_size=self.block_size,
                tokens_per_batch=self.tokens_per_batch,
                device=self.device,
                dtype=self.dtype,
                observe=self.observe,
            )
        )
        return [_together([next(scores) for _ in range(count)]) for count in counts]


def _together(scores: list[Score]) -> Score:
    return Score(sum(score.log_likelihood for score in scores), all(score.greedy for score in scores))
