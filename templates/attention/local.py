# --- Causal self-attention: sliding window ---
class CausalSelfAttention(nn.Module):
    """Sliding-window attention: every token reads the last w tokens and nothing before them.

    The sequence is cut into blocks of w, so that a window never reaches further back than the block before: each
    block of queries meets 2 w keys, and no T x T matrix is ever formed. Depth carries information further.

    formula: y_t = sum_{t-w < s <= t} softmax_s(q_t . k_s / sqrt(d)) v_s,  w = block_size / 8, at least 16
    state: 2 w C (keys and values of the window)
    cost: O(T w C)
    order: learned position embedding
    runs on: cpu, gpu
    paper: Beltagy et al. 2020, Longformer: The Long-Document Transformer, arXiv:2004.05150
    """

    def __init__(self, config):
        super().__init__()
        assert config.n_embd % config.n_head == 0
        self.n_head = config.n_head
        self.window = max(16, config.block_size // 8)
        self.dropout = config.dropout
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        B, T, C = x_BTC.shape
        heads = self.c_attn(x_BTC).view(B, T, 3, self.n_head, C // self.n_head)
        q_BHTd, k_BHTd, v_BHTd = heads.permute(2, 0, 3, 1, 4)
        y_BHTd = self.slide(q_BHTd, k_BHTd, v_BHTd)
        return self.resid_dropout(self.c_proj(y_BHTd.transpose(1, 2).reshape(B, T, C)))

    def slide(self, q_BHTd, k_BHTd, v_BHTd):
        """Softmax attention inside the window, by blocks of w queries against their own and the previous block."""
        B, H, T, d = q_BHTd.shape
        w = self.window
        q, k, v = (F.pad(u, (0, 0, 0, -T % w)).unflatten(2, (-1, w)) for u in (q_BHTd, k_BHTd, v_BHTd))
        # one block of zeros in front stands for what comes before the first; the mask hides it
        k, v = (torch.cat((F.pad(u, (0, 0, 0, 0, 1, 0))[:, :, :-1], u), dim=3) for u in (k, v))
        q_BXwd, k_BXud, v_BXud = (u.flatten(1, 2) for u in (q, k, v))
        dropout = self.dropout if self.training else 0.0
        mask_Xwu = self.window_mask(q.shape[2], q.device).repeat(H, 1, 1)
        y_BXwd = F.scaled_dot_product_attention(q_BXwd, k_BXud, v_BXud, attn_mask=mask_Xwu, dropout_p=dropout)
        return y_BXwd.reshape(B, H, -1, d)[:, :, :T]

    def window_mask(self, n_block, device):
        """Which of 2 w keys (previous block, own block) each query of each block may read: (blocks, w, 2 w)."""
        w = self.window
        past_wu = torch.arange(w, device=device)[:, None] + w - torch.arange(2 * w, device=device)
        inside_wu = (past_wu >= 0) & (past_wu < w)
        exists_N1u = torch.arange(n_block, device=device)[:, None, None] * w + torch.arange(2 * w, device=device) >= w
        return inside_wu & exists_N1u
