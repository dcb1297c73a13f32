"""The scoring's child process: `python -m harness.scoring REQUEST`, a path to a Request as JSON."""

import sys
import traceback
from pathlib import Path

import msgspec

from harness.child import prepare_child
from harness.data.validation import validation_tokens
from harness.files import write_atomically
from harness.run_config import RunConfig
from harness.scoring.report import Report, Request


def main() -> None:
    """Load, score and report. Only what the agent's code raises is caught; a fault of the machine ends the process."""
    prepare_child()
    request = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Request)
    config = msgspec.json.decode(Path(request.run).read_bytes(), type=RunConfig)
    tokens = validation_tokens(request.data)
    from harness.scoring.checkpoint import load_checkpoint
    from harness.scoring.loss import validation_loss

    try:
        model, step = load_checkpoint(Path(request.source), Path(request.run), Path(request.checkpoint))
        batch, most = config.micro_batch_size, request.windows
        score = validation_loss(model, tokens, config.block_size, batch, config.device, config.dtype, most)
    except BaseException as problem:  # the agent's code may raise anything, and SystemExit
        report = Report(error=f"{type(problem).__name__}: {problem}", traceback=traceback.format_exc())
    else:
        report = Report(metrics={"val_loss": score.loss}, tokens=score.tokens, tokens_sha256=score.sha256, step=step)
    write_atomically(Path(request.report), msgspec.json.encode(report).decode())


if __name__ == "__main__":
    main()
