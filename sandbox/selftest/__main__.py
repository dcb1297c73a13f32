"""The process of one attempt: `python -m sandbox.selftest NAME ISOLATION DATA` prints its verdict as JSON."""

import sys
from pathlib import Path

import msgspec

from sandbox.selftest.attempt import find
from sandbox.selftest.run import run


def main() -> None:
    """Try one attempt."""
    name, isolation, data = sys.argv[1:]
    print(msgspec.json.encode(run(find(name), isolation, Path(data))).decode())


if __name__ == "__main__":
    main()
