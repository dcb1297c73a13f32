"""WikiText-2 word perplexity, as lm-eval's task `wikitext` defines it: exp(-sum of log-likelihoods / words).

Each page is detokenized and scored alone, in rolling windows; its words are counted as they were before.
"""

import math
from collections.abc import Sequence

import msgspec

from harness.data.dataset import open_dataset
from harness.scoring.language_model import LanguageModel
from harness.scoring.lm_eval_files import task_module


def load_pages() -> list[str]:
    """The 62 pages of the prepared test split. Raises DataError where it is not prepared."""
    file = next(path for path in open_dataset("wikitext2").files("test") if path.suffix == ".jsonl")
    return [msgspec.json.decode(line)["page"] for line in file.read_bytes().splitlines()]


def word_perplexity(language_model: LanguageModel, pages: Sequence[str]) -> float:
    """Perplexity a word over all pages; detokenizer and word count are lm-eval's own code, run as it is installed."""
    lm_eval = task_module("wikitext/preprocess_wikitext.py")
    documents = [{"page": page} for page in pages]
    texts = [lm_eval.wikitext_detokenizer(document) for document in documents]
    log_likelihood, words = 0.0, 0
    for document, found in zip(documents, language_model.rolling_log_likelihoods(texts), strict=True):
        nats, count = lm_eval.process_results(document, (found,))["word_perplexity"]
        log_likelihood, words = log_likelihood + nats, words + count
    return math.exp(-log_likelihood / words)
