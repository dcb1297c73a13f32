# --- Causal self-attention: gated products of delta steps ---
from fla.layers import GatedDeltaProduct


class CausalSelfAttention(nn.Module):
    """Gated DeltaProduct: several delta steps per token, so that the transition is a product of Householder matrices.

    Two steps, each with its own key, value and step size, can rotate the state where one can only reflect it; step
    sizes up to 2 allow negative eigenvalues. Keys and values take half the model's width, since each is made twice.

    formula: S_t^j = S_t^{j-1} + b_t^j k_t^j (v_t^j - S_t^{j-1 T} k_t^j)^T for j = 1, 2,  S_t^0 = a_t S_{t-1}^2;
        y_t = S_t^{2 T} q_t / sqrt(d_k);  out_t = W (norm(y_t) * swish(G x_t)), b = 2 sigmoid(w . x_t),
        a_t = exp(-A_h softplus(w_a . x_t + c_h)), q, k, v = silu(conv4(projection of x)), |q| = |k| = 1
    state: H (d / 2)^2 + 5 * 4 C / 2, with d = C / H
    cost: O(T C d)
    order: its own, by decay and short convolution
    runs on: cpu, gpu
    limits: no training on Hopper GPUs (H100, H200) with Triton 3.4.0 to 3.7.0, where FLA refuses the backward pass (its
        issue 640) and names Triton 3.7.1 or TileLang as the way out
    paper: Siems et al. 2025, DeltaProduct: Improving State-Tracking in Linear RNNs via Householder Products,
        arXiv:2502.10297
    """

    def __init__(self, config):
        super().__init__()
        self.use_pos_emb = False
        self.mixer = GatedDeltaProduct(
            hidden_size=config.n_embd,
            num_heads=config.n_head,
            head_dim=config.n_embd // (2 * config.n_head),
            expand_v=1,
            num_householder=2,
            allow_neg_eigval=True,
            use_output_gate=True,
            use_forget_gate=True,
            use_short_conv=True,
            conv_size=4,
        )
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        return self.resid_dropout(self.mixer(x_BTC)[0])
