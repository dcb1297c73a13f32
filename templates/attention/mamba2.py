# --- Causal self-attention: Mamba-2 ---
from fla.modules import ShortConvolution
from fla.ops.simple_gla import chunk_simple_gla


class CausalSelfAttention(nn.Module):
    """Mamba-2: a state-space layer with one decay per head, computed in its dual form as decayed linear attention.

    B plays the key and C the query, both shared by all heads; a token's step size dt scales what it writes and how
    much the state forgets. The state size is the paper's 128; the inner width is 5/4 of the model's instead of twice,
    because the paper's layer also replaces the feed-forward layer, which a block here keeps.

    formula: S_t = exp(-A_h dt_t) S_{t-1} + B_t (dt_t x_t)^T;  y_t = S_t^T C_t + D_h x_t;
        out_t = W norm(y_t * silu(z_t)), dt_t = softplus(w . u_t + c_h), [x, B, C] = silu(conv4(projection of u))
    state: 5/4 C 128 + 4 (5/4 C + 256)
    cost: O(128 T C)
    order: its own, by decay and short convolution
    runs on: cpu, gpu
    paper: Dao and Gu 2024, Transformers are SSMs, arXiv:2405.21060
    """

    state = 128

    def __init__(self, config):
        super().__init__()
        self.use_pos_emb = False
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
        b_BTHN, c_BTHN = (u[:, :, None].expand(-1, -1, self.n_head, -1).contiguous() for u in (b_BTN, c_BTN))
        write_BTHp = (x_BTHp * dt_BTH[..., None]).to(x_BTHp.dtype)
        y_BTHp, _ = chunk_simple_gla(c_BTHN, b_BTHN, write_BTHp, g=-self.log_A.exp() * dt_BTH, scale=1.0)
        y_BTI = (y_BTHp + self.D[:, None] * x_BTHp).flatten(2)
        return self.resid_dropout(self.c_proj(self.norm(y_BTI * F.silu(z_BTI))))
