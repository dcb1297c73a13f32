# --- Embedding: value embeddings ---
class TokenEmbedding(nn.Module):
    """Value embeddings: further token tables enter the residual stream again at early and at the last layers.

    Three tables serve layers 1 and 2 and the last three layers, each use with a learned scalar, so that late layers
    see again which token they stand on. Where a shallow model's layers coincide, the last three take precedence.

    formula: x_l = x_l + a_l E_{n(l)}[i_t] before layer l, for n(1), n(2) = 1, 2 and n(L-3), n(L-2), n(L-1) = 0, 1, 2
    state: none
    cost: O(T C) for each of five layers
    order: learned position embedding
    runs on: cpu, gpu
    paper: value embeddings of Jordan et al. 2024, modded-nanogpt, after Zhou et al. 2024, Value Residual Learning,
        arXiv:2410.17897
    parameters: 3 V C more, with V the vocabulary: the tables are the method
    """

    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        last = config.n_layer
        places = {1: 1, 2: 2, last - 3: 0, last - 2: 1, last - 1: 2}
        self.table_of_layer = {layer: table for layer, table in places.items() if 0 <= layer < last}
        self.tables = nn.ModuleList(nn.Embedding(config.vocab_size, config.n_embd) for _ in range(3))
        self.scales = nn.Parameter(torch.full((config.n_layer,), 0.5))
        self.drop = nn.Dropout(config.dropout)
        self.use_pos_emb = True

    def forward(self, idx_BT):
        self.idx_BT = idx_BT
        x_BTC = self.wte(idx_BT)
        if self.use_pos_emb:
            x_BTC = x_BTC + self.wpe(torch.arange(idx_BT.shape[1], device=idx_BT.device))
        return self.drop(x_BTC)

    def get_lm_head_weight(self):
        return self.wte.weight

    def get_value_embed(self, layer_idx):
        if layer_idx not in self.table_of_layer:
            return None
        return self.scales[layer_idx] * self.tables[self.table_of_layer[layer_idx]](self.idx_BT)

    def get_num_pos_params(self):
        return self.wpe.weight.numel()
