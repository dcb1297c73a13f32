"""A child with a child of its own that ignores SIGTERM; on SIGTERM the first takes its time to save, then ends."""

import os
import signal
import sys
import time
from pathlib import Path


def save(*_: object) -> None:
    time.sleep(0.2)
    Path("saved").touch()
    sys.exit(143)


grandchild = os.fork()
if grandchild == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, save)
    Path("pids.part").write_text(f"{os.getpid()} {grandchild}")
    os.replace("pids.part", "pids")
while True:
    time.sleep(60)
