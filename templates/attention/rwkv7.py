# --- Causal self-attention: RWKV-7 ---
from fla.ops.rwkv7 import chunk_rwkv7


class CausalSelfAttention(nn.Module):
    """RWKV-7 time mixing: a delta rule whose decay, removal key and learning rate are vectors set by each token.

    Every projection reads its own mixture of a token and the one before. Decay, learning rate and gate come from
    low-rank maps. The paper adds the first layer's values to those of all layers; a layer that sees only its own
    input is its own first layer, so that residual is left out. Start values depend on the channel, not on the depth.

    formula: S_t = diag(w_t) S_{t-1} - (a_t * n_t) (S_{t-1}^T n_t)^T + k_t v_t^T;
        y_t = S_t^T r_t;  out_t = W (g_t * (norm(y_t) + (r_t . (p * k_t)) v_t)),
        w_t = exp(-e^(-1/2) sigmoid(w_0 + lora(x_w))), a_t = sigmoid(a_0 + lora(x_a)), n_t = unit(k_t * m)
    state: H d^2 + C, with d = C / H
    cost: O(T C d)
    order: its own, by decay and token shift
    runs on: cpu, gpu
    paper: Peng et al. 2025, RWKV-7 "Goose" with Expressive Dynamic State Evolution, arXiv:2503.14456
    """

    max_log_decay = -math.exp(-0.5)

    def __init__(self, config):
        super().__init__()
        C, H = config.n_embd, config.n_head
        assert C % H == 0
        self.use_pos_emb = False
        self.n_head, self.head_dim = H, C // H
        channel_C = torch.arange(C) / C
        # how much of the token before each projection reads, growing towards the first channels
        powers = {"r": 0.2, "w": 0.9, "k": 0.7, "v": 0.7, "a": 0.9, "g": 0.2}
        self.shift = nn.ParameterDict({name: nn.Parameter(1 - channel_C**power) for name, power in powers.items()})
        self.r_proj, self.k_proj, self.v_proj = (nn.Linear(C, C, bias=False) for _ in range(3))
        # ranks grow with the square root of the width; in a narrow model they are at most an eighth and a fourth of it
        small, gate = (max(32, round(ratio * C**0.5 / 32) * 32) for ratio in (2.5, 5))
        small, gate = min(small, C // 8), min(gate, C // 4)
        self.w_lora = nn.Sequential(nn.Linear(C, small, bias=False), nn.Tanh(), nn.Linear(small, C, bias=False))
        self.a_lora = nn.Sequential(nn.Linear(C, small, bias=False), nn.Linear(small, C, bias=False))
        self.g_lora = nn.Sequential(nn.Linear(C, gate, bias=False), nn.Sigmoid(), nn.Linear(gate, C, bias=False))
        # biases stand apart from the linear maps, whose biases the model's initialisation sets to zero
        self.w_bias = nn.Parameter(6 * channel_C - 5.5)
        self.a_bias = nn.Parameter(torch.zeros(C))
        self.key_norm_scale, self.key_rate = nn.Parameter(torch.full((C,), 0.7)), nn.Parameter(torch.ones(C))
        self.bonus = nn.Parameter(torch.zeros(C))
        self.norm = nn.GroupNorm(H, C, eps=1e-5 * self.head_dim)
        self.c_proj = nn.Linear(C, C, bias=False)
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        before_BTC = F.pad(x_BTC, (0, 0, 1, -1))
        x = {name: torch.lerp(x_BTC, before_BTC, share_C.to(x_BTC.dtype)) for name, share_C in self.shift.items()}
        r_BTC, k_BTC, v_BTC = self.r_proj(x["r"]), self.k_proj(x["k"]), self.v_proj(x["v"])
        log_w_BTC = self.max_log_decay * torch.sigmoid(self.w_bias + self.w_lora(x["w"]))
        a_BTC = torch.sigmoid(self.a_bias + self.a_lora(x["a"]))
        n_BTHd = F.normalize(self.heads(k_BTC * self.key_norm_scale), dim=-1)
        k_BTC = k_BTC * (1 + (a_BTC - 1) * self.key_rate)
        r, w, k, v, a = (self.heads(u.to(r_BTC.dtype)) for u in (r_BTC, log_w_BTC, k_BTC, v_BTC, a_BTC))
        n = n_BTHd.to(r.dtype)
        y_BTHd, _ = chunk_rwkv7(
            r=r, w=w, k=k, v=v, a=-n, b=n * a, scale=1.0, safe_gate=True, chunk_size=64, lower_bound=self.max_log_decay
        )
        y_BTC = self.norm(y_BTHd.flatten(0, 1).flatten(1)).view_as(x_BTC)
        y_BTC = y_BTC + ((r * k * self.heads(self.bonus)).sum(-1, keepdim=True) * v).flatten(2)
        return self.resid_dropout(self.c_proj(y_BTC * self.g_lora(x["g"])))

    def heads(self, x_C):
        """Cut the last dimension into heads."""
        return x_C.unflatten(-1, (self.n_head, self.head_dim))
