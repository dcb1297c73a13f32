# --- Causal self-attention: multi-scale retention ---
from fla.layers import MultiScaleRetention


class CausalSelfAttention(nn.Module):
    """Retention: linear attention with rotary positions whose state decays at a rate fixed for each head.

    The rates form a ladder over the heads, so that each sees its own time scale. The settings are those of the
    published baseline: one head per config.n_head, keys and values as wide as the model, a swish output gate.

    formula: S_t = g_h S_{t-1} + k_t v_t^T;  y_t = S_t^T q_t / sqrt(d);  out_t = W (norm(y_t) * swish(G x_t)),
        g_h = 1 - 2^(-5-h), q_t and k_t rotated by their position
    state: H d^2, with d = C / H
    cost: O(T C d)
    order: its own, by decay and rotary embedding
    runs on: cpu, gpu
    paper: Sun et al. 2023, Retentive Network: A Successor to Transformer, arXiv:2307.08621
    parameters: 5 C^2 instead of 4 C^2: the output gate adds a square matrix, and the published baseline does not
        narrow the values to pay for it.
    """

    def __init__(self, config):
        super().__init__()
        self.use_pos_emb = False
        self.mixer = MultiScaleRetention(
            hidden_size=config.n_embd, num_heads=config.n_head, expand_k=1.0, expand_v=1.0, gate_fn="swish"
        )
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        return self.resid_dropout(self.mixer(x_BTC)[0])
