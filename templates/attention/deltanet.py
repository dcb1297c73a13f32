# --- Causal self-attention: delta rule ---
from fla.layers import DeltaNet


class CausalSelfAttention(nn.Module):
    """DeltaNet: a matrix state that corrects what it holds under a key instead of only adding to it.

    One step of gradient descent on |S^T k_t - v_t|^2 / 2 with a step size that each token sets. The settings are those
    of the published baseline: one head per config.n_head, beta, short convolutions of 4, silu, and unit-length q and k.

    formula: S_t = S_{t-1} + b_t k_t (v_t - S_{t-1}^T k_t)^T;  y_t = S_t^T q_t / sqrt(d);  out_t = W norm(y_t),
        b_t = sigmoid(w . x_t), q, k, v = silu(conv4(projection of x)), |q| = |k| = 1
    state: H d^2 + 3 * 4 C, with d = C / H
    cost: O(T C d)
    order: its own, by recurrence and short convolution
    runs on: cpu, gpu
    paper: Yang et al. 2024, Parallelizing Linear Transformers with the Delta Rule over Sequence Length,
        arXiv:2406.06484
    """

    def __init__(self, config):
        super().__init__()
        self.use_pos_emb = False
        self.mixer = DeltaNet(
            hidden_size=config.n_embd,
            num_heads=config.n_head,
            use_beta=True,
            use_short_conv=True,
            conv_size=4,
            qk_activation="silu",
            qk_norm="l2",
        )
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        return self.resid_dropout(self.mixer(x_BTC)[0])
