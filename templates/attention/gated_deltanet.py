# --- Causal self-attention: gated delta rule ---
from fla.layers import GatedDeltaNet


class CausalSelfAttention(nn.Module):
    """Gated DeltaNet: the delta rule on a state that each token may also let fade.

    The decay clears the memory at once, the delta rule corrects it at one key. Values are twice as wide as keys, as in
    the paper; keys take half the model's width, so that the layer has the 4 C^2 parameters of softmax attention.

    formula: S_t = a_t (S_{t-1} - b_t k_t (S_{t-1}^T k_t)^T) + b_t k_t v_t^T;  y_t = S_t^T q_t / sqrt(d_k);
        out_t = W (norm(y_t) * swish(G x_t)), a_t = exp(-A_h softplus(w_a . x_t + c_h)), b_t = sigmoid(w_b . x_t),
        q, k, v = silu(conv4(projection of x)), |q| = |k| = 1
    state: H (d / 2) d + 2 * 4 C, with d = C / H
    cost: O(T C d)
    order: its own, by decay and short convolution
    runs on: cpu, gpu
    limits: no training on Hopper GPUs (H100, H200) with Triton 3.4.0 to 3.7.0, where FLA refuses the backward pass (its
        issue 640) and names Triton 3.7.1 or TileLang as the way out
    paper: Yang et al. 2025, Gated Delta Networks: Improving Mamba2 with Delta Rule, arXiv:2412.06464
    """

    def __init__(self, config):
        super().__init__()
        self.use_pos_emb = False
        self.mixer = GatedDeltaNet(
            hidden_size=config.n_embd,
            num_heads=config.n_head,
            head_dim=config.n_embd // (2 * config.n_head),
            expand_v=2,
            use_gate=True,
            use_short_conv=True,
            conv_size=4,
        )
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        return self.resid_dropout(self.mixer(x_BTC)[0])
