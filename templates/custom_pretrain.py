"""GPT-2 pretraining in one file. Run: `python custom_pretrain.py run.json`, or the same under torchrun.
Only the task's regions may be edited. What it prints is progress; the score comes from another process."""
import contextlib
import json
import math
import os
import signal
import sys
import time
from dataclasses import dataclass, fields
from types import SimpleNamespace
import numpy as np
import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn import functional as F


# ── The model: pre-norm blocks over a residual stream; B sequences of T tokens, C channels ─────────────


class LayerNorm(nn.Module):
    """Layer normalization whose bias can be left out."""

    def __init__(self, width, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    def forward(self, x):
        return Fused.layer_norm(x, self.weight, self.bias)

# ── Attention: the only part of a block that mixes positions ───────────────────────────────────────────
class CausalSelfAttention(nn.Module):
    """Multi-head softmax attention: o_t = sum_{s<=t} softmax_s(q_t . k_s / sqrt(D)) v_s, for each head.

    A replacement keeps the interface, (B, T, C) -> (B, T, C), and lets no position see a later one.
    Set self.use_pos_emb = False in one that encodes order itself: the learned positions are then left out.

    Work grows with T squared, for every pair of positions meets once; a recurrence with a state of fixed
    size needs work in proportion to T.

    Reference: Vaswani et al., Attention Is All You Need, 2017.
    """

    def __init__(self, config):
        super().__init__()
        if config.n_embd % config.n_head:
            raise ValueError(f"n_embd={config.n_embd} is not a multiple of n_head={config.n_head}")
        self.n_head = config.n_head
        self.n_embd = config.n_embd
        self.dropout = config.dropout
        self.use_pos_emb = True
        # one matrix for queries, keys and values; c_proj is where the heads meet again
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def split_heads(self, x):
        """(B, T, C) -> (B, H, T, D) with H heads of D = C / H channels."""
        B, T, C = x.shape
        return x.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (self.split_heads(part) for part in self.c_attn(x).split(self.n_embd, dim=2))
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)  # (B, H, T, D)
        y = y.transpose(1, 2).reshape(B, T, C)
        return self.resid_dropout(self.c_proj(y))


class MLP(nn.Module):
    """Two linear maps with a GELU between, four times as wide inside; acts on each position alone."""

    def __init__(self, config):
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        x = self.c_fc(x)  # (B, T, C) -> (B, T, 4C)
        x = Fused.gelu(x)
        x = self.c_proj(x)
        return self.dropout(x)

