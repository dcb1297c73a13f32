# --- Embedding: untied output head ---
class TokenEmbedding(nn.Module):
    """Untied head: the logits get a matrix of their own, which starts at zero, instead of the token embedding.

    Reading and predicting a token are no longer tied to one vector, and the first prediction is exactly uniform.

    formula: x_t = E[i_t] + P[t];  logits_t = U norm(h_t), U = 0 at the start
    state: none
    cost: O(T C)
    order: learned position embedding
    runs on: cpu, gpu
    paper: the tied form it gives up is Press and Wolf 2017, Using the Output Embedding to Improve Language Models,
        arXiv:1608.05859
    parameters: V C more, with V the vocabulary: the second matrix is the method
    """

    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        # a bare parameter, since the model's initialisation redraws every nn.Linear and nn.Embedding
        self.head = nn.Parameter(torch.zeros(config.vocab_size, config.n_embd))
        self.drop = nn.Dropout(config.dropout)
        self.use_pos_emb = True

    def forward(self, idx_BT):
        x_BTC = self.wte(idx_BT)
        if self.use_pos_emb:
            x_BTC = x_BTC + self.wpe(torch.arange(idx_BT.shape[1], device=idx_BT.device))
        return self.drop(x_BTC)

    def get_lm_head_weight(self):
        return self.head

    def get_value_embed(self, layer_idx):
        return None

    def get_num_pos_params(self):
        return self.wpe.weight.numel()
