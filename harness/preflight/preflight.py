"""The checks in their order, on one script; each is a module of its own."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import torch

from harness.preflight.builds import Step
from harness.preflight.causal import check_causality
from harness.preflight.fits import check_fit
from harness.preflight.found import Found
from harness.preflight.gradients import check_gradients
from harness.preflight.parameters import Size, check_parameters, largest, looked_at, size_of
from harness.preflight.report import Baseline, Check, Request
from harness.preflight.subject import Subject, load
from harness.preflight.subquadratic import check_cost
from harness.preflight.workers import Pair


class Preflight:
    """One pass over the script; each check adds to `checks`, and `current` names the one under way."""

    def __init__(self, request: Request):
        self.request = request
        self.checks: list[Check] = []
        self.warnings: list[str] = []
        self.current = ""
        self.size: Size | None = None
        """The model's parameters, once they are counted."""
        self.baseline: Baseline | None = None

    def run_all(self) -> None:
        """Raise what the agent's code raises, or CheckFailed."""
        self.count_baselines()
        rules, subject = self.request.rules, self._open()
        step = self._build(subject)
        with self._two_workers() as pair:
            self._learn(step)
            del step
            if rules.causal:
                self._add("causal", lambda: _causal(subject))
            if pair is not None:
                self._add("workers", pair.check)
        if (ceiling := rules.exponent) is not None:
            self._add("subquadratic", lambda: check_cost(subject, ceiling, rules.reference))
        if subject.on_gpu:
            torch.cuda.empty_cache()
        self._add("fits", lambda: check_fit(subject, self.request.room))

    def count_baselines(self) -> None:
        """Before any of the agent's code runs in this process: it has no say in what it is measured by."""
        if self.request.rules.parameters is not None and self.baseline is None:
            config = msgspec.json.decode(Path(self.request.run).read_bytes())
            self.baseline = largest(self.request.rules.baselines, SimpleNamespace(**config))

    def _open(self) -> Subject:
        loaded: list[ModuleType] = []
        settings: list[Any] = []

        def imports() -> Found:
            loaded.append(load(Path(self.request.source)))
            return Found("the script's definitions run")

        def reads() -> Found:
            settings.append(loaded[0].load_settings(self.request.run))
            return Found(f"learning_rate {settings[0].learning_rate:g}")

        self._add("imports", imports)
        self._add("settings", reads)
        return Subject(loaded[0], settings[0])

    def _build(self, subject: Subject) -> Step:
        steps: list[Step] = []

        def builds() -> Found:
            self.size = self._size_of(subject)
            steps.append(Step(subject))
            return Found(f"{self.size.without_positions:,} parameters at full size")

        self._add("builds", builds)
        size = self.size
        assert size is not None
        self._add("parameters", lambda: check_parameters(size, self.request.rules, self.baseline))
        return steps[0]

    def _size_of(self, subject: Subject) -> Size:
        """On the meta device; where that is too much and buffers have a part in it, their values are looked at."""
        size = size_of(subject.script, subject.settings)
        limit = self.request.rules.limit(self.baseline)
        too_much = limit is not None and size.all > limit and size.buffers > 0
        return looked_at(subject.script, subject.settings) if too_much else size

    def _learn(self, step: Step) -> None:
        self._add("forward", step.forward)
        self._add("backward", step.backward)
        self._add("optimizer step", step.optimize)
        self._add("reloads", step.reload)
        self._add("scores", step.score)

    def _add(self, name: str, check: Callable[[], Found]) -> None:
        self.current = name
        found = check()
        self.checks.append(Check(name, found.detail, found.figures))
        self.warnings += found.warnings

    @contextmanager
    def _two_workers(self) -> Iterator[Pair | None]:
        """Start them early where a run may be shared, for they take their time to begin; nobody leaves them behind."""
        if not self.request.room.shared:
            yield None
            return
        with tempfile.TemporaryDirectory(prefix="workers-", dir=Path(self.request.source).parent) as folder:
            pair = Pair(self.request, Path(folder))
            try:
                yield pair
            finally:
                pair.stop()


def _causal(subject: Subject) -> Found:
    """By changes of tokens first: what it says is easier to picture."""
    model = subject.build(subject.long)
    changes = check_causality(model, subject.long)
    gradients = check_gradients(model, subject.long)
    return Found(
        f"{changes.detail}; {gradients.detail}",
        {**changes.figures, **gradients.figures},
        (*changes.warnings, *gradients.warnings),
    )
