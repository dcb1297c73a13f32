"""What the evaluator takes from a checkpoint, however hostile, and what its model's processes get of that."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.files import IrregularFile
from harness.scoring.logits import NotScorable
from harness.scoring.report import Allowed
from harness.scoring.weights import Unreadable, read_weights

Save = Callable[..., Path]
SECRET = b"what was learned elsewhere"


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Saves a state dict as a checkpoint, with whatever lies beside it."""

    def write(model: Any, **beside: Any) -> Path:
        torch.save({"model": model, "step": 7, **beside}, tmp_path / "ckpt.pt")
        return tmp_path / "ckpt.pt"

    return write


def copied(checkpoint: Path) -> tuple[dict[str, torch.Tensor], bytes]:
    """The state dict of the copy, and its bytes."""
    with read_weights(checkpoint) as weights, weights.opened() as file:
        content = file.read()
    return torch.load(io.BytesIO(content), weights_only=True)["model"], content


def test_a_copy_holds_the_same_weights_and_is_counted(save: Save) -> None:
    """Values, names and sharing stay as they are; the step is known."""
    table = torch.randn(8, 4)
    model = {"wte": table, "lm_head": table, "mask": torch.ones(8, 8).tril().bool()}
    with read_weights(save(model)) as weights:
        assert (weights.step, weights.numbers, weights.stored) == (7, 32 + 2, 32 + 32 + 64)
    found, _ = copied(save(model))
    assert all(torch.equal(found[name], tensor) for name, tensor in model.items())
    assert found["wte"].data_ptr() == found["lm_head"].data_ptr()


def test_nothing_else_comes_along(save: Save) -> None:
    """Not the optimizer, not the memory around a view, not an attribute of a parameter, no bytes behind the end."""
    hidden = torch.frombuffer(bytearray(SECRET * 10), dtype=torch.uint8)
    parameter = torch.nn.Parameter(torch.randn(4))
    parameter.more = hidden.clone()  # type: ignore[attr-defined]
    checkpoint = save({"view": hidden[:1], "weight": parameter}, optimizer={"exp_avg": hidden}, note=SECRET.decode())
    with zipfile.ZipFile(checkpoint, "a") as archive:
        archive.writestr("ckpt/more", SECRET)
    assert checkpoint.read_bytes().count(SECRET) > 1
    found, content = copied(checkpoint)
    assert SECRET not in content
    assert vars(found["weight"]) == {}
    assert torch.equal(found["weight"], parameter.detach())


def test_a_copy_cannot_be_changed(save: Save) -> None:
    """Whoever has it open for reading finds no way to write to it, and each reader begins at its beginning."""
    with read_weights(save({"w": torch.randn(3)})) as weights, weights.opened() as one, weights.opened() as other:
        one.read()
        assert other.tell() == 0
        assert os.pread(other.fileno(), 2, 0) == b"PK"
        with pytest.raises(PermissionError), open(f"/proc/self/fd/{one.fileno()}", "r+b", buffering=0) as again:
            again.write(b"x")
        with pytest.raises(PermissionError):
            os.ftruncate(weights.copy.fileno(), 0)


def test_more_than_is_allowed_is_refused_and_so_is_anything_else_than_was_checked(save: Save) -> None:
    """A ceiling and a count of the check, each with its reason; without them anything goes."""
    with read_weights(save({"w": torch.randn(10)})) as weights:
        weights.require(Allowed())
        weights.require(Allowed(numbers=10, stored=10))
        with pytest.raises(NotScorable, match="holds 10 numbers in parameters and buffers, and 9 at most") as refused:
            weights.require(Allowed(numbers=9, stored=10))
        assert refused.value.reason == "too_many_parameters"
        with pytest.raises(NotScorable, match=r"has 10 entries of weights, and the check .* had found 11") as refused:
            weights.require(Allowed(stored=11))
        assert refused.value.reason == "parameters_differ"


class Call:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def views(count: int) -> dict[str, torch.Tensor]:
    whole = torch.randn(10_000)
    return {str(number): whole[number:] for number in range(count)}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param(Call(), "cannot be read: UnpicklingError", id="calls something"),
        pytest.param([1, 2], "no state dict", id="a list"),
        pytest.param({1: torch.ones(1)}, "no state dict", id="numbers for names"),
        pytest.param({"w": torch.ones(1), "x": "text"}, "holds x, which is no dense tensor", id="text"),
        pytest.param({"w": torch.eye(3).to_sparse()}, "holds w, which is no dense tensor", id="sparse"),
        pytest.param(views(1000), "views of one another", id="views without end"),
    ],
)
def test_what_is_no_state_dict_is_unreadable(save: Save, model: Any, said: str) -> None:
    """Each is an error that says so, and nothing is run or made large."""
    with pytest.raises(Unreadable, match=said), read_weights(save(model)):
        pass


def test_a_step_that_is_none_is_unreadable(tmp_path: Path) -> None:
    """Missing, or of another kind."""
    for saved in ({"model": {}}, {"model": {}, "step": "x"}, {"model": {}, "step": torch.ones(2)}, [1]):
        torch.save(saved, tmp_path / "ckpt.pt")
        with pytest.raises(Unreadable), read_weights(tmp_path / "ckpt.pt"):
            pass


def test_a_file_that_would_grow_is_not_unpacked(save: Save, tmp_path: Path) -> None:
    """A compressed archive of a gigabyte of zeros, a plain pickle, an empty file: none is read as weights."""
    checkpoint = save({"w": torch.zeros(1000)})
    packed = tmp_path / "packed.pt"
    with zipfile.ZipFile(checkpoint) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    with pytest.raises(Unreadable, match="an entry is compressed"), read_weights(packed):
        pass
    for content in (b"", pickle.dumps({"model": {}, "step": 1}), checkpoint.read_bytes()[:-30]):
        packed.write_bytes(content)
        with pytest.raises(Unreadable, match="cannot be read"), read_weights(packed):
            pass


def test_only_a_plain_file_is_read(save: Save, tmp_path: Path) -> None:
    """A link is not followed."""
    (tmp_path / "link.pt").symlink_to(save({"w": torch.ones(1)}))
    with pytest.raises(IrregularFile), read_weights(tmp_path / "link.pt"):
        pass
