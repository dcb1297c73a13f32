"""Builds the edited model at a tiny size and puts it through one step of everything that a test will do to it."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from harness.precision import autocast
from harness.preflight.causal import BATCH, NotCausal, check_causality
from harness.preflight.report import Check
from harness.scoring.loss import validation_loss, windows
from harness.script import load_script


class CheckFailed(Exception):
    """The model does something that a test could not use."""


def shrink(settings: Any) -> None:
    """Set the model sizes so that it builds in a moment: at most 4 layers of 2 heads of 64 channels, as in GPT-2."""
    settings.block_size = min(settings.block_size, 128)
    settings.vocab_size = min(settings.vocab_size, 256)
    settings.n_layer = min(settings.n_layer, 4)
    if settings.n_embd > 128:
        settings.n_embd, settings.n_head = 128, 2


def _require_definitions(script: ModuleType) -> None:
    """A task may bring any script to edit; only one with these definitions can be built, trained and scored here."""
    missing = [name for name in ("load_settings", "build_model", "GPT") if not hasattr(script, name)]
    if missing:
        raise CheckFailed(
            f"the task's script defines no {', '.join(missing)}, so that the harness cannot build and test its model; "
            "edits of it are guarded all the same"
        )


def _causality(model: Any, settings: Any) -> str:
    try:
        return check_causality(model, settings)
    except NotCausal as problem:
        raise CheckFailed(str(problem)) from problem


class Builds:
    """One pass over the script; each step adds to `checks`, and `current` names the step under way."""

    def __init__(self, source: Path, run: Path, causal: bool = True):
        self.source, self.run, self.causal = source, run, causal
        self.checks: list[Check] = []
        self.warnings: list[str] = []
        self.current = "imports"
        self.parameters: int | None = None

    def run_all(self) -> None:
        """Raise what the agent's code raises, or CheckFailed."""
        with self._check("imports", lambda: "the script's definitions run"):
            script = load_script(self.source)
            _require_definitions(script)
        with self._check("settings", lambda: f"learning_rate {settings.learning_rate:g}"):
            settings = script.load_settings(str(self.run))
        with self._check("builds", lambda: f"{self.parameters:,} parameters at full size"):
            self.parameters = count_at_full_size(script, settings)
            shrink(settings)
            model = script.build_model(settings).to(settings.device)
            born_with = set(model.state_dict())
        tokens_BT = torch.randint(settings.vocab_size, (BATCH, settings.block_size + 1), device=settings.device)
        with self._check("forward", lambda: f"loss {loss.item():.4f}, logits {tuple(logits.shape)}"):
            logits, loss = self._forward(model, settings, tokens_BT)
            self._look_for_latecomers(model, born_with)
        with self._check("backward", lambda: "finite gradients"):
            loss.backward()
            self._look_at_gradients(model)
        with self._check("optimizer step", lambda: f"loss {loss.item():.4f} -> {after:.4f}"):
            after = self._step(model, settings, tokens_BT)
        with self._check("reloads", lambda: "a second model with these weights gives the same logits"):
            self._reload(script, model, settings, tokens_BT)
        with self._check("scores", lambda: f"loss {score:.4f} by the scoring code"):
            rows = windows(tokens_BT.flatten().cpu().numpy(), settings.block_size)
            score = validation_loss(model.eval(), rows, BATCH, settings.device, settings.dtype).loss
        if self.causal:
            with self._check("causal", lambda: found):
                found = _causality(script.build_model(settings).to(settings.device), settings)

    @contextmanager
    def _check(self, name: str, detail: Callable[[], str]) -> Iterator[None]:
        self.current = name
        yield
        self.checks.append(Check(name, detail()))

    def _forward(self, model: Any, settings: Any, tokens_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        attentions = [(number, block.attn) for number, block in enumerate(model.blocks) if hasattr(block, "attn")]
        stream = (BATCH, settings.block_size, settings.n_embd)
        hooks = [attention.register_forward_hook(_require_shape(number, stream)) for number, attention in attentions]
        with autocast(settings.device, settings.dtype):
            logits, loss = model(tokens_BT[:, :-1], tokens_BT[:, 1:])
        for hook in hooks:
            hook.remove()
        expected = (BATCH, settings.block_size, settings.vocab_size)
        if tuple(logits.shape) != expected:
            raise CheckFailed(f"the logits have the shape {tuple(logits.shape)}; it has to be (B, T, V) = {expected}")
        if not math.isfinite(loss.item()):
            raise CheckFailed(f"the loss of an untrained model is {loss.item()}")
        return logits, loss

    def _look_for_latecomers(self, model: Any, born_with: set[str]) -> None:
        late = sorted(set(model.state_dict()) - born_with)
        if late:
            raise CheckFailed(
                f"forward creates {', '.join(late[:5])}{' ...' if len(late) > 5 else ''}; the optimizer and a reloaded "
                "model know only the parameters and buffers that __init__ creates"
            )

    def _look_at_gradients(self, model: Any) -> None:
        for name, weight in model.named_parameters():
            if weight.grad is not None and not torch.isfinite(weight.grad).all():
                raise CheckFailed(f"the gradient of {name} is not finite")
        idle = [name for name, weight in model.named_parameters() if weight.grad is None and ".wpe." not in name]
        if idle:
            self.warnings.append(f"no gradient reaches {', '.join(idle[:5])}{' ...' if len(idle) > 5 else ''}")

    def _step(self, model: Any, settings: Any, tokens_BT: torch.Tensor) -> float:
        betas = (settings.beta1, settings.beta2)
        device = torch.device(settings.device).type
        model.configure_optimizers(settings.weight_decay, 1e-3, betas, device).step()
        with torch.no_grad(), autocast(settings.device, settings.dtype):
            after = float(model(tokens_BT[:, :-1], tokens_BT[:, 1:])[1])
        if not math.isfinite(after):
            raise CheckFailed(f"after one optimizer step the loss is {after}")
        return after

    def _reload(self, script: ModuleType, model: Any, settings: Any, tokens_BT: torch.Tensor) -> None:
        other = script.build_model(settings).to(settings.device)
        other.load_state_dict(model.state_dict())
        model.eval(), other.eval()
        with torch.no_grad(), autocast(settings.device, settings.dtype):
            ours, theirs = (each(tokens_BT[:, :-1])[0].float() for each in (model, other))
        if not torch.allclose(ours, theirs, rtol=1e-2, atol=1e-3):
            gap = (ours - theirs).abs().max().item()
            raise CheckFailed(
                f"a second model with the same weights gives other logits (largest difference {gap:.3g}); keep what "
                "the model needs in parameters or registered buffers, and let evaluation be deterministic"
            )


def _require_shape(number: int, expected: tuple[int, ...]) -> Callable[[Any, Any, Any], None]:
    """A hook for the attention of a block; it speaks before the sum in frozen code that a wrong shape would break."""

    def check(_module: Any, _inputs: Any, y: Any) -> None:
        found = tuple(y.shape) if isinstance(y, torch.Tensor) else f"a {type(y).__name__}"
        if found != expected:
            raise CheckFailed(
                f"the attention of block {number} returns {found}; it has to return (B, T, C) = {expected}"
            )

    return check


def count(model: Any) -> int:
    """Parameters of a model, learned positions left out, as GPT-2's size is given."""
    return sum(weight.numel() for weight in model.parameters()) - int(model.embedding.get_num_pos_params())


def count_at_full_size(script: ModuleType, settings: Any) -> int:
    """Parameters at the profile's own size; on the meta device, which needs no memory, where the code allows it."""
    try:
        with torch.device("meta"):
            return count(script.build_model(settings))
    except Exception:  # it may compute with values, which meta tensors have none of; any other mistake comes again
        return count(script.build_model(settings))
