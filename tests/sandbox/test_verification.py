"""`linbench verify` on a session that was really trained: what it confirms, and which changes it finds."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.discovery import find
from sandbox.events import Commit, Edit, Reserve
from sandbox.outcome import result_json
from sandbox.session import Session

Linbench = Callable[..., Any]
TinyRun = Callable[..., list[str]]


@contextmanager
def one_bit_changed(file: Path) -> Iterator[None]:
    """The middle byte of a file is another one, until it is put back."""
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    yield
    file.write_bytes(whole)


def squeezed(reply: str) -> str:
    """A reply without the blanks that align its columns."""
    return re.sub(" +", " ", reply)


def claim(honest: Session, forged: Session, loss: float = 0.0, **facts: Any) -> None:
    """Record the files of one session's test in another's chain with a higher loss and other facts, None for none."""
    test = honest.read().tests[1]
    assert test.metrics is not None
    folder = forged.folder.test(1)
    shutil.copytree(honest.folder.test(1).root, folder.root)
    metrics, facts = {"val_loss": test.metrics["val_loss"] + loss}, {**(test.facts or {}), **facts}
    facts = {name: value for name, value in facts.items() if value is not None}
    folder.result.write_text(result_json(test, "done", None, metrics, facts))
    with forged.transact() as transaction:
        transaction.append(Edit("The same.", honest.read().document.contents, True))
        transaction.append(Reserve(1, 1, test.source_sha256, test.profile, test.seed, test.config, test.config_sha256))
        transaction.append(Commit(1, "done", None, metrics, facts))


def test_verify_confirms_an_honest_session_and_finds_each_change(
    linbench: Linbench, runs: Path, lawless: Path, tiny_run: TinyRun
) -> None:
    """Untouched every line holds; one bit changed in any file is found, and so is a false loss.

    Another harness or environment is said and is no failure; other data cannot be verified with.
    """
    linbench("start", lawless)
    session = find(None, runs)
    assert (
        linbench("edit", "--old", "x = x + self.mlp(self.ln_2(x))", "--new", "x = self.mlp(self.ln_2(x)) + x").code == 0
    )
    short = tiny_run(max_iters=4, eval_interval=2, checkpoint_interval=4, eval_iters=1)
    assert linbench("test", *short).code == 0
    assert linbench("submit", "1").code == 0
    folder = session.folder.test(1)
    result = folder.result.read_bytes()
    untouched = linbench("verify", session.name, "--json")
    assert untouched.code == 0, untouched.out
    verdicts = {what: line["verdict"] for what, line in untouched.json["verified"].items()}
    held = ("ledger", "source", "template", "result.json", "harness", "environment", "data", "checkpoint")
    assert {what: verdicts[what] for what in (*held, "validation tokens", "val_loss")} == dict.fromkeys(
        (*held, "validation tokens", "val_loss"), "holds"
    )
    for file, code, said in (
        (folder.checkpoint, 5, "checkpoint differs"),
        (folder.source, 5, "source differs"),
        (folder.result, 5, "result.json differs"),
        (session.folder.ledger, 6, "Line 1 of"),
    ):
        with one_bit_changed(file):
            reply = linbench("verify", "--session", session.name)
            assert (reply.code, said in squeezed(reply.out)) == (code, True), reply.out
    assert folder.result.read_bytes() == result

    linbench("start")
    claim(session, find(None, runs), loss=-0.01)
    reply = linbench("verify")
    assert (reply.code, "val_loss differs" in squeezed(reply.out)) == (5, True), reply.out

    linbench("start")
    older = {"python": "3.9.1", "platform": "elsewhere"}
    claim(session, find(None, runs), harness_sha256="a" * 64, environment=older, environment_sha256="b" * 64)
    reply = linbench("verify")
    assert reply.code == 0, reply.out
    assert f"scored by another harness, sha256 {'a' * 64}" in reply.out
    assert "python 3.9.1, here 3." in reply.out

    linbench("start")
    older = dict.fromkeys(
        ("harness_sha256", "environment_sha256", "isolation", "checkpoint_sha256", "validation_sha256")
    )
    claim(session, find(None, runs), **older)
    reply = linbench("verify", "--json")
    assert reply.code == 0, reply.out
    verdicts = [
        reply.json["verified"][what]["verdict"] for what in ("harness", "environment", "isolation", "checkpoint")
    ]
    assert (verdicts, "validation tokens" in reply.json["verified"]) == (["not recorded"] * 4, False)

    linbench("start")
    claim(session, find(None, runs), data_sha256="e" * 64)
    reply = linbench("verify")
    assert (reply.code, "data differs" in squeezed(reply.out)) == (6, True), reply.out
    assert not list(runs.glob("*/tests/1/.verify-*"))
