"""Does the model build and learn: one step of everything that a test will do to it, at a small size."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from harness.precision import autocast
from harness.preflight.causal import BATCH
from harness.preflight.found import CheckFailed, Found
from harness.preflight.subject import Subject
from harness.scoring.loss import validation_loss, windows

SHOWN = 5
"""Names in a list before it breaks off."""


class Step:
    """A model of the subject, taken through its first step; what one check made, the next goes on with."""

    def __init__(self, subject: Subject):
        self.subject, self.settings = subject, subject.small
        self.model: Any = subject.build(self.settings)
        lazy = [name for name, weight in self.model.named_parameters() if is_lazy(weight)]
        if lazy:
            raise CheckFailed(
                f"{names(lazy)} have no size before the first forward; the optimizer has to see all weights"
            )
        self.born_with = set(self.model.state_dict())
        size = (BATCH, self.settings.block_size + 1)
        self.tokens_BT = torch.randint(self.settings.vocab_size, size, device=self.settings.device)
        self.loss: torch.Tensor

    def forward(self) -> Found:
        """Logits of the right shape, a finite loss, and no weights that come late."""
        attentions = [(number, block.attn) for number, block in enumerate(self.model.blocks) if hasattr(block, "attn")]
        stream = (BATCH, self.settings.block_size, self.settings.n_embd)
        hooks = [attention.register_forward_hook(_require_shape(number, stream)) for number, attention in attentions]
        logits, self.loss = self._ask(self.tokens_BT[:, 1:])
        for hook in hooks:
            hook.remove()
        expected = (BATCH, self.settings.block_size, self.settings.vocab_size)
        if tuple(logits.shape) != expected:
            raise CheckFailed(f"the logits have the shape {tuple(logits.shape)}; it has to be (B, T, V) = {expected}")
        if not math.isfinite(self.loss.item()):
            raise CheckFailed(f"the loss of an untrained model is {self.loss.item()}")
        self._look_for_latecomers()
        return Found(f"loss {self.loss.item():.4f}, logits {tuple(logits.shape)}", {"loss": self.loss.item()})

    def backward(self) -> Found:
        """Finite gradients; weights that get none are a warning."""
        self.loss.backward()
        found = dict(self.model.named_parameters())
        broken = [name for name, weight in found.items() if weight.grad is not None and not _finite(weight.grad)]
        if broken:
            raise CheckFailed(f"the gradient of {names(broken)} is not finite")
        idle = [name for name, weight in found.items() if weight.grad is None and ".wpe." not in name]
        norm = torch.stack([weight.grad.norm() for weight in found.values() if weight.grad is not None]).norm().item()
        warnings = (f"no gradient reaches {names(idle)}",) if idle else ()
        return Found(f"finite gradients of norm {norm:.3g}", {"gradient_norm": norm}, warnings)

    def optimize(self) -> Found:
        """One step of the script's optimizer leaves a finite loss."""
        betas = (self.settings.beta1, self.settings.beta2)
        device = torch.device(self.settings.device).type
        self.model.configure_optimizers(self.settings.weight_decay, 1e-3, betas, device).step()
        with torch.no_grad():
            after = float(self._ask(self.tokens_BT[:, 1:])[1])
        if not math.isfinite(after):
            raise CheckFailed(f"after one optimizer step the loss is {after}")
        return Found(f"loss {self.loss.item():.4f} -> {after:.4f}", {"loss_after": after})

    def reload(self) -> Found:
        """A second model with the same weights gives the same logits."""
        other = self.subject.build(self.settings)
        other.load_state_dict(self.model.state_dict())
        self.model.eval(), other.eval()
        with torch.no_grad(), autocast(self.settings.device, self.settings.dtype):
            ours, theirs = (each(self.tokens_BT[:, :-1])[0].float() for each in (self.model, other))
        gap = (ours - theirs).abs().max().item()
        if not torch.allclose(ours, theirs, rtol=1e-2, atol=1e-3):
            raise CheckFailed(
                f"a second model with the same weights gives other logits (largest difference {gap:.3g}); keep what "
                "the model needs in parameters or registered buffers, and let evaluation be deterministic"
            )
        return Found(f"a second model with these weights gives the same logits, within {gap:.1g}", {"difference": gap})

    def score(self) -> Found:
        """The scoring code can ask the model."""
        settings = self.settings
        rows = windows(self.tokens_BT.flatten().cpu().numpy(), settings.block_size)
        loss = validation_loss(self.model.eval(), rows, BATCH, settings.device, settings.dtype).loss
        return Found(f"loss {loss:.4f} by the scoring code", {"loss": loss})

    def _ask(self, targets_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with autocast(self.settings.device, self.settings.dtype):
            logits, loss = self.model(self.tokens_BT[:, :-1], targets_BT)
        return logits, loss

    def _look_for_latecomers(self) -> None:
        """Weights and buffers that forward made, and weights that no module of the model knows."""
        late = sorted(set(self.model.state_dict()) - self.born_with)
        if late:
            raise CheckFailed(
                f"forward creates {names(late)}; the optimizer and a reloaded model know only the parameters and "
                "buffers that __init__ creates"
            )
        known = {id(weight) for weight in self.model.parameters()}
        strays = [tuple(leaf.shape) for leaf in leaves(self.loss) if id(leaf) not in known]
        if strays:
            raise CheckFailed(
                f"the loss depends on weights of the shapes {names(list(map(str, strays)))} that are no parameters of "
                "the model; assign modules and parameters to attributes in __init__ (nn.ModuleList for several)"
            )


def leaves(loss: torch.Tensor) -> Iterator[torch.Tensor]:
    """The tensors that a backward pass from `loss` would give a gradient to."""
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting += [before for before, _ in node.next_functions]


def names(found: list[str]) -> str:
    """The first few, with an ellipsis where there are more."""
    return f"{', '.join(found[:SHOWN])}{' ...' if len(found) > SHOWN else ''}"


def _finite(tensor: torch.Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def _require_shape(number: int, expected: tuple[int, ...]) -> Callable[[Any, Any, Any], None]:
    """A hook for the attention of a block; it speaks before the sum in frozen code that a wrong shape would break."""

    def check(_module: Any, _inputs: Any, y: Any) -> None:
        found = tuple(y.shape) if isinstance(y, torch.Tensor) else f"a {type(y).__name__}"
        if found != expected:
            raise CheckFailed(
                f"the attention of block {number} returns {found}; it has to return (B, T, C) = {expected}"
            )

    return check
