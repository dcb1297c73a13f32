"""Runs a script as linbench runs a child: `launch.py FOLDER SCRIPT`. Says `interrupted` when it was."""

import sys
from pathlib import Path

from harness.launch import Interrupted, exclusive, python_module, run_child

folder, script = Path(sys.argv[1]), sys.argv[2]
with exclusive(folder / ".lock") as lock:
    command = python_module("harness.child", script)
    try:
        run_child(command, folder=folder, log=folder / "log", lock=lock, device="cuda")
    except Interrupted:
        print("interrupted")
