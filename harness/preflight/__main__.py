"""The preflight's child process: `python -m harness.preflight REQUEST BASELINE_FD REPORT_FD`.

REQUEST is a path to a Request as JSON; the answers go to the descriptors (harness.preflight.answer).
"""

import os
import sys
import traceback
from pathlib import Path

import msgspec

from harness.child import prepare_child, withhold_validation_text
from harness.preflight.answer import send_baseline, send_report
from harness.preflight.report import Report, Request

MOST_TEXT = 100_000
"""Characters of an error and of a traceback; the agent's code could raise a longer one."""


def main() -> None:
    """Run the checks and write the report; whatever the agent's code raises becomes part of it."""
    prepare_child()
    withhold_validation_text()
    from harness.preflight.found import CheckFailed
    from harness.preflight.preflight import Preflight

    request = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Request)
    baseline, answer = map(int, sys.argv[2:])
    os.set_inheritable(answer, False)  # for no process that the agent's code starts
    preflight = Preflight(request)
    failed, error, trace, figures = None, None, "", {}
    preflight.count_baselines()
    send_baseline(baseline, preflight.baseline)
    try:
        preflight.run_all()
    except CheckFailed as problem:
        failed, error, figures = preflight.current, str(problem), problem.figures
    except BaseException as problem:  # the agent's code may raise anything, and SystemExit
        failed, error, trace = preflight.current, f"{type(problem).__name__}: {problem}", traceback.format_exc()
    report = Report(
        checks=tuple(preflight.checks),
        parameters=preflight.size.without_positions if preflight.size else None,
        stored=preflight.size.stored if preflight.size else None,
        failed=failed,
        error=error and error[:MOST_TEXT],
        figures=figures,
        traceback=trace[-MOST_TEXT:],
        warnings=tuple(preflight.warnings),
    )
    send_report(answer, report)


if __name__ == "__main__":
    main()
