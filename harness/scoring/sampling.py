"""Text from a checkpoint, in a child process: `python -m harness.scoring.sampling REQUEST`, a SampleRequest as JSON."""

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.child import prepare_child
from harness.files import write_atomically
from harness.scoring.report import SampleReport, SampleRequest

if TYPE_CHECKING:
    from harness.scoring.language_model import LanguageModel


def main() -> None:
    """Load, draw and report; what the agent's code raises becomes part of the report."""
    prepare_child()
    request = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=SampleRequest)
    write_atomically(Path(request.report), msgspec.json.encode(answer(request)).decode())


def answer(request: SampleRequest) -> SampleReport:
    """Draw what is asked for. Raises DataError where the tokenizer's data set is not prepared."""
    from harness.scoring.language_model import load_language_model, tokenizer_of

    tokenizer = tokenizer_of(request.data)
    try:
        language_model = load_language_model(
            Path(request.source), Path(request.run), Path(request.checkpoint), tokenizer
        )
        return SampleReport(texts=tuple(sample(language_model, request)), step=language_model.step)
    except BaseException as problem:  # the agent's code may raise anything, and SystemExit
        return SampleReport(error=f"{type(problem).__name__}: {problem}", traceback=traceback.format_exc())


def sample(language_model: "LanguageModel", request: SampleRequest) -> list[str]:
    """The continuations of the prompt, each up to the end of its document; equal for an equal seed on one machine."""
    from harness.scoring.generation import greedy, sampled

    choose = sampled(request.temperature, request.seed) if request.temperature > 0 else greedy
    return language_model.generate([request.prompt] * request.samples, request.tokens, choose=choose)


if __name__ == "__main__":
    main()
