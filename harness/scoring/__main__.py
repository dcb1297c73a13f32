"""The evaluator: `python -m harness.scoring REQUEST`, a path to a Request as JSON. It never runs the agent's code.

It alone reads validation tokens and computes every figure; the model answers from processes of its own.
"""

import dataclasses
import os
import sys
import traceback
from pathlib import Path

import msgspec
import numpy as np
import torch
from msgspec.structs import replace

from harness.child import die_with_parent
from harness.data.tokenizer import Tokenizer
from harness.data.validation import validation_tokens
from harness.files import IrregularFile, write_atomically
from harness.isolation.ending import survivors_come_here
from harness.scoring.audit import plan
from harness.scoring.audited_loss import Windows, first_pass, second_pass
from harness.scoring.language_model import language_model_of, tokenizer_of
from harness.scoring.logits import NotScorable
from harness.scoring.loss import windows
from harness.scoring.metrics import measure
from harness.scoring.model_process import ModelFailure, ModelFiles, model_files
from harness.scoring.passage_audit import Journal, ask_again
from harness.scoring.remote_model import RemoteModel
from harness.scoring.report import Report, Request, decode
from harness.scoring.weights import Unreadable, read_weights


def main() -> None:
    """Score and report. A fault of the machine ends the process without a report."""
    die_with_parent()
    request = decode(Path(sys.argv[1]).read_bytes(), Request)
    with survivors_come_here():
        write_atomically(Path(request.report), msgspec.json.encode(score(request)).decode())


def score(request: Request) -> Report:
    """Measure what is asked for. Raises DataError where the data set of the profile is not prepared.

    A model whose process is killed is asked once more: a machine without memory may have done it, and so may the
    agent's code, which would else have another try as often as it liked.
    """
    report = _score_once(request)
    if report.error is None or report.reason != "killed":
        return report
    print(f"{report.error}; scoring begins again", file=sys.stderr, flush=True)
    report = _score_once(request)
    if report.error is None or report.reason != "killed":
        return report
    return replace(report, reason="crashed", error=f"{report.error}, and so it was when it was asked before")


def _score_once(request: Request) -> Report:
    tokenizer = tokenizer_of(request.data)
    windows_WT = None
    if "val_loss" in request.metrics:
        windows_WT = windows(validation_tokens(request.data), request.model.config.block_size, request.windows)
    report = Report()
    try:
        with read_weights(Path(request.model.checkpoint)) as weights:
            report = Report(step=weights.step, numbers=weights.numbers)
            weights.require(request.allowed)
            report = _measured(report, request, model_files(request.model, weights), tokenizer, windows_WT)
    except NotScorable as problem:
        report = replace(report, error=str(problem), invalid=problem.reason)
    except ModelFailure as problem:
        report = replace(report, error=str(problem), reason=problem.reason, traceback=problem.traceback)
    except torch.OutOfMemoryError as problem:
        report = replace(report, error=f"no memory is left beside the model: {problem}", reason="out_of_memory")
    except IrregularFile as problem:
        report = replace(report, error=str(problem), reason="irregular_file")
    except Unreadable as problem:
        report = replace(report, error=str(problem))
    return report


def _measured(
    report: Report, request: Request, files: ModelFiles, tokenizer: Tokenizer, windows_WT: np.ndarray | None
) -> Report:
    with RemoteModel(files) as first, RemoteModel(files) as second, RemoteModel(files) as third:
        second.start()  # and no more: two that run the agent's code at one time would find a way to speak to each other
        (second if windows_WT is None else first).load()
        if windows_WT is not None:
            report = _with_loss(report, first, second, windows_WT)
        others = [name for name in request.metrics if name != "val_loss"]
        if report.error is None and others:
            report = _with_others(report, second, third, tokenizer, others)
    return report


def _with_loss(report: Report, first: RemoteModel, second: RemoteModel, windows_WT: np.ndarray) -> Report:
    """The report with the validation loss; what fails is tried once more, with half the batch and new processes."""
    config = first.files.config
    try:
        return _audited(report, first, second, windows_WT, config.micro_batch_size)
    except (ModelFailure, torch.OutOfMemoryError) as problem:
        if isinstance(problem, ModelFailure) and problem.reason == "timeout":
            raise
        traceback.print_exc()
    first.close()
    second.close()
    return _audited(report, first, second, windows_WT, max(1, config.micro_batch_size // 2))


def _with_others(
    report: Report, model: RemoteModel, fresh: RemoteModel, tokenizer: Tokenizer, names: list[str]
) -> Report:
    """The report with further metrics, and with what is wrong with them; the audit is of a process of its own again."""
    config = model.files.config
    journal = Journal(_random_seed())
    fresh.start()
    language_model = dataclasses.replace(language_model_of(model, tokenizer), observe=journal.take)
    values, errors = measure(language_model, names)
    model.close()
    report = replace(report, metrics={**report.metrics, **values}, errors=errors)
    if not journal.kept:
        return report
    try:
        return replace(report, passage_audit=ask_again(fresh, journal, config.device, config.dtype).judge())
    except NotScorable as problem:
        return replace(report, error=str(problem), invalid=problem.reason)


def _random_seed() -> int:
    return int.from_bytes(os.urandom(8)) >> 1


def _audited(
    report: Report, first: RemoteModel, second: RemoteModel, windows_WT: np.ndarray, batch_size: int
) -> Report:
    """The report with the loss that the first process gives, and with what is wrong with it."""
    config = first.files.config
    drawn = plan(_random_seed(), len(windows_WT), config.block_size, batch_size)
    asked = Windows(windows_WT, drawn, batch_size, config.device, config.dtype)
    loss, answers = first_pass(first, asked)
    first.close()  # before the second runs any of the agent's code, and nothing that it left running may speak to it
    report = replace(report, metrics={"val_loss": loss.loss}, tokens=loss.tokens, tokens_sha256=loss.sha256)
    comparison = second_pass(second, asked, answers)
    try:
        return replace(report, audit=comparison.judge())
    except NotScorable as problem:
        return replace(report, error=str(problem), invalid=problem.reason)


if __name__ == "__main__":
    main()
