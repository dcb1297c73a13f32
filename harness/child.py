"""The first thing that runs in a child process: dies with its parent, accepts its sandbox, then runs a script.

Usage: python -m harness.child SCRIPT [ARGUMENT ...]
"""

import ctypes
import os
import runpy
import signal
import sys

from harness import lazy_fla
from harness.isolation import enter
from harness.launch import PARENT

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal that this process gets when its parent dies."""


def die_with_parent() -> None:
    """Ask the kernel for a SIGKILL when the parent is gone; outside Linux there is nobody to ask."""
    parent = int(os.environ.pop(PARENT, os.getppid()))
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel knew whom to watch
        os.kill(os.getpid(), signal.SIGKILL)


def prepare_child() -> None:
    """What every child process of the harness does first."""
    die_with_parent()
    enter()
    lazy_fla.install()
    if os.environ.get("LINBENCH_DEVICE") == "cpu":
        from harness.fla_cpu import install

        install()


def withhold_validation_text() -> None:
    """Bar the module from which scoring makes the validation tokens of pydocs: training has no business in it.

    The sandbox hides its file as well; where a run has none, this is a locked door and no wall.
    """
    sys.modules["pydoc_data"] = None  # type: ignore[assignment]


def main() -> None:
    """Run the script as __main__ with its own arguments."""
    prepare_child()
    withhold_validation_text()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
