"""The sandbox around a run folder: what a child that runs the agent's code may see, write and use. Torch-free."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.estimates import parameters
from harness.files import remove
from harness.isolation import Confinement, choose
from harness.isolation.confinement import limits
from harness.kernel_cache import OWN, copy_for_one_process, seed, variables
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
    keeps_kernels: bool = False,
    checkpoints: int = 1,
    workers: bool = False,
    network: bool = False,
) -> Iterator[Confinement]:
    """A sandbox for as long as one child needs it; `isolation` None means the strongest that works here.

    The run folder is writable in it, and `checkpoints` are kept there. Only a check, which knows no data, keeps what
    it compiles; what a training compiled could carry weights into the next one. Raises NoIsolation.
    """
    kind = choose(isolation)
    root = folder.root.resolve()
    frozen = [path for path in (folder.source, folder.run, folder.lock) if path.exists()]
    with _temporary(folder.temporary) as temporary:
        if config.device == "cuda":
            seed(folder.kernels)
        folder.kernels.mkdir(exist_ok=True)
        if not keeps_kernels:
            copy_for_one_process(folder.kernels, temporary / OWN)
        yield Confinement(
            kind=kind,
            folder=root,
            temporary=temporary,
            readable=tuple(path.resolve() for path in readable),
            writable=(*((folder.kernels.resolve(),) if keeps_kernels else ()), root),
            frozen=tuple(path.resolve() for path in frozen),
            device=config.device,
            workers=workers,
            network=network,
            limits=limits(CHECKPOINT_BYTES * parameters(config), checkpoints),
        )


def model_sandbox(folder: RunFolder, config: RunConfig, isolation: str | None, private: Path) -> Confinement:
    """The sandbox of a model that is scored: it reads source and run config, and keeps nothing.

    Whatever it could write would tell a later training, or another process that scores, of the validation text.
    Raises NoIsolation.
    """
    return Confinement(
        kind=choose(isolation),
        folder=folder.root.absolute(),
        temporary=private,
        readable=(folder.source.absolute(), folder.run.absolute()),
        device=config.device,
        limits=limits(),
    )


def kernel_caches(folder: RunFolder, confinement: Confinement) -> dict[str, str]:
    """Where a child of this run compiles to, as environment variables: what is kept where it may write to that."""
    kept = folder.kernels.resolve()
    return variables(kept if kept in confinement.writable else confinement.temporary / OWN)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """An empty folder while inside, and none afterwards, whatever permissions the agent's code gave it."""
    remove(path)  # a parent that was killed left it
    path.mkdir()
    try:
        yield path.resolve()
    finally:
        remove(path)
