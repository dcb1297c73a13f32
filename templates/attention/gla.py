# --- Causal self-attention: gated linear attention ---
from fla.layers import GatedLinearAttention


class CausalSelfAttention(nn.Module):
    """Gated linear attention: the matrix state of linear attention forgets at a rate that each token sets per key row.

    The settings are those of the published baseline: one head per config.n_head, keys half as wide as the model,
    values as wide, an RMSNorm per head and a swish output gate.

    formula: S_t = diag(a_t) S_{t-1} + k_t v_t^T;  y_t = S_t^T q_t / sqrt(d_k);  out_t = W (norm(y_t) * swish(G x_t)),
        a_t = sigmoid(W_2 W_1 x_t + b)^(1/16), with W_1 of rank 16
    state: H (d / 2) d, with d = C / H
    cost: O(T C d)
    order: its own, by decay
    runs on: cpu, gpu
    paper: Yang et al. 2024, Gated Linear Attention Transformers with Hardware-Efficient Training, arXiv:2312.06635
    """

    def __init__(self, config):
        super().__init__()
        self.use_pos_emb = False
        self.mixer = GatedLinearAttention(
            hidden_size=config.n_embd, num_heads=config.n_head, expand_k=0.5, expand_v=1.0, gate_fn="swish"
        )
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        return self.resid_dropout(self.mixer(x_BTC)[0])
