# --- Embedding: hashed bigrams ---
class TokenEmbedding(nn.Module):
    """Hashed bigrams: a table looked up by the current and the previous token enters the stream before every layer.

    The pair is hashed to one of 5 V rows: both tokens times an odd number each, XOR, modulo. Pairs that collide share
    a row. The table starts at zero, and every layer scales it by a learned number that starts at 0.1.

    formula: x_l = x_l + a_l E_2[((m_1 i_t) xor (m_2 i_{t-1})) mod (5 V - 1)] before layer l;  the first token, which
        has none before it, reads the last row
    state: 1 token
    cost: O(T C) a layer
    order: learned position embedding
    runs on: cpu, gpu
    paper: bigram hash embedding of modded-nanogpt, github.com/KellerJordan/modded-nanogpt/pull/201, 2026 (whose table,
        factors and scales these are), after Svenstrup et al. 2017, Hash Embeddings for Efficient Word Representations,
        arXiv:1709.03933
    parameters: 5 V C more, with V the vocabulary: the table is the method
    """

    current_factor, previous_factor = 36313, 27191

    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        # bare parameters, since the model's initialisation redraws every nn.Embedding
        self.bigrams = nn.Parameter(torch.zeros(5 * config.vocab_size, config.n_embd))
        self.scales = nn.Parameter(torch.full((config.n_layer,), 0.1))
        self.drop = nn.Dropout(config.dropout)
        self.use_pos_emb = True

    def forward(self, idx_BT):
        self.bigram_BTC = F.embedding(self.rows(idx_BT), self.bigrams)
        x_BTC = self.wte(idx_BT)
        if self.use_pos_emb:
            x_BTC = x_BTC + self.wpe(torch.arange(idx_BT.shape[1], device=idx_BT.device))
        return self.drop(x_BTC)

    def rows(self, idx_BT):
        """The row of each position's pair of tokens: (B, T)."""
        last = len(self.bigrams) - 1
        pair = (self.current_factor * idx_BT[:, 1:]) ^ (self.previous_factor * idx_BT[:, :-1])
        return F.pad(pair % last, (1, 0), value=last)

    def get_lm_head_weight(self):
        return self.wte.weight

    def get_value_embed(self, layer_idx):
        return self.scales[layer_idx] * self.bigram_BTC

    def get_num_pos_params(self):
        return self.wpe.weight.numel()
