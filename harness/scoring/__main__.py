"""The scoring's child process: `python -m harness.scoring REQUEST`, a path to a Request as JSON."""

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from harness.child import prepare_child
from harness.data.validation import validation_tokens
from harness.files import write_atomically
from harness.scoring.report import Report, Request

if TYPE_CHECKING:
    from harness.scoring.language_model import LanguageModel
    from harness.scoring.loss import ValidationLoss


def main() -> None:
    """Load, score and report. Only what the agent's code raises is caught; a fault of the machine ends the process."""
    prepare_child()
    request = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Request)
    write_atomically(Path(request.report), msgspec.json.encode(score(request)).decode())


def score(request: Request) -> Report:
    """Measure what is asked for. Raises DataError where the data set of the profile is not prepared."""
    from harness.scoring.language_model import load_language_model, tokenizer_of
    from harness.scoring.metrics import measure

    tokens = validation_tokens(request.data) if "val_loss" in request.metrics else None
    tokenizer = tokenizer_of(request.data)
    paths = (Path(request.source), Path(request.run), Path(request.checkpoint))
    try:
        language_model = load_language_model(*paths, tokenizer)
        report = Report(step=language_model.step)
        if tokens is not None:
            report = _with_loss(report, language_model, tokens, request.windows)
    except BaseException as problem:  # the agent's code may raise anything, and SystemExit
        return Report(error=f"{type(problem).__name__}: {problem}", traceback=traceback.format_exc())
    values, errors = measure(language_model, [name for name in request.metrics if name != "val_loss"])
    return msgspec.structs.replace(report, metrics={**report.metrics, **values}, errors=errors)


def _with_loss(report: Report, language_model: "LanguageModel", tokens: np.ndarray, windows: int | None) -> Report:
    """The report with the validation loss; what fails is tried once more, with half the batch."""
    from harness.scoring.metrics import smaller

    try:
        found = _loss(language_model, tokens, windows)
    except Exception:
        traceback.print_exc()
        found = _loss(smaller(language_model), tokens, windows)
    metrics = {"val_loss": found.loss}
    return msgspec.structs.replace(report, metrics=metrics, tokens=found.tokens, tokens_sha256=found.sha256)


def _loss(language_model: "LanguageModel", tokens: np.ndarray, windows: int | None) -> "ValidationLoss":
    from harness.scoring.loss import validation_loss

    model, block_size = language_model.model, language_model.block_size
    batch = max(1, language_model.tokens_per_batch // block_size)
    return validation_loss(model, tokens, block_size, batch, language_model.device, language_model.dtype, windows)


if __name__ == "__main__":
    main()
