"""`linbench verify` on a session that was really trained: what it confirms, and which changes it finds."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.discovery import find
from sandbox.events import Commit, Reserve
from sandbox.session import Session

Linbench = Callable[..., Any]

TINY = {"n_layer": 1, "n_embd": 16, "block_size": 32, "micro_batch_size": 2, "max_iters": 4, "warmup_iters": 2}
TINY |= {"eval_interval": 2, "checkpoint_interval": 4, "eval_iters": 1}
SETTINGS = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]


@contextmanager
def one_bit_changed(file: Path) -> Iterator[None]:
    """The middle byte of a file is another one, until it is put back."""
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    yield
    file.write_bytes(whole)


def claim_better(honest: Session, forged: Session) -> None:
    """Record the files of one session's test in another's chain with a lower loss than they have."""
    test = honest.read().tests[1]
    assert test.metrics is not None
    shutil.copytree(honest.folder.test(1).root, forged.folder.test(1).root)
    with forged.transact() as transaction:
        transaction.append(Reserve(1, 0, test.source_sha256, test.profile, test.seed, test.config, test.config_sha256))
        lower = {"val_loss": test.metrics["val_loss"] - 0.01}
        transaction.append(Commit(1, "done", None, lower, dict(test.facts or {})))


def test_verify_confirms_an_honest_session_and_finds_each_change(linbench: Linbench, runs: Path) -> None:
    """Untouched it scores the same again; one bit of checkpoint, source or ledger is found, and so is a false loss."""
    linbench("start")
    session = find(None, runs)
    assert linbench("test", *SETTINGS).code == 0
    assert linbench("submit", "1").code == 0
    folder = session.folder.test(1)
    result = folder.result.read_bytes()
    untouched = linbench("verify", "--json")
    assert untouched.code == 0
    assert set(untouched.json["verified"]) == {"ledger", "source", "checkpoint", "val_loss"}
    for file, code, said in (
        (folder.checkpoint, 5, "is not the scored checkpoint"),
        (folder.source, 5, "is not the tested source"),
        (session.folder.ledger, 6, "Line 1 of"),
    ):
        with one_bit_changed(file):
            reply = linbench("verify")
            assert (reply.code, said in reply.out) == (code, True), reply.out
    linbench("start")
    claim_better(session, find(None, runs))
    reply = linbench("verify")
    assert (reply.code, "again, but the ledger says" in reply.out) == (5, True), reply.out
    assert folder.result.read_bytes() == result
    assert not list(runs.glob("*/tests/1/.verify-*"))
