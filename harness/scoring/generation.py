"""Text continued token by token, without a cache: any model that gives logits can be used."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from harness.scoring.logits import Question, answers
from harness.scoring.passages import padded_length

Choice = Callable[[torch.Tensor], torch.Tensor]
"""Logits (B, V) of the next token -> the tokens taken (B,)."""


def greedy(logits_BV: torch.Tensor) -> torch.Tensor:
    """The likeliest token."""
    return logits_BV.argmax(1)


def sampled(temperature: float, seed: int) -> Choice:
    """Draw from softmax(logits / temperature), on the CPU."""
    generator = torch.Generator().manual_seed(seed)

    def choose(logits_BV: torch.Tensor) -> torch.Tensor:
        scaled_BV = logits_BV.float().cpu() / temperature
        return torch.multinomial(scaled_BV.softmax(1), 1, generator=generator)[:, 0]

    return choose


@torch.no_grad()
def continue_tokens(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    most: int,
    choose: Choice,
    ended: Callable[[list[int]], bool],
    vocab_size: int,
    block_size: int,
    device: str,
    dtype: str,
) -> list[list[int]]:
    """What follows each prompt, at most `most` tokens, up to and with the one after which `ended(tokens)` holds.

    The model sees the last block_size tokens; ids from vocab_size on, which no tokenizer spells, are never taken.
    """
    texts, new = [list(prompt) for prompt in prompts], [[] for _ in prompts]  # type: list[list[int]], list[list[int]]
    alive = list(range(len(texts))) if most > 0 else []
    while alive:
        seen = [texts[number][-block_size:] for number in alive]
        length = padded_length(max(map(len, seen)), block_size)
        tokens_BT = torch.tensor([row + [0] * (length - len(row)) for row in seen])
        last_B = torch.tensor([number * length + len(row) - 1 for number, row in enumerate(seen)])
        (last_BV,) = answers(model, [Question(tokens_BT, last_B)], device, dtype)
        for number, token in zip(alive, choose(last_BV[:, :vocab_size]).tolist(), strict=True):
            texts[number].append(token)
            new[number].append(token)
        alive = [number for number in alive if len(new[number]) < most and not ended(new[number])]
    return new
