# --- Causal self-attention: block-sparse ---
class CausalSelfAttention(nn.Module):
    """Block-sparse attention: a global block, a window of blocks, and a few random blocks.

    The sequence is cut into blocks of b = 32 tokens. A block of queries reads the first block (global), itself and
    the two blocks before it (window), and three further earlier blocks drawn at random for each head when the layer
    is built (they are kept in the checkpoint). The random links keep any two tokens a few layers apart.

    formula: y_t = sum_{s <= t, block(s) in A(block(t))} softmax_s(q_t . k_s / sqrt(d)) v_s,
        A(i) = {0} + {i-2, i-1, i} + R(i), R(i) three random blocks before the window
    state: 2 T C (keys and values of all tokens)
    cost: O(T w C), w = 7 b
    order: learned position embedding
    runs on: cpu, gpu
    paper: Zaheer et al. 2020, Big Bird: Transformers for Longer Sequences, arXiv:2007.14062
    """

    block, n_window, n_random = 32, 3, 3

    def __init__(self, config):
        super().__init__()
        assert config.n_embd % config.n_head == 0
        self.n_head = config.n_head
        self.dropout = config.dropout
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)
        self.register_buffer("blocks_HNA", self.draw_blocks(-(-config.block_size // self.block)))

    def draw_blocks(self, n_block):
        """The blocks that each head's query blocks read, (heads, blocks, 7); -1 where there are not enough."""
        own_N1 = torch.arange(n_block)[:, None]
        window_NW = own_N1 - torch.arange(self.n_window)
        # the global block takes a slot of its own only where the window has left it behind
        global_N1 = torch.where(own_N1 >= self.n_window, 0, -1)
        # candidates lie strictly between the global block and the window; the highest of random scores win
        free_NN = (torch.arange(n_block) > 0) & (torch.arange(n_block) <= own_N1 - self.n_window)
        score_HNN = torch.rand(self.n_head, n_block, n_block).masked_fill(~free_NN, -1.0)
        score_HNR, random_HNR = score_HNN.topk(min(self.n_random, n_block), dim=2)
        random_HNR = random_HNR.masked_fill(score_HNR < 0, -1)
        fixed_NF = torch.cat((global_N1, window_NW.clamp(min=-1)), dim=1)
        return torch.cat((fixed_NF.expand(self.n_head, -1, -1), random_HNR), dim=2)

    def forward(self, x_BTC):
        B, T, C = x_BTC.shape
        heads = self.c_attn(x_BTC).view(B, T, 3, self.n_head, C // self.n_head)
        q_BHTd, k_BHTd, v_BHTd = heads.permute(2, 0, 3, 1, 4)
        y_BHTd = self.read(q_BHTd, k_BHTd, v_BHTd)
        return self.resid_dropout(self.c_proj(y_BHTd.transpose(1, 2).reshape(B, T, C)))

    def read(self, q_BHTd, k_BHTd, v_BHTd):
        """Softmax attention of each query block over the blocks drawn for it."""
        B, H, T, d = q_BHTd.shape
        q, k, v = (
            F.pad(u, (0, 0, 0, -T % self.block)).unflatten(2, (-1, self.block)) for u in (q_BHTd, k_BHTd, v_BHTd)
        )
        N = q.shape[2]
        blocks_HNA = self.blocks_HNA[:, :N]
        head_H11 = torch.arange(H, device=q.device)[:, None, None]
        k, v = (u[:, head_H11, blocks_HNA.clamp(min=0)].flatten(3, 4) for u in (k, v))
        q_BXbd, k_BXud, v_BXud = (u.flatten(1, 2) for u in (q, k, v))
        mask_Xbu = self.block_mask(blocks_HNA).flatten(0, 1)
        dropout = self.dropout if self.training else 0.0
        y_BXbd = F.scaled_dot_product_attention(q_BXbd, k_BXud, v_BXud, attn_mask=mask_Xbu, dropout_p=dropout)
        return y_BXbd.reshape(B, H, -1, d)[:, :, :T]

    def block_mask(self, blocks_HNA):
        """Which gathered keys each query may read: (heads, blocks, queries of a block, gathered keys)."""
        within_b = torch.arange(self.block, device=blocks_HNA.device)
        key_HNu = (blocks_HNA[..., None] * self.block + within_b).flatten(2)
        query_Nb = torch.arange(blocks_HNA.shape[1], device=blocks_HNA.device)[:, None] * self.block + within_b
        return (key_HNu[:, :, None] >= 0) & (key_HNu[:, :, None] <= query_Nb[None, :, :, None])
