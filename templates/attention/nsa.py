# --- Causal self-attention: native sparse ---
from fla.ops.nsa import parallel_nsa


class CausalSelfAttention(nn.Module):
    """Native sparse attention: block means, the blocks they point to, and a window, mixed by learned gates.

    Scores against the mean key of each whole past block are an attention of their own and also rank the blocks; each
    token then reads the best blocks token by token (always the first, its own and the one before). Heads come in
    groups of 16 that share keys, values and choice; all heads together are twice as wide as the model, FLA's ratio.
    The paper's sizes (16 blocks of 64, window 512) would cover 1024 tokens whole, so here they are smaller. Blocks run
    in FLA's kernel; the window is written out, since FLA's would need another package.

    formula: y_t = g1 att(q_t, mean keys of past blocks) + g2 att(q_t, the 8 best blocks of 32) + g3 att(q_t, last 64),
        g = sigmoid(W_g x_t) for each head, q and k rotated by their position
    state: 2 T 2 C / 16 (keys and values of all tokens, one head for each 16)
    cost: O(T C (T / 32 + 8 * 32 + 64))
    order: rotary embedding
    runs on: cpu, gpu
    paper: Yuan et al. 2025, Native Sparse Attention: Hardware-Aligned and Natively Trainable Sparse Attention,
        arXiv:2502.11089
    """

    block, n_selected, window, share = 32, 8, 64, 16

    def __init__(self, config):
        super().__init__()
        self.use_pos_emb = False
        # heads of 64 or more; a model of 1024 has 32 in two groups
        self.n_group = max(1, config.n_embd // 512)
        self.n_query = self.share * self.n_group
        self.head_dim = 2 * config.n_embd // self.n_query
        assert self.head_dim * self.n_query == 2 * config.n_embd
        assert self.head_dim % 2 == 0
        self.c_query = nn.Linear(config.n_embd, 2 * config.n_embd, bias=config.bias)
        self.c_key_value = nn.Linear(config.n_embd, 2 * self.n_group * self.head_dim, bias=config.bias)
        self.gate = nn.Linear(config.n_embd, 3 * self.n_query, bias=False)
        self.c_proj = nn.Linear(2 * config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        q_BTQd = self.rotate(self.c_query(x_BTC).unflatten(2, (self.n_query, self.head_dim)))
        k_BTGd, v_BTGd = self.c_key_value(x_BTC).unflatten(2, (2 * self.n_group, self.head_dim)).chunk(2, dim=2)
        q, k, v = q_BTQd, self.rotate(k_BTGd), v_BTGd.contiguous()
        mean_BTQ, best_BTQ, near_BTQ = torch.sigmoid(self.gate(x_BTC)).chunk(3, dim=2)
        y_BTQd = parallel_nsa(q, k, v, mean_BTQ, best_BTQ, block_counts=self.n_selected, block_size=self.block)
        y_BTQd = y_BTQd + near_BTQ[..., None] * self.slide(q, k, v)
        return self.resid_dropout(self.c_proj(y_BTQd.flatten(2)))

    def rotate(self, x_BTHd):
        """Rotary embedding: turns the pairs (i, i + d/2) by the angle t 10000^(-2i/d)."""
        T, d = x_BTHd.shape[1], x_BTHd.shape[3]
        rate_p = 10000.0 ** (-torch.arange(0, d, 2, device=x_BTHd.device, dtype=torch.float32) / d)
        angle_T1p = torch.arange(T, device=x_BTHd.device, dtype=torch.float32)[:, None, None] * rate_p
        cos_T1p, sin_T1p = angle_T1p.cos().to(x_BTHd.dtype), angle_T1p.sin().to(x_BTHd.dtype)
        left, right = x_BTHd.chunk(2, dim=-1)
        return torch.cat((left * cos_T1p - right * sin_T1p, left * sin_T1p + right * cos_T1p), dim=-1)

    def slide(self, q_BTQd, k_BTGd, v_BTGd):
        """Softmax attention over the last w tokens, by blocks: each against itself and the block before."""
        (B, T, _, d), w, G = q_BTQd.shape, self.window, self.n_group
        q, k, v = (F.pad(u, (0, 0, 0, 0, 0, -T % w)).unflatten(1, (-1, w)) for u in (q_BTQd, k_BTGd, v_BTGd))
        N = q.shape[1]
        q_BXyd = q.unflatten(3, (G, -1)).permute(0, 3, 1, 4, 2, 5).reshape(B, G * N, -1, d)
        k, v = (torch.cat((F.pad(u, (0, 0, 0, 0, 0, 0, 1, 0))[:, :-1], u), dim=2) for u in (k, v))
        k_BXud, v_BXud = (u.permute(0, 3, 1, 2, 4).flatten(1, 2) for u in (k, v))
        key_u = torch.arange(2 * w, device=q.device)
        past_wu = torch.arange(w, device=q.device)[:, None] + w - key_u
        exists_N1u = torch.arange(N, device=q.device)[:, None, None] * w + key_u >= w
        mask_Xyu = ((past_wu >= 0) & (past_wu < w) & exists_N1u).repeat(G, self.share, 1)
        y_BXyd = F.scaled_dot_product_attention(q_BXyd, k_BXud, v_BXud, attn_mask=mask_Xyu)
        y = y_BXyd.reshape(B, G, N, self.share, w, d).permute(0, 2, 4, 1, 3, 5).reshape(B, N * w, -1, d)
        return y[:, :T]
