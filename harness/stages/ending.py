"""How the child process of a stage ended, where that is not well."""

import shutil

from harness.faults import Fault, classify
from harness.launch import Exit
from harness.run_folder import RunFolder


class MissingReport(Exception):
    """A child process ended without its report; `fault` says how."""

    def __init__(self, fault: Fault, ended: Exit):
        super().__init__(fault.message)
        self.fault = fault
        self.ended = ended


def fault_of(ended: Exit, folder: RunFolder) -> Fault | None:
    """What became of a child process; None where it ended well."""
    return classify(ended, free_disk_bytes=shutil.disk_usage(folder.root).free)
