# --- Embedding: value embeddings ---
class TokenEmbedding(nn.Module):
    """Value embeddings: tables of their own bring the token into the residual stream again at early and at late layers.

    Layers 1 and 2 and the last three have a table each, scaled by a learned number, so that late layers see again which
    token they stand on. The tables start small, with a standard deviation of 0.01, and the numbers at 0.5. In a shallow
    model, where these layers coincide, there are fewer tables.

    formula: x_l = x_l + a_l E_l[i_t] before layer l, for l = 1, 2, L-3, L-2, L-1
    state: none
    cost: O(T C) for each of five layers
    order: learned position embedding
    runs on: cpu, gpu
    paper: value embeddings of modded-nanogpt, github.com/KellerJordan/modded-nanogpt/pull/209 (a table a layer) and
        pull/218 (how they start), 2026, after Zhou et al. 2024, Value Residual Learning, arXiv:2410.17897
    parameters: 5 V C more, with V the vocabulary: the tables are the method
    """

    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        last = config.n_layer
        layers = sorted({1, 2, last - 3, last - 2, last - 1} & set(range(last)))
        self.table_of_layer = {layer: table for table, layer in enumerate(layers)}
        # bare parameters, since the model's initialisation redraws every nn.Embedding
        tables = (nn.Parameter(0.01 * torch.randn(config.vocab_size, config.n_embd)) for _ in layers)
        self.tables = nn.ParameterList(tables)
        self.scales = nn.Parameter(torch.full((len(layers),), 0.5))
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
        table = self.table_of_layer[layer_idx]
        return self.scales[table] * F.embedding(self.idx_BT, self.tables[table])

    def get_num_pos_params(self):
        return self.wpe.weight.numel()
