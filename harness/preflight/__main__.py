"""The preflight's child process: `python -m harness.preflight REQUEST`, a path to a Request as JSON."""

import sys
import traceback
from pathlib import Path

import msgspec

from harness.child import prepare_child, withhold_validation_text
from harness.files import write_atomically
from harness.preflight.report import Report, Request


def main() -> None:
    """Run the checks and write the report; whatever the agent's code raises becomes part of it."""
    prepare_child()
    withhold_validation_text()
    from harness.preflight.builds import Builds, CheckFailed

    request = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Request)
    builds = Builds(Path(request.source), Path(request.run), request.causal)
    failed, error, trace = None, None, ""
    try:
        builds.run_all()
    except CheckFailed as problem:
        failed, error = builds.current, str(problem)
    except BaseException as problem:  # the agent's code may raise anything, and SystemExit
        failed, error, trace = builds.current, f"{type(problem).__name__}: {problem}", traceback.format_exc()
    report = Report(
        checks=tuple(builds.checks),
        parameters=builds.parameters,
        failed=failed,
        error=error,
        traceback=trace,
        warnings=tuple(builds.warnings),
    )
    write_atomically(Path(request.report), msgspec.json.encode(report).decode())


if __name__ == "__main__":
    main()
