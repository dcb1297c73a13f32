"""The plain training loop that the template's is measured against: eager PyTorch, as one writes it first.

bf16 under autocast, an fp32 residual stream, cross-entropy over all logits at once, fused AdamW. Mechanism, first
weights, data order and learning rate come from the script; the names of the weights are the script's.
"""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.fla_as_shipped import fla_as_shipped
from harness.precision import autocast


class Block(nn.Module):
    """A pre-norm transformer block around a mechanism."""

    def __init__(self, mechanism: nn.Module, width: int, bias: bool, dropout: float):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width, bias=bias), nn.LayerNorm(width, bias=bias)
        self.attn = mechanism
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(width, 4 * width, bias=bias), "c_proj": nn.Linear(4 * width, width, bias=bias)}
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTC: Tensor) -> Tensor:
        x_BTC = x_BTC + self.attn(self.ln_1(x_BTC))
        inner = functional.gelu(self.mlp["c_fc"](self.ln_2(x_BTC)))
        y_BTC: Tensor = x_BTC + self.dropout(self.mlp["c_proj"](inner))
        return y_BTC


class Model(nn.Module):
    """GPT-2 with tied embeddings: idx (B, T) -> logits (B, T, V)."""

    def __init__(self, script: ModuleType, settings: Any):
        super().__init__()
        width = settings.n_embd
        self.embedding = nn.ModuleDict(
            {"wte": nn.Embedding(settings.vocab_size, width), "wpe": nn.Embedding(settings.block_size, width)}
        )
        self.dropout = nn.Dropout(settings.dropout)
        mechanisms = [script.CausalSelfAttention(settings) for _ in range(settings.n_layer)]
        self.blocks = nn.ModuleList(Block(each, width, settings.bias, settings.dropout) for each in mechanisms)
        self.ln_f = nn.LayerNorm(width, bias=settings.bias)
        self.positions = all(getattr(each, "use_pos_emb", True) for each in mechanisms)

    def forward(self, idx_BT: Tensor) -> Tensor:
        x_BTC = self.embedding["wte"](idx_BT)
        if self.positions:
            x_BTC = x_BTC + self.embedding["wpe"](torch.arange(idx_BT.shape[1], device=idx_BT.device))
        x_BTC = self.dropout(x_BTC)
        for block in self.blocks:
            x_BTC = block(x_BTC)
        return functional.linear(self.ln_f(x_BTC), self.embedding["wte"].weight)


class ReferenceLoop:
    """A training on one device; `update` is one optimizer step."""

    def __init__(self, script: ModuleType, settings: Any):
        self.script, self.settings, self.step = script, settings, 0
        self.device = torch.device(settings.device)
        self.windows = script.TokenWindows(settings.train_files, settings.block_size, settings.seed)
        self.model = Model(script, settings)
        self.model.load_state_dict(script.build_model(settings).state_dict())
        self.model.to(self.device)
        weights = list(self.model.parameters())
        groups = [
            {"params": [weight for weight in weights if weight.dim() >= 2], "weight_decay": settings.weight_decay},
            {"params": [weight for weight in weights if weight.dim() < 2], "weight_decay": 0.0},
        ]
        betas = (settings.beta1, settings.beta2)
        cuda = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=betas, fused=cuda)
        torch.manual_seed(settings.seed)

    def update(self) -> None:
        with fla_as_shipped():  # the script's loop may have offered its kernels to this process
            self._update()

    def _update(self) -> None:
        settings = self.settings
        accumulation = settings.gradient_accumulation_steps
        for number in range(self.step * accumulation, (self.step + 1) * accumulation):
            (self._loss(number) / accumulation).backward()
        if settings.grad_clip > 0:
            nn.utils.clip_grad_norm_(self.model.parameters(), settings.grad_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.script.get_lr(self.step, settings)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1

    def logits(self, idx_BT: Tensor) -> Tensor:
        """The model's answer: (B, T) -> (B, T, V)."""
        with fla_as_shipped():
            logits_BTV: Tensor = self.model(idx_BT)
        return logits_BTV

    def _loss(self, number: int) -> Tensor:
        size = self.settings.micro_batch_size
        inputs_BT, targets_BT = self.windows.batch(number * size, size, self.device)
        with autocast(self.settings.device, self.settings.dtype):
            logits_BTV = self.model(inputs_BT)
            return functional.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten())
