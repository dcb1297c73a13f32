"""ARC-Easy, HellaSwag, PIQA and WinoGrande: zero-shot accuracy by lm-eval's own tasks and `simple_evaluate`."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.data.dataset import open_dataset
from harness.data.hub import hub_reachable
from harness.data.manifest import read_manifest
from harness.data.root import dataset_folder
from harness.scoring.language_model import LanguageModel
from harness.scoring.lm_eval_files import task_file

TASKS = {
    "arc_easy": ("arc/arc_easy.yaml", "test"),
    "hellaswag": ("hellaswag/hellaswag.yaml", "validation"),
    "piqa": ("piqa/piqa.yaml", "validation"),
    "winogrande": ("winogrande/default.yaml", "validation"),
}
"""Task -> (lm-eval's file, the split that it evaluates)."""


def accuracies(language_model: LanguageModel, names: Sequence[str], limit: int | None = None) -> dict[str, float]:
    """lm-eval's `acc` of each task, 0 to 1, over its first `limit` items (None means all).

    Reads the prepared data set of the task's name, else the hub; raises DataError where there is neither.
    """
    with tempfile.TemporaryDirectory(prefix="linbench-lm-eval-") as folder:
        for name in names:
            config = msgspec.json.format(msgspec.json.encode(task_config(name, Path(folder))))  # JSON is YAML
            Path(folder, f"{name}.yaml").write_bytes(config)
        results = _evaluate(language_model, list(names), Path(folder), limit)
    return {name: float(results[name]["acc,none"]) for name in names}


def task_config(name: str, folder: Path) -> dict[str, Any]:
    """A task file that includes lm-eval's and says where the rows are; prepared ones are read into `folder`."""
    file, split = TASKS[name]
    config: dict[str, Any] = {"include": str(task_file(file)), "task": name}
    if read_manifest(dataset_folder(name)) is None and hub_reachable():
        return config
    rows = [str(path) for path in open_dataset(name).files(split)]
    others = {f"{other}_split": None for other in ("training", "validation", "test") if other != split}
    data = {"data_files": {split: rows}, "cache_dir": str(folder / "rows")}
    return {**config, **others, "dataset_path": "json", "dataset_name": None, "dataset_kwargs": data}


def _evaluate(language_model: LanguageModel, names: list[str], folder: Path, limit: int | None) -> dict[str, Any]:
    import datasets  # type: ignore[import-untyped]
    from lm_eval import simple_evaluate  # type: ignore[import-untyped]
    from lm_eval.tasks import TaskManager  # type: ignore[import-untyped]

    from harness.scoring.lm_eval_adapter import LmEvalAdapter

    datasets.disable_progress_bars()
    found = simple_evaluate(
        model=LmEvalAdapter(language_model),
        tasks=names,
        limit=limit,
        bootstrap_iters=0,
        log_samples=False,
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
    )
    assert found is not None
    results: dict[str, Any] = found["results"]
    return results
