"""The child processes of a test, as the parent starts them: preflight, training, scoring, sampling. Torch-free.

Each takes a run folder, writes what it needs into it, and gives back a report; what went wrong comes back as a Fault.
"""

from harness.stages.checking import run_preflight
from harness.stages.ending import MissingReport
from harness.stages.evaluation import run_sampling, run_scoring
from harness.stages.training import Placement, command_elsewhere, run_training, write_run_config

__all__ = [
    "MissingReport",
    "Placement",
    "command_elsewhere",
    "run_preflight",
    "run_sampling",
    "run_scoring",
    "run_training",
    "write_run_config",
]
