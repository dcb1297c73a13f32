"""A benchmark's child process: it reads its request from a file and answers in lines of JSON; its logs go to stderr."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.bench.comparison import Request
from harness.kernel_cache import shared_cache, variables
from harness.launch import child_environment, python_module
from sandbox.errors import MachineFault


def answers(
    module: str, request: Request, what: str, command: str, *, processes: int = 1, gpu: str | None = None
) -> Iterator[bytes]:
    """The lines that `python -m MODULE` prints, as they come, shared by so many processes under torchrun.

    `gpu` is the one that it sees, as CUDA_VISIBLE_DEVICES has it; None means all. Raises MachineFault when it fails:
    that `what` failed, with the help of `command` to run next.
    """
    device = request.config.device
    environment = child_environment(device) | (variables(shared_cache(device)) if device == "cuda" else {})
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    with tempfile.TemporaryDirectory() as folder:
        question = Path(folder, "request.json")
        question.write_bytes(msgspec.json.encode(request))
        words = python_module(module, str(question))
        if processes > 1:
            options = ["--standalone", f"--nproc-per-node={processes}", "--max-restarts=0", "-m", module]
            words = python_module("harness.torchrun", *options, str(question))
        with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            yield from process.stdout
    if process.returncode:
        raise MachineFault(f"{what} failed; its last words are above.", run=f"linbench {command} --help")
