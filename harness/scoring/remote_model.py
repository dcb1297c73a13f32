"""The model that the evaluator asks: it runs in a process of its own, and nothing that it says is believed.

What is handed on are copies, on the evaluator's device, that the model's process can no longer change.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType

import torch

from harness.scoring.logits import NotScorable, Question
from harness.scoring.messages import Answer, Ask, Chunk, Ready, Taken
from harness.scoring.model_process import ModelFiles, ModelProcess
from harness.scoring.shared_memory import REGIONS


class RemoteModel:
    """Answers questions (harness.scoring.logits) through a process that it starts when it is first asked.

    After a failure the process is ended, and the next question starts another one.
    """

    def __init__(self, files: ModelFiles):
        self.files = files
        self.copies = torch.cuda.Stream() if files.config.device == "cuda" else None
        self.process: ModelProcess | None = None
        self.step: int | None = None
        """The checkpoint's optimizer step; None while no model is loaded."""
        self.width: int | None = None
        """Logits a place, which no answer may change."""
        self.chunks = 0

    def __enter__(self) -> "RemoteModel":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> ModelProcess:
        """Let the process come up, as far as it runs none of the agent's code. Raises OSError."""
        if self.process is None:
            self.process, self.step, self.chunks = ModelProcess(self.files), None, 0
        return self.process

    def close(self) -> None:
        """End the process, if there is one."""
        if self.process is not None:
            self.process.close()
            self.process = None

    def load(self) -> int:
        """Let the process load the model, and wait for it; the checkpoint's step. Raises ModelFailure."""
        process = self.start()
        if self.step is None:
            try:
                process.begin()
                self.step = process.receive(Ready).step
            except BaseException:
                self.close()
                raise
        return self.step

    def answers(self, questions: Iterable[Question]) -> Iterator[torch.Tensor]:
        """The logits (N, V) of each question, asked ahead of their answers. Raises ModelFailure, NotScorable."""
        self.load()
        process = self.start()
        asked: deque[tuple[Question, int]] = deque()
        free, waiting = deque(range(REGIONS)), iter(questions)
        try:
            while True:
                while free and (question := next(waiting, None)) is not None:
                    asked.append((question, free.popleft()))
                    _ask(process, *asked[-1])
                if not asked:
                    return
                question, region = asked.popleft()
                logits_NV = self._collect(process, question)
                free.append(region)
                yield logits_NV
        except BaseException:  # what it still has to say would be taken for the next answer
            self.close()
            raise

    def _collect(self, process: ModelProcess, question: Question) -> torch.Tensor:
        answer = process.receive(Answer)
        rows = question.tokens_BT.numel() if question.places_N is None else len(question.places_N)
        dtype = getattr(torch, answer.dtype)
        size = process.memory.rows_a_chunk(answer.width, dtype) if answer.width > 0 else 0
        if (answer.rows, answer.width) != (rows, self.width or answer.width) or size < 1:
            wanted = "any number of" if self.width is None else self.width
            what = f"{answer.rows} rows of {answer.width} logits where {rows} rows of {wanted} were wanted"
            raise NotScorable("logits_misshapen", what)
        self.width = answer.width
        if self.copies is None:
            logits_NV = torch.empty(rows, answer.width, dtype=dtype)
            self._copy_chunks(process, logits_NV, size)
            return logits_NV
        with torch.cuda.stream(self.copies):
            logits_NV = torch.empty(rows, answer.width, dtype=dtype, device="cuda")
            self._copy_chunks(process, logits_NV, size)
        logits_NV.record_stream(torch.cuda.current_stream())
        return logits_NV

    def _copy_chunks(self, process: ModelProcess, logits_NV: torch.Tensor, size: int) -> None:
        for rows_NV in logits_NV.split(size):
            process.receive(Chunk)
            rows_NV.copy_(process.memory.chunk(self.chunks, *rows_NV.shape, rows_NV.dtype), non_blocking=True)
            if self.copies is not None:
                self.copies.synchronize()
            self.chunks += 1
            process.send(Taken())


def _ask(process: ModelProcess, question: Question, region: int) -> None:
    tokens_BT, places_N = question
    most = process.memory.tokens
    assert tokens_BT.numel() <= most, f"{tuple(tokens_BT.shape)} is more than {most} tokens"
    process.memory.put(region, tokens_BT, places_N)
    process.send(Ask(region, *tokens_BT.shape, None if places_N is None else len(places_N)))
