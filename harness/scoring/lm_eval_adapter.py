"""Our language model as lm-eval wants one. Imports lm-eval, so it is imported only where tasks are run."""

from typing import Any

from lm_eval.api.model import LM  # type: ignore[import-untyped]

from harness.scoring.language_model import LanguageModel


class LmEvalAdapter(LM):  # type: ignore[misc]
    """Hands lm-eval's requests on to a LanguageModel, which batches them."""

    def __init__(self, language_model: LanguageModel):
        super().__init__()
        self.language_model = language_model

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-likelihood of each continuation, and whether greedy decoding would give it."""
        scores = self.language_model.log_likelihoods([request.args for request in requests])
        return [(score.log_likelihood, score.greedy) for score in scores]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of each text as a whole."""
        return self.language_model.rolling_log_likelihoods([request.args[0] for request in requests])

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Greedy continuations; requests with equal options share batches. Raises ValueError for sampling."""
        answers = [""] * len(requests)
        groups: dict[tuple[tuple[str, ...], int], list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(_options(request.args[1]), []).append(number)
        for (until, most), numbers in groups.items():
            texts = self.language_model.generate([requests[number].args[0] for number in numbers], most, until)
            for number, text in zip(numbers, texts, strict=True):
                answers[number] = text
        return answers


def _options(options: dict[str, Any]) -> tuple[tuple[str, ...], int]:
    if options.get("do_sample") and options.get("temperature", 1.0) > 0:
        raise ValueError(f"only greedy generation is offered, not {options}")
    until = options.get("until") or ()
    return (until,) if isinstance(until, str) else tuple(until), int(options.get("max_gen_toks", 256))
