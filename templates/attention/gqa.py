# --- Causal self-attention: grouped-query ---
class CausalSelfAttention(nn.Module):
    """Grouped-query attention: each group of query heads shares one head of keys and values.

    It lies between multi-head attention (groups of one) and multi-query attention (one group).

    formula: y_t^h = sum_{s <= t} softmax_s(q_t^h . k_s^g / sqrt(d)) v_s^g,  g = group of h,  d = C / H
    state: 2 T G d (keys and values of all tokens, G = H / 4 heads)
    cost: O(T^2 C)
    order: learned position embedding
    runs on: cpu, gpu
    paper: Ainslie et al. 2023, GQA: Training Generalized Multi-Query Transformer Models, arXiv:2305.13245
    parameters: 2 C^2 + 2 C G d = 2.5 C^2 instead of 4 C^2, since sharing heads is the point; half as many key-value
        heads as query heads would still be 7 % under.
    """

    def __init__(self, config):
        super().__init__()
        assert config.n_embd % config.n_head == 0
        self.n_head, self.head_dim = config.n_head, config.n_embd // config.n_head
        # four query heads a group, or as many as divide the heads
        self.n_group = self.n_head // math.gcd(self.n_head, 4)
        self.dropout = config.dropout
        self.c_attn = nn.Linear(config.n_embd, (self.n_head + 2 * self.n_group) * self.head_dim, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        B, T, C = x_BTC.shape
        heads_BHTd = self.c_attn(x_BTC).view(B, T, -1, self.head_dim).transpose(1, 2)
        q_BHTd, k_BGTd, v_BGTd = heads_BHTd.split((self.n_head, self.n_group, self.n_group), dim=1)
        share = self.n_head // self.n_group
        k_BHTd, v_BHTd = k_BGTd.repeat_interleave(share, dim=1), v_BGTd.repeat_interleave(share, dim=1)
        dropout = self.dropout if self.training else 0.0
        y_BHTd = F.scaled_dot_product_attention(q_BHTd, k_BHTd, v_BHTd, dropout_p=dropout, is_causal=True)
        return self.resid_dropout(self.c_proj(y_BHTd.transpose(1, 2).reshape(B, T, C)))
