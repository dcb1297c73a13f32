"""The preflight of an edit: does it build, learn, score, and have the room it needs?"""

import msgspec

from harness import bytecode, preflight
from harness.faults import Fault
from harness.files import remove, write_atomically
from harness.isolation.confinement import wall_seconds
from harness.launch import Exit, python_module, run_child
from harness.preflight import report as preflight_report
from harness.preflight.answer import Answer, answer_files
from harness.run_config import RunConfig
from harness.run_folder import RunFolder
from harness.run_sandbox import kernel_caches, sandbox
from harness.stages.ending import MissingReport, fault_of

PREFLIGHT_SECONDS = 600.0
"""After which a preflight is taken for hung; a cold cache of Triton kernels takes minutes to fill."""
MOST_SAID = 500
"""Characters that are repeated of an error in what a child wrote."""


def run_preflight(
    folder: RunFolder,
    config: RunConfig,
    lock: int,
    rules: preflight_report.Rules = preflight_report.ANY,
    room: preflight_report.Room = preflight_report.ONE_PROCESS,
    isolation: str | None = None,
) -> preflight_report.Report:
    """Check the folder's source against what the task asks of a model, and whether its run has the room it needs.

    Raises MissingReport when the child died, Interrupted on Ctrl-C, NoIsolation.
    """
    if not folder.run.exists():
        write_atomically(folder.run, msgspec.json.encode(config).decode())
    request = preflight_report.Request(str(folder.source), str(folder.run), rules, room)
    question = folder.preflight.with_name(f"{folder.preflight.stem}.request.json")
    write_atomically(question, msgspec.json.encode(request).decode())
    bytecode.compile_once()
    with (
        sandbox(folder, config, isolation, keeps_kernels=True, workers=room.shared) as confinement,
        answer_files() as answer,
    ):
        ended = run_child(
            python_module(preflight.__name__, str(question), *map(str, answer.descriptors)),
            folder=folder.root,
            log=folder.log,
            lock=lock,
            device=config.device,
            timeout_seconds=wall_seconds(PREFLIGHT_SECONDS),
            environment=kernel_caches(folder, confinement),
            confinement=confinement,
            descriptors=answer.descriptors,
        )
        report = _report_of(answer, ended, folder)
    remove(question)
    return msgspec.structs.replace(report, seconds=ended.seconds)


def _report_of(answer: Answer, ended: Exit, folder: RunFolder) -> preflight_report.Report:
    fault = fault_of(ended, folder) or Fault("error", f"{preflight.__name__} ended without a report")
    try:
        report = None if ended.timed_out else answer.report()
    except (ValueError, RecursionError) as error:
        report, fault = None, Fault("error", f"what its process reported is no report: {error}"[:MOST_SAID])
    if report is None:
        raise MissingReport(fault, ended)
    return report
