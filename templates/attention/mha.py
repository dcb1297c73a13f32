# --- Causal self-attention: multi-head softmax ---
class CausalSelfAttention(nn.Module):
    """Multi-head softmax attention: every token takes a weighted mean over all tokens up to itself.

    The weights are a softmax over scaled products of a query with all earlier keys, in H heads side by side.

    formula: y_t = sum_{s <= t} a_ts v_s,  a_t = softmax_s(q_t . k_s / sqrt(d)),  d = C / H
    state: 2 T C (keys and values of all tokens)
    cost: O(T^2 C)
    order: learned position embedding
    runs on: cpu, gpu
    paper: Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762
    """

    def __init__(self, config):
        super().__init__()
        assert config.n_embd % config.n_head == 0
        self.n_head = config.n_head
        self.dropout = config.dropout
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        B, T, C = x_BTC.shape
        # split: its gradient is put together in one copy, that of a view (B, T, 3, H, d) in two
        parts = self.c_attn(x_BTC).split(C, dim=2)
        q_BHTd, k_BHTd, v_BHTd = (part.view(B, T, self.n_head, C // self.n_head).transpose(1, 2) for part in parts)
        dropout = self.dropout if self.training else 0.0
        y_BHTd = F.scaled_dot_product_attention(q_BHTd, k_BHTd, v_BHTd, dropout_p=dropout, is_causal=True)
        return self.resid_dropout(self.c_proj(y_BHTd.transpose(1, 2).reshape(B, T, C)))
