# --- Causal self-attention: multi-query ---
class CausalSelfAttention(nn.Module):
    """Multi-query attention: H query heads read one shared head of keys and values.

    The cache of keys and values, which bounds the speed of decoding, shrinks by a factor H.

    formula: y_t^h = sum_{s <= t} softmax_s(q_t^h . k_s / sqrt(d)) v_s,  d = C / H
    state: 2 T d (keys and values of all tokens, one head)
    cost: O(T^2 C)
    order: learned position embedding
    runs on: cpu, gpu
    paper: Shazeer 2019, Fast Transformer Decoding: One Write-Head is All You Need, arXiv:1911.02150
    parameters: 2 C^2 + 2 C d instead of 4 C^2, since the shared head is the point. The paper spends the difference
        on a wider feed-forward layer, which lies outside this region.
    """

    def __init__(self, config):
        super().__init__()
        assert config.n_embd % config.n_head == 0
        self.n_head, self.head_dim = config.n_head, config.n_embd // config.n_head
        self.dropout = config.dropout
        self.c_attn = nn.Linear(config.n_embd, config.n_embd + 2 * self.head_dim, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        B, T, C = x_BTC.shape
        heads_BHTd = self.c_attn(x_BTC).view(B, T, self.n_head + 2, self.head_dim).transpose(1, 2)
        q_BHTd, k_B1Td, v_B1Td = heads_BHTd.split((self.n_head, 1, 1), dim=1)
        k_BHTd, v_BHTd = k_B1Td.expand_as(q_BHTd), v_B1Td.expand_as(q_BHTd)
        dropout = self.dropout if self.training else 0.0
        y_BHTd = F.scaled_dot_product_attention(q_BHTd, k_BHTd, v_BHTd, dropout_p=dropout, is_causal=True)
        return self.resid_dropout(self.c_proj(y_BHTd.transpose(1, 2).reshape(B, T, C)))
