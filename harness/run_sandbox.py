"""The sandbox around a run folder: what a child that runs the agent's code may see, write and use. Torch-free."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.estimates import parameters
from harness.isolation import Confinement, choose
from harness.isolation.confinement import limits
from harness.kernel_cache import seed, variables
from harness.run_config import RunConfig
from harness.run_folder import RunFolder

CHECKPOINT_BYTES = 12
"""A parameter: its value and AdamW's two moments in fp32."""


@contextmanager
def sandbox(
    folder: RunFolder,
    config: RunConfig,
    isolation: str | None,
    *,
    readable: tuple[Path, ...] = (),
    writes: bool = True,
    checkpoints: int = 1,
    workers: bool = False,
    network: bool = False,
) -> Iterator[Confinement]:
    """A sandbox for as long as one child needs it; `isolation` None means the strongest that works here.

    `writes` says whether the run folder is writable in it, and `checkpoints` how many are kept there. Raises
    NoIsolation.
    """
    kind = choose(isolation)
    root = folder.root.resolve()
    frozen = [path for path in (folder.source, folder.run, folder.lock) if path.exists()]
    with _temporary(folder.temporary) as temporary:
        if config.device == "cuda":
            seed(folder.kernels)
        folder.kernels.mkdir(exist_ok=True)
        yield Confinement(
            kind=kind,
            folder=root,
            temporary=temporary,
            readable=tuple(path.resolve() for path in readable) if writes else (*readable, root),
            writable=(folder.kernels.resolve(), *((root,) if writes else ())),
            frozen=tuple(path.resolve() for path in frozen) if writes else (),
            device=config.device,
            workers=workers,
            network=network,
            limits=limits(CHECKPOINT_BYTES * parameters(config), checkpoints),
        )


def kernel_caches(folder: RunFolder) -> dict[str, str]:
    """Where a child of this run keeps what it compiles, as environment variables."""
    return variables(folder.kernels.resolve())


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """An empty folder while inside, and none afterwards, whatever permissions the agent's code gave it."""
    _remove(path)  # a parent that was killed left it
    path.mkdir()
    try:
        yield path.resolve()
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    for folder, names, _ in os.walk(path):
        for name in names:
            inner = os.path.join(folder, name)
            if not stat.S_ISLNK(os.lstat(inner).st_mode):
                os.chmod(inner, 0o700)
    shutil.rmtree(path, ignore_errors=not path.exists())
