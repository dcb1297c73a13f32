# --- Causal self-attention: half gated linear attention, half delta rule ---
from fla.layers import DeltaNet, GatedLinearAttention
from fla.modules import ShortConvolution


class CausalSelfAttention(nn.Module):
    """Hybrid: one half of the channels goes through gated linear attention, the other through the delta rule.

    The first forgets at learned rates, the second corrects what it holds. Both outputs side by side are gated by what
    a depthwise causal convolution of 4 sees around each token, then mixed by the output projection.

    formula: y_t = [GLA(x_{:, :C/2})_t, DeltaNet(x_{:, C/2:})_t];  out_t = W (y_t * silu(G conv4(x)_t))
    state: (H / 2) (d^2 / 2 + d^2) + 3 * 4 C / 2 + 4 C, with d = C / H
    cost: O(T C d)
    order: its own, by decay, recurrence and short convolution
    runs on: cpu, gpu
    paper: layers of Yang et al. 2024, arXiv:2312.06635 and arXiv:2406.06484; their combination is the layer of the
        best published agent on this task
    """

    def __init__(self, config):
        super().__init__()
        self.use_pos_emb = False
        half, n_head = config.n_embd // 2, max(1, config.n_head // 2)
        self.gla = GatedLinearAttention(hidden_size=half, num_heads=n_head, expand_k=0.5, expand_v=1.0)
        self.deltanet = DeltaNet(hidden_size=half, num_heads=n_head, use_beta=True, use_short_conv=True, conv_size=4)
        self.conv = ShortConvolution(config.n_embd, kernel_size=4, bias=False, activation=None)
        self.gate = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC):
        x_gla_BTK, x_delta_BTK = x_BTC.chunk(2, dim=2)
        y_BTC = torch.cat((self.gla(x_gla_BTK)[0], self.deltanet(x_delta_BTK)[0]), dim=2)
        gate_BTC = F.silu(self.gate(self.conv(x_BTC)[0]))
        return self.resid_dropout(self.c_proj(y_BTC * gate_BTC))