# ── Block: how attention and MLP act on the residual stream ────────────────────────────────────────────
class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln_1 = LayerNorm(config.n_embd, config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = LayerNorm(config.n_embd, config.bias)
        self.mlp = MLP(config)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        x = x + self.mlp(self.ln_2(x))
        return x


@dataclass
class GPTConfig:
    """The sizes of a model; the defaults are those of GPT-2 Medium."""
    block_size: int = 1024  # tokens in a training window
    vocab_size: int = 50304  # rows of the token embedding
    n_layer: int = 24
    n_head: int = 16
    n_embd: int = 1024  # channels of the residual stream
    dropout: float = 0.0
    bias: bool = False  # in the linear maps and the norms


# ── Embedding: tokens in, and the matrix that turns the last residual stream into logits ───────────────
class TokenEmbedding(nn.Module):
    """Token plus learned position embedding; the output head shares the token matrix."""

    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.drop = nn.Dropout(config.dropout)
        self.use_pos_emb = True  # GPT turns it off for an attention that encodes order itself

    def forward(self, idx):
        x = self.wte(idx)  # (B, T) -> (B, T, C)
        if self.use_pos_emb:
            x = x + self.wpe(torch.arange(idx.shape[1], device=idx.device))
        return self.drop(x)

    def get_lm_head_weight(self):
        return self.wte.weight  # (vocab_size, C)

    def get_value_embed(self, layer_idx):
        """What block layer_idx gets on top of the residual stream: (B, T, C) or None."""
        return None

    def get_num_pos_params(self):
        return self.wpe.weight.numel()  # left out of the reported number of parameters


class GPT(nn.Module):
    """The language model: embedding, blocks, a last norm, and logits through the embedding's output matrix."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = LayerNorm(config.n_embd, config.bias)
        self.embedding.use_pos_emb = all(getattr(block.attn, "use_pos_emb", True) for block in self.blocks)
        self.apply(self.init_weights)
        for name, weight in self.named_parameters():
            if name.endswith("c_proj.weight"):  # two of them a block add to the stream: keep its variance
                nn.init.normal_(weight, mean=0.0, std=0.02 / math.sqrt(2 * config.n_layer))

    def init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, idx, targets=None):
        x = Fused.in_autocast(self.embedding(idx))  # the residual stream, (B, T, C)
        for layer_idx, block in enumerate(self.blocks):
            value = self.embedding.get_value_embed(layer_idx)
            x = block(x if value is None else x + value.to(x.dtype))
        x = self.ln_f(x)
        return Fused.head(x, self.embedding.get_lm_head_weight(), targets)

    def configure_optimizers(self, weight_decay, learning_rate, betas, device_type):
        """AdamW whose weight decay acts on matrices alone, not on gains, biases and other vectors.

        A weight that the optimizer never sees a gradient for (positions that are switched off) is left as
        it was. On CUDA the update of all weights is one fused kernel.
        """
        matrices, vectors = [], []
        for weight in self.parameters():
            if not weight.requires_grad:
                continue
            group = matrices if weight.dim() >= 2 else vectors
            group.append(weight)

        groups = [
            {"params": matrices, "weight_decay": weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=device_type == "cuda")


def get_lr(step, settings):
    """The learning rate of a step: linear warm-up, half a cosine down to min_lr, then min_lr."""
    if step < settings.warmup_iters:
        return settings.learning_rate * (step + 1) / (settings.warmup_iters + 1)
    if step >= settings.lr_decay_iters:
        return settings.min_lr
    decay_steps = settings.lr_decay_iters - settings.warmup_iters
    progress = (step - settings.warmup_iters) / decay_steps
    share = 0.5 * (1.0 + math.cos(math.pi * progress))  # from 1 down to 0
    return settings.min_lr + share * (settings.learning_rate - settings.min_lr)


def build_model(settings):
    """The model that the settings describe, on the CPU, its weights drawn from the seed."""
    torch.manual_seed(settings.seed)
    return GPT(GPTConfig(**{field.name: getattr(settings, field.name) for field in fields(GPTConfig)}))


class TokenWindows:
    """Windows of block_size + 1 tokens over memory-mapped uint16 files, in a seeded order, each once an epoch.

    Window n is the same on any number of GPUs and after any interruption: the step is the data position."""

    def __init__(self, files, block_size, seed):
        self.block_size = block_size
        self.tokens = [np.memmap(file, dtype=np.uint16, mode="r") for file in files]
        self.ends = np.cumsum([(len(tokens) - 1) // block_size for tokens in self.tokens])
        self.count = int(self.ends[-1])
        if self.count < 1:
            raise ValueError(f"{files} hold no window of {block_size + 1} tokens")
        self.stride = max(1, round(self.count * 0.6180339887))  # the golden section spreads neighbours far apart
        while math.gcd(self.stride, self.count) > 1:
            self.stride += 1
        self.start = int(np.random.default_rng(seed).integers(self.count))

    def batch(self, first, size, device):
        """Windows first, ..., first + size - 1 as inputs (size, T) and, one token on, targets (size, T)."""
        places = (self.start + np.arange(first, first + size, dtype=object) * self.stride) % self.count
        windows = torch.from_numpy(np.stack([self.window(int(place)) for place in places]).astype(np.int64))
        windows = windows.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else windows
        return windows[:, :-1], windows[:, 1:]

    def window(self, place):
        """The tokens at one place of the files, and the one that follows: (T + 1,)."""
        file = int(np.searchsorted(self.ends, place, side="right"))
        first = (place - (int(self.ends[file - 1]) if file else 0)) * self.block_size
        return self.tokens[file][first : first + self.block_size + 1]


def load_settings(path):
    """The run config at `path` (harness/run_config.py says what each key means), with CONFIG_OVERRIDES on top."""
    with open(path, encoding="utf-8") as file:
        settings = json.load(file)

    # CONFIG_OVERRIDES: training settings that suit your method, as one literal dictionary. Allowed keys:
    # learning_rate, min_lr, warmup_iters, weight_decay, grad_clip. Example: {"learning_rate": 6e-4}
    CONFIG_OVERRIDES = {}

    return SimpleNamespace(**{**settings, **CONFIG_OVERRIDES})


class Fused:
    """Element-wise work of the frozen parts in plain torch; on CUDA, linbench's kernels for it move fewer bytes."""
    gelu = F.gelu

    def in_autocast(x):
        return x.to(torch.get_autocast_dtype(x.device.type)) if torch.is_autocast_enabled(x.device.type) else x

    def layer_norm(x, weight, bias):  # cast once: each of the matrix products that read it would do so
        return Fused.in_autocast(F.layer_norm(x, weight.shape, weight, bias, 1e-5))

    def head(x, weight, targets):  # the kernels turn a training's logits into their gradient, and give None
        logits = F.linear(x, weight)
        return logits, None if targets is None else F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def use_kernels(model):
        with contextlib.suppress(ImportError):  # without linbench, or Triton, the plain functions serve
            from harness import fused
            fused.install(Fused, model, Block, LayerNorm)

class Workers:
    """The processes that share a run: this one alone, or under torchrun one a GPU (gloo carries CPU runs)."""

    def __init__(self, settings):
        self.rank, self.count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.device = torch.device(settings.device)
        if self.device.type == "cuda":
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(self.device)
        if settings.gradient_accumulation_steps % self.count:
            raise ValueError(f"{self.count} workers cannot share {settings.gradient_accumulation_steps} micro-batches")
        if self.count > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    def share(self, model, sample_loss):
        """The model with its gradients averaged over the workers; weights that get none are left out."""
        if self.count == 1:
            return model
        sample_loss(model).backward()
        for weight in model.parameters():
            weight.requires_grad_(weight.grad is not None)
        model.zero_grad(set_to_none=True)
        return nn.parallel.DistributedDataParallel(model, [self.device] if self.device.type == "cuda" else None)

    def sum(self, *values):
        if self.count == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()


class Training:
    """One run from its first step, or from its checkpoint, to its last."""

    def __init__(self, settings):
        self.settings, self.workers = settings, Workers(settings)
        self.device = self.workers.device
        torch.set_float32_matmul_precision("high")
        self.windows = TokenWindows(settings.train_files, settings.block_size, settings.seed)
        self.dev_windows = TokenWindows(settings.dev_files, settings.block_size, 0)
        self.model = build_model(settings).to(self.device)
        if self.device.type == "cuda":
            Fused.use_kernels(self.model)
        self.network = self.workers.share(self.model, lambda model: self.loss(model, self.windows, 0))
        decay, betas = settings.weight_decay, (settings.beta1, settings.beta2)
        self.optimizer = self.model.configure_optimizers(decay, settings.learning_rate, betas, self.device.type)
        torch.manual_seed(settings.seed + self.workers.rank)
        self.step, self.seconds, self.loss_sum, self.loss_count = 0, 0.0, 0.0, 0
        self.lines, self.stopping = [], False
        self.tokens_per_step = settings.block_size * settings.micro_batch_size * settings.gradient_accumulation_steps
        if os.path.exists(settings.checkpoint_file):
            self.load()
        if self.workers.rank == 0:
            with open(settings.metrics_file, "w", encoding="utf-8") as file:
                file.writelines(self.lines)  # a resumed run begins with those that its checkpoint kept
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopping", True))

    def save(self):
        """Write the checkpoint, whole or not at all: weights and optimizer once, the random state of every worker."""
        mine = {"cpu": torch.get_rng_state(), "loss_sum": float(self.loss_sum), "loss_count": self.loss_count}
        mine["cuda"] = torch.cuda.get_rng_state() if self.device.type == "cuda" else None
        workers = [mine] * self.workers.count
        if self.workers.count > 1:
            dist.all_gather_object(workers, mine)
        if self.workers.rank == 0:
            weights = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
            progress = {"step": self.step, "seconds": self.seconds, "workers": workers, "lines": self.lines}
            with open(self.settings.checkpoint_file + ".part", "wb") as file:
                torch.save({**weights, **progress}, file)
                os.fsync(file.fileno())
            os.replace(self.settings.checkpoint_file + ".part", self.settings.checkpoint_file)
            print(f"CHECKPOINT: step={self.step}", flush=True)

    def load(self):
        try:
            checkpoint = torch.load(self.settings.checkpoint_file, map_location="cpu", weights_only=True)
        except Exception as error:  # a disk cut it short; it costs time alone, for the run repeats itself exactly
            return print(f"The checkpoint cannot be read, and the run begins again: {error}", flush=True)
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.step, self.seconds, self.lines = (checkpoint[key] for key in ("step", "seconds", "lines"))
        mine = checkpoint["workers"][self.workers.rank]
        self.loss_sum, self.loss_count = mine["loss_sum"], mine["loss_count"]
        torch.set_rng_state(mine["cpu"])
        if mine["cuda"] is not None:
            torch.cuda.set_rng_state(mine["cuda"])

    def loss(self, model, windows, number):
        """Mean cross-entropy of micro-batch `number`, under bf16 autocast where the settings ask for it."""
        size = self.settings.micro_batch_size
        inputs, targets = windows.batch(number * size, size, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.dtype == "bfloat16"):
            return model(inputs, targets)[1]

    def update(self):
        """One optimizer step over gradient_accumulation_steps micro-batches, shared out among the workers."""
        micro_batches = self.settings.gradient_accumulation_steps
        mine = range(self.workers.rank, micro_batches, self.workers.count)
        for number in mine:
            alone = self.workers.count == 1 or number == mine[-1]
            with contextlib.nullcontext() if alone else self.network.no_sync():
                loss = self.loss(self.network, self.windows, self.step * micro_batches + number) / len(mine)
                loss.backward()
            self.loss_sum = self.loss_sum + loss.detach()
        self.loss_count += 1
        if self.settings.grad_clip > 0:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.grad_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = get_lr(self.step, self.settings)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1

    def evaluate(self):
        """Append the mean training loss since the last evaluation, and the loss on held-out training text."""
        train_loss, train_count = self.workers.sum(float(self.loss_sum), self.loss_count)
        self.loss_sum, self.loss_count = 0.0, 0
        self.model.eval()
        with torch.no_grad():
            mine = range(self.workers.rank, self.settings.eval_iters, self.workers.count)
            losses = [self.loss(self.model, self.dev_windows, number).item() for number in mine]
        self.model.train()
        val_loss, val_count = self.workers.sum(sum(losses), len(losses))
        if self.workers.rank == 0:
            losses = {"train_loss": train_loss / train_count, "val_loss": val_loss / val_count}
            work = {"tokens": self.step * self.tokens_per_step, "tokens_per_second": self.speed}
            work["peak_memory_bytes"] = torch.cuda.max_memory_allocated() if self.device.type == "cuda" else None
            self.lines.append(json.dumps({"step": self.step, **losses, "seconds": self.seconds, **work}) + "\n")
            with open(self.settings.metrics_file, "a", encoding="utf-8") as file:
                file.write(self.lines[-1])
            shown = ", ".join(f"{name}={loss:.4f}" for name, loss in losses.items())
            print(f"TRAIN_METRICS: step={self.step}, {shown}", flush=True)

    def report(self):
        """Print progress and end a run whose loss is no longer a number; asking for the loss waits for the GPU."""
        loss, now = float(self.loss_sum) / self.loss_count, time.perf_counter()
        if not math.isfinite(loss):
            raise FloatingPointError(f"the training loss became {loss} by step {self.step}")
        self.speed = (self.step - self.lap_step) * self.tokens_per_step / (now - self.lap_start)
        self.seconds += now - self.lap_start
        if self.workers.rank == 0:
            print(f"PROGRESS: step={self.step}, loss={loss:.4f}, tokens_per_second={self.speed:.0f}", flush=True)

    def run(self):
        """Train to the last step; SIGTERM saves and ends early, and the same command then goes on from there."""
        settings, first_step, self.lap_step, self.lap_start = self.settings, self.step, self.step, time.perf_counter()
        while self.step < settings.max_iters:
            self.update()
            last, stopping = self.step == settings.max_iters, self.stopping and self.workers.count == 1
            evaluating = last or self.step % settings.eval_interval == 0
            if evaluating or self.step == first_step + 1 or self.step % settings.log_interval == 0:
                self.report()
                stopping = self.workers.sum(self.stopping)[0] > 0  # several have to agree, and do so when they report
                if evaluating:
                    self.evaluate()
                self.lap_step, self.lap_start = self.step, time.perf_counter()
            if last or stopping or self.step % settings.checkpoint_interval == 0:
                self.save()
            if stopping and not last:
                sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    Training(load_settings(sys.argv[1])).run()
    if dist.is_initialized():
        dist.destroy_process_group()
