# --- Causal self-attention: multi-head latent ---
class CausalSelfAttention(nn.Module):
    """Multi-head latent attention: keys and values of all heads are read out of one small latent per token.

    Only the latent and one rotary key, shared by all heads, would be cached while decoding. The rotary part is kept
    apart (decoupled) because a rotation between latent and key would stop the up-projection from being absorbed.
    Queries go through a latent too, which saves parameters. With 16 heads the ranks are the paper's 4 d and 12 d.

    formula: c_t = RMSNorm(W_c x_t) of C / 4 numbers;  k_t^h = [W_k^h c_t, rope(W_r x_t)];  v_t^h = W_v^h c_t;
        q_t^h = [W_q^h e_t, rope(W_s^h e_t)], e_t = RMSNorm(W_e x_t) of 3 C / 4 numbers;  softmax attention over these
    state: T (C / 4 + d / 2), with d = C / H
    cost: O(T^2 C)
    order: rotary embedding on d / 2 dimensions of each head
    runs on: cpu, gpu
    paper: DeepSeek-AI 2024, DeepSeek-V2, arXiv:2405.04434
    """

    def __init__(self, config):
        super().__init__()
        assert config.n_embd % config.n_head == 0
        assert config.n_embd // config.n_head % 4 == 0
        self.use_pos_emb = False
        self.n_head, self.head_dim = config.n_head, config.n_embd // config.n_head
        self.rope_dim, self.kv_rank, self.q_rank = self.head_dim // 2, config.n_embd // 4, 3 * config.n_embd // 4
        self.dropout = config.dropout
        self.q_down = nn.Linear(config.n_embd, self.q_rank, bias=config.bias)
        self.q_norm = nn.RMSNorm(self.q_rank)
        self.q_up = nn.Linear(self.q_rank, self.n_head * (self.head_dim + self.rope_dim), bias=config.bias)
        self.kv_down = nn.Linear(config.n_embd, self.kv_rank + self.rope_dim, bias=config.bias)
        self.kv_norm = nn.RMSNorm(self.kv_rank)
        self.kv_up = nn.Linear(self.kv_rank, 2 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def rotate(self, x_BHTr):
        """Rotary embedding: turns the pairs (i, i + r/2) by the angle t 10000^(-2i/r)."""
        T, r = x_BHTr.shape[-2:]
        rate_p = 10000.0 ** (-torch.arange(0, r, 2, device=x_BHTr.device, dtype=torch.float32) / r)
        angle_Tp = torch.arange(T, device=x_BHTr.device, dtype=torch.float32)[:, None] * rate_p
        cos_Tp, sin_Tp = angle_Tp.cos().to(x_BHTr.dtype), angle_Tp.sin().to(x_BHTr.dtype)
        left, right = x_BHTr.chunk(2, dim=-1)
        return torch.cat((left * cos_Tp - right * sin_Tp, left * sin_Tp + right * cos_Tp), dim=-1)

    def forward(self, x_BTC):
        B, T, C = x_BTC.shape
        q_BHTe = self.q_up(self.q_norm(self.q_down(x_BTC))).view(B, T, self.n_head, -1).transpose(1, 2)
        q_BHTd, q_BHTr = q_BHTe.split((self.head_dim, self.rope_dim), dim=-1)
        latent_BTl, k_BTr = self.kv_down(x_BTC).split((self.kv_rank, self.rope_dim), dim=-1)
        kv_BHTe = self.kv_up(self.kv_norm(latent_BTl)).view(B, T, self.n_head, -1).transpose(1, 2)
        k_BHTd, v_BHTd = kv_BHTe.chunk(2, dim=-1)
        k_BHTr = self.rotate(k_BTr[:, None]).expand(-1, self.n_head, -1, -1)
        q, k = torch.cat((q_BHTd, self.rotate(q_BHTr)), dim=-1), torch.cat((k_BHTd, k_BHTr), dim=-1)
        dropout = self.dropout if self.training else 0.0
        y_BHTd = F.scaled_dot_product_attention(q, k, v_BHTd, dropout_p=dropout, is_causal=True)
        return self.resid_dropout(self.c_proj(y_BHTd.transpose(1, 2).reshape(B, T, C)))
