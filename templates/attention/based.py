# --- Causal self-attention: Taylor feature map and window ---
class CausalSelfAttention(nn.Module):
    """Based: linear attention with a second-order Taylor feature map for recall at any distance, plus a short window.

    The Taylor polynomial of exp is a product of features of small queries and keys (f = 16 numbers), so a recurrent
    state can hold it; it is positive but flat. A softmax over the last w tokens adds what needs sharpness. The paper
    puts the two into separate layers; here both read the same values and their readings are added.

    formula: y_t = sum_{s <= t} p(q_t . k_s) v_s / sum_{s <= t} p(q_t . k_s)
        + sum_{t-w < s <= t} softmax_s(q'_t . k'_s / sqrt(d)) v_s,  p(u) = 1 + u + u^2 / 2 of u = q . k / sqrt(f)
    state: H (1 + f + f^2) (d + 1) + 2 w C, with f = 16, w = 64, d = C / H
    cost: O(T C (w + f^2))
    order: learned position embedding
    runs on: cpu, gpu
    paper: Arora et al. 2024, Simple linear attention language models balance the recall-throughput tradeoff,
        arXiv:2402.18668
    """

    feature, window, eps = 16, 64, 1e-6

    def __init__(self, config):
        super().__init__()
        assert config.n_embd % config.n_head == 0
        self.n_head = config.n_head
        self.dropout = config.dropout
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_feature = nn.Linear(config.n_embd, 2 * config.n_head * self.feature, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        B, T, C = x_BTC.shape
        q_BHNwd, k_BHNwd, v_BHNwd = self.blocks(self.c_attn(x_BTC), 3)
        q_BHNwf, k_BHNwf = self.blocks(self.c_feature(x_BTC), 2)
        scale = self.feature**-0.25
        y_BHNwd = self.taylor(q_BHNwf * scale, k_BHNwf * scale, v_BHNwd) + self.slide(q_BHNwd, k_BHNwd, v_BHNwd)
        y_BTC = y_BHNwd.flatten(2, 3)[:, :, :T].transpose(1, 2).reshape(B, T, C)
        return self.resid_dropout(self.c_proj(y_BTC))

    def blocks(self, x_BTE, parts):
        """Cut a projection into its parts, heads and blocks of w tokens, with zeros after the last token."""
        x = F.pad(x_BTE, (0, 0, 0, -x_BTE.shape[1] % self.window))
        return x.unflatten(2, (parts, self.n_head, -1)).unflatten(1, (-1, self.window)).permute(3, 0, 4, 1, 2, 5)

    def taylor(self, q, k, v):
        """Taylor attention by blocks: polynomials of products inside a block, features and a state before it."""
        # a column of ones beside the values accumulates the normaliser with the same sums
        v = F.pad(v, (0, 1), value=1.0)
        score = q @ k.mT
        inside = (1 + score + score.square() / 2).tril() @ v
        state = (self.expand(k).mT @ v).cumsum(2)
        read = inside + self.expand(q) @ F.pad(state[:, :, :-1], (0, 0, 0, 0, 1, 0))
        return read[..., :-1] / (read[..., -1:] + self.eps)

    def expand(self, x):
        """The features [1, x, x x^T / sqrt(2)], whose products are 1 + u + u^2 / 2."""
        square = (x[..., :, None] * x[..., None, :]).flatten(-2) * 0.5**0.5
        return torch.cat((torch.ones_like(x[..., :1]), x, square), dim=-1)

    def slide(self, q, k, v):
        """Softmax attention over the last w tokens: each block against itself and the block before."""
        B, H, N, w, d = q.shape
        k, v = (torch.cat((F.pad(u, (0, 0, 0, 0, 1, 0))[:, :, :-1], u), dim=3) for u in (k, v))
        past_wu = torch.arange(w, device=q.device)[:, None] + w - torch.arange(2 * w, device=q.device)
        exists_N1u = torch.arange(N, device=q.device)[:, None, None] * w + torch.arange(2 * w, device=q.device) >= w
        mask_Xwu = ((past_wu >= 0) & (past_wu < w) & exists_N1u).repeat(H, 1, 1)
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(
            q.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2), attn_mask=mask_Xwu, dropout_p=dropout
        )
        return y.reshape(B, H, N, w, d)
