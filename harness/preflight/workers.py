"""Can several processes share the model: two of them, gloo between them, must come to the same gradients.

The preflight starts `python -m harness.preflight.workers REQUEST FOLDER RANK` twice. On a GPU both use the same one.
"""

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import torch
import torch.distributed as dist
from torch import nn

from harness.child import prepare_child, withhold_validation_text
from harness.faults import last_error
from harness.launch import child_environment, python_module
from harness.precision import autocast
from harness.preflight.causal import BATCH
from harness.preflight.found import CheckFailed, Found
from harness.preflight.report import Request
from harness.preflight.subject import VOCABULARY, Subject, load

COUNT = 2
LAYERS = 2
SECONDS = 240.0
"""After which the two are taken for waiting for each other; cold kernels take minutes to compile."""
STEPS = 3
"""A weight that one step leaves out is missed in the one after."""


class Pair:
    """The two processes, started at once and asked for later."""

    def __init__(self, request: Request, folder: Path):
        self.folder = folder
        question = folder / "request.json"
        question.write_bytes(msgspec.json.encode(request))
        device = msgspec.json.decode(Path(request.run).read_bytes())["device"]
        environment = {**os.environ, **child_environment(device), "GLOO_SOCKET_IFNAME": "lo"}
        self.processes = []
        for rank in range(COUNT):
            command = python_module("harness.preflight.workers", str(question), str(folder), str(rank))
            with self._log(rank).open("wb") as log:
                started = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
            self.processes.append(started)

    def check(self) -> Found:
        """Wait for both. Raises CheckFailed with the last lines of the one that failed."""
        try:
            codes = [process.wait(timeout=SECONDS) for process in self.processes]
        except subprocess.TimeoutExpired:
            raise CheckFailed(f"two workers did not finish {STEPS} steps together in {SECONDS:.0f} s") from None
        finally:
            self.stop()
        if any(codes):
            logs = [self._log(rank).read_text(errors="replace") for rank in range(COUNT)]
            print("\n".join(logs), flush=True)
            raise CheckFailed(f"one of two workers that share the model failed: {cause(logs, codes)}")
        difference = float((self.folder / "difference").read_text())
        return Found(f"gradients of two workers differ by {difference:.1g}", {"difference": difference})

    def stop(self) -> None:
        """End what still runs."""
        for process in self.processes:
            process.kill()
            process.wait()

    def _log(self, rank: int) -> Path:
        return self.folder / f"worker-{rank}.log"


def cause(logs: list[str], codes: list[int]) -> str:
    """The error of the worker that failed first: the other one only says that it has lost the connection."""
    errors = [last_error(re.sub(r"(?m)^\[rank\d+\]: ", "", log)) for log in logs]
    errors = [error.removeprefix(f"{CheckFailed.__module__}.{CheckFailed.__name__}: ") for error in errors]
    own = [error for error in errors if error and "onnection" not in error]
    return next(iter(own), "") or next(filter(None, errors), f"they ended with the codes {codes}")


def take_part(subject: Subject, rank: int) -> float:
    """Two steps as one of two workers: the largest difference between their gradients."""
    settings = subject.sized(block_size=subject.small.block_size, n_layer=LAYERS, vocab_size=VOCABULARY)
    model = subject.build(settings)
    network = _share(subject, model, settings, rank)
    difference = 0.0
    for step in range(STEPS):
        model.zero_grad(set_to_none=True)
        _loss(network, settings, 1 + rank + COUNT * step).backward()
        difference = max(difference, _difference(model))
    return difference


def _share(subject: Subject, model: Any, settings: Any, rank: int) -> Any:
    """The model as the script's own workers share it, where it has such; NCCL would refuse two on one GPU."""
    cuda = torch.device("cuda", 0) if subject.on_gpu else None
    if not hasattr(subject.script, "Workers"):
        return nn.parallel.DistributedDataParallel(model, [cuda] if cuda else None)
    workers = subject.script.Workers.__new__(subject.script.Workers)
    workers.rank, workers.count, workers.device = rank, COUNT, cuda or torch.device(settings.device)
    return workers.share(model, lambda alone: _loss(alone, settings, 0))


def _loss(network: Any, settings: Any, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    tokens_BT = torch.randint(settings.vocab_size, (BATCH, settings.block_size + 1), generator=generator)
    tokens_BT = tokens_BT.to(settings.device)
    with autocast(settings.device, settings.dtype):
        loss: torch.Tensor = network(tokens_BT[:, :-1], tokens_BT[:, 1:])[1]
    return loss


def _difference(model: Any) -> float:
    """The largest difference of a gradient from the first worker's, as a share of its largest."""
    worst = 0.0
    for name, weight in model.named_parameters():
        gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad.detach().clone()
        theirs = gradient.clone()
        dist.broadcast(theirs, src=0)
        scale = float(theirs.abs().max()) or 1.0
        share = float((gradient - theirs).abs().max()) / scale
        if not share < 1e-3:
            raise CheckFailed(f"the gradient of {name} differs between the workers by {share:.0%}")
        worst = max(worst, share)
    return worst


def main() -> None:
    """Be one of the two."""
    prepare_child()
    withhold_validation_text()
    request = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Request)
    folder, rank = Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=COUNT, timeout=timedelta(seconds=SECONDS))
    script = load(Path(request.source))
    subject = Subject(script, script.load_settings(request.run))
    difference = take_part(subject, rank)
    worst = torch.tensor([difference])
    dist.all_reduce(worst, dist.ReduceOp.MAX)
    if rank == 0:
        (folder / "difference").write_text(repr(float(worst)))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
