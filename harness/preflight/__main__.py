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
    from harness.preflight.found import CheckFailed
    from harness.preflight.preflight import Preflight

    request = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Request)
    preflight = Preflight(request)
    failed, error, trace, figures = None, None, "", {}
    try:
        preflight.run_all()
    except CheckFailed as problem:
        failed, error, figures = preflight.current, str(problem), problem.figures
    except BaseException as problem:  # the agent's code may raise anything, and SystemExit
        failed, error, trace = preflight.current, f"{type(problem).__name__}: {problem}", traceback.format_exc()
    report = Report(
        checks=tuple(preflight.checks),
        parameters=preflight.size.without_positions if preflight.size else None,
        failed=failed,
        error=error,
        figures=figures,
        traceback=trace,
        warnings=tuple(preflight.warnings),
    )
    write_atomically(Path(request.report), msgspec.json.encode(report).decode())


if __name__ == "__main__":
    main()
