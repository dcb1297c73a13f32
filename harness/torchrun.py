"""torchrun for a run on several GPUs, ending as the worker that failed first: `python -m harness.torchrun OPTIONS`.

torchrun itself exits with 1 whatever happened; the parent wants to know whether a worker was killed, saved on SIGTERM
or failed by itself.
"""

import os
import signal
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.child import die_with_parent

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

SAME_MOMENT_SECONDS = 2
"""Failures so close together have one cause. torchrun itself kills, but only after it has waited for 30 seconds."""


def cause(failures: Iterable["ProcessFailure"]) -> int:
    """The exit code of the worker that took the others with it.

    One that was killed goes before those that failed at the same moment: they lost the connection to it.
    """
    in_order = sorted(failures, key=lambda failure: failure.timestamp)
    together = [failure for failure in in_order if failure.timestamp <= in_order[0].timestamp + SAME_MOMENT_SECONDS]
    killed = any(failure.exitcode == -signal.SIGKILL for failure in together)
    return -signal.SIGKILL if killed else in_order[0].exitcode


def exit_like(code: int) -> None:
    """End this process as another one ended: by the same signal, or with the same code."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


def main() -> None:
    """Run the workers to their end."""
    die_with_parent()
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        torchrun(sys.argv[1:])
    except ChildFailedError as error:
        print(error, file=sys.stderr, flush=True)
        exit_like(cause(error.failures.values()))
    except SignalException as stopped:  # torchrun passed the signal on to the workers, which saved
        exit_like(128 + int(stopped.sigval))


if __name__ == "__main__":
    main()
