# --- Causal self-attention: gated recurrence with outer-product state ---
from fla.layers import HGRN2Attention


class CausalSelfAttention(nn.Module):
    """HGRN2: a gated recurrence whose input gate is one minus its forget gate, widened to a matrix state.

    Heads are 128 wide, the paper's expansion, or as wide as a narrower model allows. The paper also bounds the forget
    gate from below, more in deeper layers; a layer that does not know its depth keeps the bound of the first, zero.

    formula: S_t = diag(f_t) S_{t-1} + (1 - f_t) i_t^T;  y_t = S_t^T o_t / sqrt(e);  out_t = W norm(y_t),
        f_t = sigmoid(F x_t), i_t = I x_t, o_t = swish(O x_t)
    state: C e, with heads of e = 128
    cost: O(T C e)
    order: its own, by decay
    runs on: cpu, gpu
    paper: Qin et al. 2024, HGRN2: Gated Linear RNNs with State Expansion, arXiv:2404.07904
    """

    def __init__(self, config):
        super().__init__()
        self.use_pos_emb = False
        self.mixer = HGRN2Attention(hidden_size=config.n_embd, expand_ratio=math.gcd(128, config.n_embd))
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        return self.resid_dropout(self.mixer(x_BTC)[0])
