"""The shared cache of compiled kernels: whose it is, and how a session comes to a copy of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import kernel_cache
from harness.kernel_cache import copy_cache, copy_for_one_process, seed, shared_cache


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A cache with a kernel of two files, one whose second file is missing, and what somebody is still writing."""
    cache = tmp_path / "shared"
    for kernel, files in {"AAA": ("k.json", "k.cubin"), "BBB": ("k.json",)}.items():
        folder = cache / "triton" / kernel
        folder.mkdir(parents=True)
        for file in files:
            (folder / file).write_text(f"{kernel} {file}")
        paths = {file: str(folder / file) for file in ("k.json", "k.cubin")}
        (folder / "__grp__k.json").write_text(json.dumps({"child_paths": paths}))
    (cache / "triton" / "AAA" / "tmp.pid_1_x").mkdir()
    (cache / "inductor" / "fxgraph").mkdir(parents=True)
    (cache / "inductor" / "fxgraph" / "graph").write_text("a graph")
    (cache / "inductor" / "fxgraph" / ".1.2.tmp").write_text("half")
    return cache


def test_a_machine_of_another_kind_has_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GPU and versions are in the cache's name, and LINBENCH_CACHE says where it lies."""
    monkeypatch.setenv("LINBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(kernel_cache, "_version", {"torch": "2.11.0+cu130", "triton": "3.6.0"}.get)
    found = {}
    for gpu in ("NVIDIA H200", "NVIDIA A100/80"):
        monkeypatch.setattr(kernel_cache, "gpu_names", lambda gpu=gpu: [gpu, "another"])
        found[gpu] = shared_cache("cuda")
    assert found["NVIDIA H200"] == tmp_path / "NVIDIA-H200-torch-2.11.0+cu130-triton-3.6.0-flash-linear-attention-None"
    assert found["NVIDIA A100/80"].parent == tmp_path
    assert found["NVIDIA A100/80"] != found["NVIDIA H200"]


def test_a_copy_stands_on_its_own(shared: Path, tmp_path: Path) -> None:
    """A group names the files of its own copy, a group that lacks one is left out, and changes stay in the copy."""
    copy = tmp_path / "session" / ".kernels"
    copy_cache(shared, copy)
    kernel = copy / "triton" / "AAA"
    group = json.loads((kernel / "__grp__k.json").read_text())
    assert group == {"child_paths": {file: str(kernel / file) for file in ("k.json", "k.cubin")}}
    assert not (copy / "triton" / "BBB" / "__grp__k.json").exists()
    assert [path.name for path in copy.rglob("*tmp*")] == []
    assert (copy / "inductor" / "fxgraph" / "graph").read_text() == "a graph"
    (kernel / "k.cubin").write_text("another kernel")
    assert (shared / "triton" / "AAA" / "k.cubin").read_text() == "AAA k.cubin"


def test_a_session_is_seeded_once(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder is filled; what a session has compiled meanwhile is never overwritten."""
    monkeypatch.setattr(kernel_cache, "gpu_names", lambda: ["NVIDIA H200"])
    monkeypatch.setattr(kernel_cache, "shared_cache", lambda device: shared)
    copy = tmp_path / "session" / ".kernels"
    copy.mkdir(parents=True)
    seed(copy)
    assert (copy / "triton" / "AAA" / "k.cubin").exists()
    (copy / "triton" / "AAA" / "k.cubin").write_text("its own")
    seed(copy)
    assert (copy / "triton" / "AAA" / "k.cubin").read_text() == "its own"


def test_without_a_gpu_or_a_cache_nothing_is_seeded(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that compiles nothing, or whose cache was never warmed, leaves the session without the folder."""
    monkeypatch.setattr(kernel_cache, "gpu_names", list)
    seed(tmp_path / "one")
    copy_cache(tmp_path / "nowhere", tmp_path / "two")
    assert not (tmp_path / "one").exists()
    assert not (tmp_path / "two").exists()


def test_two_processes_at_once_make_one_copy(shared: Path, tmp_path: Path) -> None:
    """Four processes that copy to one session all find the copy whole, over what a killed one left behind."""
    copy = tmp_path / "session" / ".kernels"
    (copy.parent / ".kernels.part" / "triton").mkdir(parents=True)
    (copy.parent / ".kernels.part" / "triton" / "half").write_text("half")
    code = "import sys; from pathlib import Path; from harness.kernel_cache import copy_cache as c; "
    code += "c(*map(Path, sys.argv[1:])); assert (Path(sys.argv[2]) / 'triton/AAA/k.cubin').read_text()"
    environment = {**os.environ, "PYTHONPATH": str(Path(kernel_cache.__file__).parents[1])}
    command = [sys.executable, "-c", code, str(shared), str(copy)]
    racers = [subprocess.Popen(command, env=environment) for _ in range(4)]
    assert [racer.wait(60) for racer in racers] == [0] * 4
    assert sorted(path.name for path in copy.parent.iterdir()) == [".kernels", ".kernels.lock"]
    assert not list(copy.rglob("half"))


def test_a_copy_that_fails_leaves_nothing(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full the error passes through, and the session can be seeded later."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    copy = tmp_path / "session" / ".kernels"
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", full)
        with pytest.raises(OSError, match="No space left"):
            copy_cache(shared, copy)
    assert [path.name for path in copy.parent.iterdir()] == [".kernels.lock"]
    copy_cache(shared, copy)
    assert (copy / "triton" / "AAA" / "k.cubin").exists()


def test_a_copy_for_one_process_follows_nothing_that_agents_put_there(shared: Path, tmp_path: Path) -> None:
    """Links lead nowhere, pipes do not block, a foreign group goes, and paths are as the process sees them."""
    (tmp_path / "secret").write_text("secret")
    (shared / "triton" / "link").symlink_to(tmp_path / "secret")
    (shared / "outside").symlink_to(tmp_path)
    os.mkfifo(shared / "triton" / "pipe")
    (shared / "triton" / "AAA" / "__grp__bad.json").write_text("[1]")
    copy = tmp_path / "own"
    copy_for_one_process(shared, copy, Path("/tmp/kernels"))
    assert sorted(path.name for path in copy.rglob("*") if path.is_file()) == [
        *("__grp__k.json", "graph", "k.cubin", "k.json", "k.json")
    ]
    group = json.loads((copy / "triton" / "AAA" / "__grp__k.json").read_text())
    assert group["child_paths"]["k.cubin"] == "/tmp/kernels/triton/AAA/k.cubin"


def test_what_is_no_cache_breaks_no_copy_off(shared: Path, tmp_path: Path) -> None:
    """Groups that are folders, too deep or too long go; folders too deep to be looked at leave the whole cache out."""
    group = shared / "triton" / "AAA"
    (group / "__grp__folder.json" / "inner").mkdir(parents=True)
    for name, text in (("deep", "[" * 100_000), ("long", json.dumps({"child_paths": {"a": "x" * 5000}}))):
        (group / f"__grp__{name}.json").write_text(text)
    copy_for_one_process(shared, tmp_path / "own")
    assert [path.name for path in (tmp_path / "own").rglob("__grp__*")] == ["__grp__k.json"]
    (shared / "/".join(["d"] * 100)).mkdir(parents=True)
    copy_for_one_process(shared, tmp_path / "another")
    assert not (tmp_path / "another").exists()
