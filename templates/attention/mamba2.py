# --- Causal self-attention: Mamba-2 ---
from fla.modules import ShortConvolution


class CausalSelfAttention(nn.Module):
    """Mamba-2: a state-space layer with one decay per head, computed in its dual form as decayed linear attention.

    B plays the key and C the query, both shared by all heads; a token's step size dt scales what it writes and how
    much the state forgets. The state size is the paper's 128, or half the width of a narrow model; the inner width is
    5/4 of the model's instead of twice, because the paper's layer also replaces the feed-forward layer, which a block
    here keeps. Inside chunks of 64 the dual form is a masked product; between chunks the state moves on one chunk at a
    time.

    formula: S_t = exp(-A_h dt_t) S_{t-1} + B_t (dt_t x_t)^T;  y_t = S_t^T C_t + D_h x_t;
        out_t = W norm(y_t * silu(z_t)), dt_t = softplus(w . u_t + c_h), [x, B, C] = silu(conv4(projection of u))
    state: 5/4 C N + 4 (5/4 C + 2 N), N = 128 or C / 2, the smaller
    cost: O(N T C)
    order: its own, by decay and short convolution
    runs on: cpu, gpu
    paper: Dao and Gu 2024, Transformers are SSMs, arXiv:2405.21060
    """

    widest, chunk = 128, 64

    def __init__(self, config):
        super().__init__()
        self.use_pos_emb = False
        self.state = min(self.widest, config.n_embd // 2)
        self.n_head, self.head_dim = config.n_head, 5 * config.n_embd // (4 * config.n_head)
        self.inner = self.n_head * self.head_dim
        self.c_in = nn.Linear(config.n_embd, 2 * self.inner + 2 * self.state + self.n_head, bias=config.bias)
        self.conv = ShortConvolution(self.inner + 2 * self.state, kernel_size=4, bias=True, activation="silu")
        self.log_A = nn.Parameter(torch.empty(self.n_head).uniform_(1, 16).log())
        # softplus(dt_bias) lies between 0.001 and 0.1, evenly on a logarithmic scale
        dt_H = torch.empty(self.n_head).uniform_(math.log(0.001), math.log(0.1)).exp()
        self.dt_bias = nn.Parameter(dt_H + torch.log(-torch.expm1(-dt_H)))
        self.D = nn.Parameter(torch.ones(self.n_head))
        self.norm = nn.RMSNorm(self.inner, eps=1e-5)
        self.c_proj = nn.Linear(self.inner, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        z_BTI, xbc_BTE, dt_BTH = self.c_in(x_BTC).split((self.inner, self.inner + 2 * self.state, self.n_head), dim=2)
        xbc_BTE, _ = self.conv(xbc_BTE)
        x_BTI, b_BTN, c_BTN = xbc_BTE.split((self.inner, self.state, self.state), dim=2)
        x_BTHp = x_BTI.unflatten(2, (self.n_head, self.head_dim))
        dt_BTH = F.softplus(dt_BTH.float() + self.dt_bias)
        y_BTHp = self.scan(c_BTN, b_BTN, x_BTHp * dt_BTH[..., None], -self.log_A.exp() * dt_BTH)
        y_BTI = (y_BTHp + self.D[:, None] * x_BTHp).flatten(2)
        return self.resid_dropout(self.c_proj(self.norm(y_BTI * F.silu(z_BTI))))

    def scan(self, c_BTN, b_BTN, x_BTHp, log_decay_BTH):
        """S_t = exp(log_decay_t) S_{t-1} + b_t x_t^T and y_t = S_t^T c_t, in chunks; c and b serve all heads."""
        T = x_BTHp.shape[1]
        c, b, x, log_decay = (
            F.pad(u.flatten(2), (0, 0, 0, -T % self.chunk)).unflatten(1, (-1, self.chunk))
            for u in (c_BTN, b_BTN, x_BTHp, log_decay_BTH)
        )
        x_BKHsp = x.unflatten(3, (self.n_head, -1)).transpose(2, 3)
        sum_BKHs = log_decay.float().transpose(2, 3).cumsum(3)
        later_ss = torch.ones(self.chunk, self.chunk, dtype=torch.bool, device=x.device).triu(1)
        # differences of sums before the exponential: the factored form would overflow
        decay_BKHss = (sum_BKHs[..., :, None] - sum_BKHs[..., None, :]).masked_fill(later_ss, -math.inf).exp()
        inside_BKHsp = ((c @ b.mT)[:, :, None] * decay_BKHss) @ x_BKHsp
        to_end_BKHs = (sum_BKHs[..., -1:] - sum_BKHs).exp()
        added_BKHNp = b.mT[:, :, None] @ (x_BKHsp * to_end_BKHs[..., None])
        chunk_decay_BKH11 = sum_BKHs[..., -1:, None].exp()
        state_BHNp, before = torch.zeros_like(added_BKHNp[:, 0]), []
        for added_BHNp, chunk_decay_BH11 in zip(added_BKHNp.unbind(1), chunk_decay_BKH11.unbind(1), strict=True):
            before.append(state_BHNp)
            state_BHNp = chunk_decay_BH11 * state_BHNp + added_BHNp
        outside_BKHsp = sum_BKHs.exp()[..., None] * (c[:, :, None] @ torch.stack(before, dim=1).to(c.dtype))
        return (inside_BKHsp + outside_BKHsp).transpose(2, 3).flatten(1, 2)[:, :T]
