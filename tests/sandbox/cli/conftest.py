"""A session that is open, and sessions whose tests are only events, so that replies about tests need no training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.run_config import without_paths
from sandbox.conditions import conditions
from sandbox.discovery import find
from sandbox.events import Commit, Edit, Reserve
from sandbox.session import Session

EDIT = ("x = x + self.mlp(self.ln_2(x))", "x = self.mlp(self.ln_2(x)) + x")
FACTS = {"data": "pydocs", "data_sha256": "d" * 64, "device": "cpu", "parameters": 820352, "train_seconds": 12.5}


@pytest.fixture
def started(linbench: Callable[..., Any]) -> Path:
    """A session is open; the path of its workspace file."""
    return Path(linbench("start", "--json").json["script"])


@pytest.fixture
def record_test(runs: Path) -> Callable[..., Session]:
    """Records a test of the newest session's script that ended with this loss, or failed where it is None.

    The script is edited first where nobody did so: the untouched template earns no row.
    """

    def record(loss: float | None) -> Session:
        session = find(None, runs)
        state = session.read()
        if state.revision == 0:
            with session.transact() as transaction:
                contents = tuple(content.replace(*EDIT) for content in state.document.contents)
                state = transaction.append(Edit("Replaced.", contents, True))
        settled = conditions(state.task.task, "smoke", 42, {})
        config, number = without_paths(settled.config), len(state.tests) + 1
        sha256 = state.document.revision_sha()
        with session.transact() as transaction:
            transaction.append(Reserve(number, state.revision, sha256, "smoke", 42, config, settled.config_sha256))
            if loss is None:
                transaction.append(Commit(number, "failed", "non_finite_loss", {}, {"message": "the loss became nan"}))
            else:
                transaction.append(Commit(number, "done", None, {"val_loss": loss}, FACTS))
        return session

    return record
