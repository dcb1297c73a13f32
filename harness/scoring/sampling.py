"""Text from a checkpoint: `python -m harness.scoring.sampling REQUEST`, a SampleRequest as JSON.

It draws the tokens; the model answers from a process of its own.
"""

import sys
from pathlib import Path

import msgspec

from harness.child import die_with_parent
from harness.files import IrregularFile, write_atomically
from harness.isolation.ending import survivors_come_here
from harness.scoring.generation import greedy, sampled
from harness.scoring.language_model import language_model_of, tokenizer_of
from harness.scoring.logits import NotScorable
from harness.scoring.model_process import ModelFailure, model_files
from harness.scoring.remote_model import RemoteModel
from harness.scoring.report import SampleReport, SampleRequest, decode
from harness.scoring.weights import Unreadable, read_weights


def main() -> None:
    """Draw and report; what the agent's code raises becomes part of the report."""
    die_with_parent()
    request = decode(Path(sys.argv[1]).read_bytes(), SampleRequest)
    with survivors_come_here():
        write_atomically(Path(request.report), msgspec.json.encode(answer(request)).decode())


def answer(request: SampleRequest) -> SampleReport:
    """Draw what is asked for. Raises DataError where the tokenizer's data set is not prepared."""
    tokenizer = tokenizer_of(request.data)
    choose = sampled(request.temperature, request.seed) if request.temperature > 0 else greedy
    try:
        with (
            read_weights(Path(request.model.checkpoint)) as weights,
            RemoteModel(model_files(request.model, weights)) as model,
        ):
            language_model = language_model_of(model, tokenizer)
            texts = language_model.generate([request.prompt] * request.samples, request.tokens, choose=choose)
    except ModelFailure as problem:
        return SampleReport(error=str(problem), traceback=problem.traceback)
    except (NotScorable, IrregularFile, Unreadable) as problem:
        return SampleReport(error=str(problem))
    return SampleReport(texts=tuple(texts), step=weights.step)


if __name__ == "__main__":
    main()
