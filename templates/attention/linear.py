# --- Causal self-attention: linear ---
class CausalSelfAttention(nn.Module):
    """Linear attention: a positive feature map in place of the softmax turns attention into a recurrence.

    Every token adds one outer product to a matrix S and its key to a normaliser z; a query reads both. Tokens are
    taken in chunks: inside a chunk by a masked product, and from all chunks before by the prefix sum of their states.

    formula: S_t = S_{t-1} + phi(k_t) v_t^T;  z_t = z_{t-1} + phi(k_t);  y_t = S_t^T phi(q_t) / (z_t . phi(q_t)),
        with phi(u) = elu(u) + 1
    state: H d (d + 1), with d = C / H
    cost: O(T C d)
    order: learned position embedding
    runs on: cpu, gpu
    paper: Katharopoulos et al. 2020, Transformers are RNNs, arXiv:2006.16236
    """

    chunk = 64
    eps = 1e-6

    def __init__(self, config):
        super().__init__()
        assert config.n_embd % config.n_head == 0
        self.n_head = config.n_head
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        B, T, C = x_BTC.shape
        heads = self.c_attn(x_BTC).view(B, T, 3, self.n_head, C // self.n_head)
        q_BHTd, k_BHTd, v_BHTd = heads.permute(2, 0, 3, 1, 4)
        y_BHTd = self.read(F.elu(q_BHTd) + 1, F.elu(k_BHTd) + 1, v_BHTd)
        y_BTC = y_BHTd.transpose(1, 2).reshape(B, T, C)
        return self.resid_dropout(self.c_proj(y_BTC))

    def read(self, q_BHTd, k_BHTd, v_BHTd):
        """The normalised causal sum over values, for queries and keys that are already positive features."""
        T, pad = q_BHTd.shape[2], -q_BHTd.shape[2] % self.chunk
        # a column of ones beside the values accumulates the normaliser with the same sums
        v_BHTe = F.pad(v_BHTd, (0, 1), value=1.0)
        q, k, v = (F.pad(u, (0, 0, 0, pad)).unflatten(2, (-1, self.chunk)) for u in (q_BHTd, k_BHTd, v_BHTe))
        state_BHNde = (k.mT @ v).cumsum(2)
        # shifted, not subtracted: a subtraction would let a chunk's own tokens back in through rounding
        before_BHNde = F.pad(state_BHNde[:, :, :-1], (0, 0, 0, 0, 1, 0))
        read = (q @ k.mT).tril() @ v + q @ before_BHNde
        read_BHTe = read.flatten(2, 3)[:, :, :T]
        return read_BHTe[..., :-1] / (read_BHTe[..., -1:] + self.eps)
