"""The forward pass of the script's network with each addition to the residual stream inside the norm that reads it.

Only what still does what is said here is replaced: an edited block, and any other norm, are called as they are.
"""

from collections.abc import Sequence
from types import MethodType
from typing import Any

from torch import Tensor, nn

from harness.fused import functions

Fused = functions
"""The script's name for them: an assignment, since what is imported is called by other instructions."""
HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
"""Where a module keeps what it calls besides its forward."""


def fuse(network: Any, block: Any, norm: type) -> None:
    """Give a network the forward pass of this module, if it and its norm do what the script's do.

    `block` and `norm` are the script's classes. Blocks that do what the script's do are taken apart; others are called.
    """
    if not _says(type(network), _Network) or not _says(norm, _Norm):
        return
    known = _says(block, _Block)

    def is_plain(each: Any) -> bool:
        """Whether a block does what the script's does, with norms that do."""
        return known and _is_only(each, block) and _is_only(each.ln_1, norm) and _is_only(each.ln_2, norm)

    def forward(self: Any, idx: Tensor, targets: Tensor | None = None) -> Any:
        x, branch = Fused.in_autocast(self.embedding(idx)), None
        for layer_idx, each in enumerate(self.blocks):
            value = self.embedding.get_value_embed(layer_idx)
            if value is not None:
                x, branch = _sum(x, branch), None
                x = x + value.to(x.dtype)
            if is_plain(each):
                x, y = Fused.add_layer_norm(x, branch, each.ln_1.weight, each.ln_1.bias)
                x, branch = _postponed(x, each.attn(y))
                x, y = Fused.add_layer_norm(x, branch, each.ln_2.weight, each.ln_2.bias)
                x, branch = _postponed(x, each.mlp(y))
            else:
                x, branch = each(_sum(x, branch)), None
        if _is_only(self.ln_f, norm):
            _, x = Fused.add_layer_norm(x, branch, self.ln_f.weight, self.ln_f.bias)
        else:
            x = self.ln_f(_sum(x, branch))
        return Fused.head(x, self.embedding.get_lm_head_weight(), targets)

    network.forward = MethodType(forward, network)


def mechanisms(network: Any) -> Sequence[nn.Module]:
    """The mechanism of each block that has one under the script's name, each once."""
    found = (getattr(block, "attn", None) for block in getattr(network, "blocks", ()))
    return [each for each in dict.fromkeys(found) if isinstance(each, nn.Module)]


def _sum(x: Tensor, branch: Tensor | None) -> Tensor:
    return x if branch is None else x + branch


def _postponed(x: Tensor, branch: Any) -> tuple[Tensor, Tensor | None]:
    """x and what is still to be added to it; added at once if it is no tensor: an edit may return a number."""
    return (x, branch) if isinstance(branch, Tensor) else (x + branch, None)


def _is_only(module: Any, kind: type) -> bool:
    """Whether a module is of a class and does nothing that the class does not say."""
    if type(module) is not kind or kind.__call__ is not nn.Module.__call__:
        return False
    own = vars(module)
    return "forward" not in own and not any(own[hooks] for hooks in HOOKS)


def _instructions(function: Any) -> tuple[bytes, tuple[str, ...], tuple[str, ...]] | None:
    code = getattr(function, "__code__", None)  # which other callables have not
    return None if code is None else (code.co_code, code.co_names, code.co_varnames)


def _says(kind: Any, twin: type) -> bool:
    """Whether a class has the forward pass of another, instruction by instruction."""
    return isinstance(kind, type) and _instructions(getattr(kind, "forward", None)) == _instructions(twin.forward)  # type: ignore[attr-defined]


class _Norm:
    """What the script's LayerNorm does before anybody edits it, instruction by instruction."""

    def forward(self: Any, x: Tensor) -> Tensor:
        return Fused.layer_norm(x, self.weight, self.bias)


class _Block:
    """What the script's Block does, likewise."""

    def forward(self: Any, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        x = x + self.mlp(self.ln_2(x))
        return x  # noqa: RET504


class _Network:
    """What the script's GPT does, likewise."""

    def forward(self: Any, idx: Tensor, targets: Tensor | None = None) -> Any:
        x = Fused.in_autocast(self.embedding(idx))
        for layer_idx, block in enumerate(self.blocks):
            value = self.embedding.get_value_embed(layer_idx)
            x = block(x if value is None else x + value.to(x.dtype))
        x = self.ln_f(x)
        return Fused.head(x, self.embedding.get_lm_head_weight(), targets)
