"""Which worker's traceback is taken when several end together."""

from harness.worker_output import failed_worker

LOST = """Traceback (most recent call last):
  File "source.py", line 376, in update
    loss.backward()
RuntimeError: [gloo/transport/tcp/pair.cc:537] Read error: Connection reset by peer"""
OWN = """Traceback (most recent call last):
  File "source.py", line 99, in forward
    raise torch.OutOfMemoryError('too much')
torch.OutOfMemoryError: too much"""


def marked(rank: int, text: str) -> list[str]:
    return [f"[rank{rank}]: {line}" for line in text.splitlines()]


def test_the_worker_that_failed_by_itself_is_heard() -> None:
    """Of lines that come mixed, those of the first worker whose error is not a lost connection remain, unmarked."""
    mixed = [line for pair in zip(marked(0, LOST), marked(1, OWN), strict=True) for line in pair]
    tail = "\n".join(["PROGRESS: step=1", *mixed, *marked(2, OWN.replace("too much", "later")), "harness.child FAILED"])
    assert failed_worker(tail) == OWN


def test_where_all_lost_the_connection_the_first_is_heard() -> None:
    """Something is better than nothing."""
    assert failed_worker("\n".join(marked(1, LOST) + marked(0, LOST + "!"))) == LOST


def test_the_output_of_one_process_stays_as_it_is() -> None:
    """No marks, no change."""
    assert failed_worker(f"PROGRESS: step=1\n{OWN}") == f"PROGRESS: step=1\n{OWN}"
