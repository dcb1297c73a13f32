"""Multi-query associative recall: at how many queries is the value of the asked key the likeliest next token?

By number of key-value pairs, and the mean of these shares (docs/recall.md).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from harness.data.recall import NAME, SIZES, queries
from harness.data.validation import validation_tokens
from harness.scoring.language_model import LanguageModel
from harness.scoring.logits import NotScorable, Question, answers
from harness.scoring.passages import Sheet, outcomes

MEAN = "recall_accuracy"

BY_PAIRS = {f"recall_{pairs}_pairs": pairs for pairs in SIZES.pairs}
"""The metric of each number of pairs."""

METRICS = (MEAN, *BY_PAIRS)


def load_sequences() -> np.ndarray:
    """The validation part: (sequences, T). Raises DataError where it was not generated."""
    tokens = validation_tokens(NAME)
    count = len(tokens) // SIZES.length
    return tokens[: count * SIZES.length].reshape(count, SIZES.length)


def accuracies(language_model: LanguageModel, names: Sequence[str], sequences_ST: np.ndarray) -> dict[str, float]:
    """Those of the metrics that are named. Raises ValueError for a model that cannot see a whole sequence."""
    if language_model.block_size < sequences_ST.shape[1]:
        raise ValueError(
            f"block_size is {language_model.block_size}, and a sequence has {sequences_ST.shape[1]} tokens"
        )
    asked_S = queries(sequences_ST).sum(1)
    shares_S = hits(language_model, sequences_ST) / asked_S
    found = {name: float(shares_S[asked_S == pairs].mean()) for name, pairs in BY_PAIRS.items()}
    return {name: sum(found.values()) / len(found) if name == MEAN else found[name] for name in names}


def hits(language_model: LanguageModel, sequences_ST: np.ndarray) -> np.ndarray:
    """The queries of each sequence at which the right value is the likeliest token, (sequences,).

    Raises NotScorable for logits that are misshapen or not finite.
    """
    rows = max(1, language_model.tokens_per_batch // sequences_ST.shape[1])
    sheets = [_sheet(sequences_ST[first : first + rows]) for first in range(0, len(sequences_ST), rows)]
    asked = (Question(sheet.tokens_BT, sheet.places_N) for sheet in sheets)
    model, device, dtype = language_model.model, language_model.device, language_model.dtype
    found, finite = [], []
    for sheet, logits_NV in zip(sheets, answers(model, asked, device, dtype), strict=True):
        outcomes_N2 = outcomes(logits_NV, sheet)
        language_model.observe(sheet, outcomes_N2[:, 0])
        hits_B = torch.zeros(len(sheet.tokens_BT), dtype=torch.float64, device=logits_NV.device)
        found.append(hits_B.index_add_(0, sheet.owners_N.to(logits_NV.device), 1 - outcomes_N2[:, 1]))
        finite.append(outcomes_N2[:, 0].sum())
    if not math.isfinite(torch.stack(finite).sum()):
        raise NotScorable("logits_not_finite", "some log-likelihoods are not finite")
    return torch.cat(found).cpu().numpy()


def _sheet(tokens_BT: np.ndarray) -> Sheet:
    """Sequences with the places of their queries; the value stands one token on."""
    owners_N, columns_N = queries(tokens_BT).nonzero()
    tokens_BT = tokens_BT.astype(np.int64)
    places_N, targets_N = owners_N * tokens_BT.shape[1] + columns_N, tokens_BT[owners_N, columns_N + 1]
    return Sheet(*map(torch.from_numpy, (tokens_BT, places_N, targets_N, owners_N)))
