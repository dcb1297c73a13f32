"""torchrun for a run on several GPUs, ending as its first failed worker ended: `python -m harness.torchrun OPTIONS`.

torchrun itself exits with 1 whatever happened; the parent wants to know whether a worker was killed, saved on SIGTERM
or failed by itself.
"""

import os
import signal
import sys

from harness.child import die_with_parent


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
        _, failure = error.get_first_failure()
        print(error, file=sys.stderr, flush=True)
        exit_like(failure.exitcode)
    except SignalException as stopped:  # torchrun passed the signal on to the workers, which saved
        exit_like(128 + int(stopped.sigval))


if __name__ == "__main__":
    main()
