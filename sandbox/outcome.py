"""What a finished run comes to, as pure data: the facts beside its score, and result.json."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from harness.data.training import TrainingData
from harness.estimates import utilisation
from harness.files import open_regular
from harness.launch import Exit
from harness.metrics import Evaluation, metric_name
from harness.run_config import RunConfig
from harness.scoring.report import Report as ScoringReport
from sandbox import __version__
from sandbox.state import TestState


def facts_of(
    config: RunConfig,
    data: TrainingData,
    template: str,
    parameters: int | None,
    training: Exit,
    startup_seconds: float | None,
    evaluations: list[Evaluation],
    score: ScoringReport | None,
    checkpoint_sha256: str | None,
    gpus: list[str],
    receipt: Mapping[str, Any],
) -> dict[str, Any]:
    """What was measured beside the score, and by what. Times are the parent's; speed and losses are the script's."""
    last = evaluations[-1] if evaluations else None
    speeds = sorted(evaluation.tokens_per_second for evaluation in evaluations)
    speed = speeds[len(speeds) // 2] if speeds else None
    found = {
        "data": data.name,
        "data_sha256": data.sha256,
        "device": config.device,
        "gpus": ", ".join(gpus) if config.device == "cuda" else None,
        "parameters": parameters,
        "steps": last.step if last else 0,
        "tokens": last.tokens if last else 0,
        "tokens_per_second": speed,
        "mfu": utilisation(config, speed, gpus) if speed and config.device == "cuda" else None,
        "gpu_hours": len(gpus) * training.seconds / 3600 if config.device == "cuda" else None,
        "peak_memory_bytes": last.peak_memory_bytes if last else None,
        "startup_seconds": startup_seconds,
        "train_seconds": training.seconds,
        "score_seconds": score.seconds if score else None,
        "validation_tokens": score.tokens if score else None,
        "validation_sha256": score.tokens_sha256 if score else None,
        "checkpoint_numbers": score.numbers if score else None,
        "audit": msgspec.to_builtins(score.audit) if score else None,
        "not_measured": score.errors or None if score else None,
        "checkpoint_sha256": checkpoint_sha256,
        "template_sha256": hashlib.sha256(template.encode()).hexdigest(),
        "linbench": __version__,
        **receipt,
    }
    return {key: value for key, value in found.items() if value is not None}


def sha256_of(file: Path) -> str:
    """Hash of a plain file of any size. Raises IrregularFile for any other."""
    with open_regular(file) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def by_seed(test: TestState) -> dict[str, dict[str, Any]]:
    """What each seed that is scored came to, by its number: its metrics under their published names, and its facts."""
    return {
        str(seed): {
            "metrics": {metric_name(name, test.profile): value for name, value in found.metrics.items()},
            **found.facts,
        }
        for seed, found in test.by_seed.items()
    }


def result_json(
    test: TestState, status: str, reason: str | None, metrics: dict[str, float], facts: dict[str, Any]
) -> str:
    """The text of result.json, with the metrics under their published names."""
    result = {
        "test": test.number,
        "status": status,
        "reason": reason,
        "profile": test.profile,
        "seed": test.seed,
        "resumes": test.resumes,
        **({"seeds": list(test.seeds), "by_seed": by_seed(test)} if test.seeds else {}),
        "metrics": {metric_name(name, test.profile): value for name, value in metrics.items()},
        "source_sha256": test.source_sha256,
        "config_sha256": test.config_sha256,
        **facts,
    }
    return msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n"
