"""Which of FLA's functions have a CPU form: FLA module -> name in it -> "module:function" in this package."""

from __future__ import annotations

FIRST_TO_LOAD_TRITON = "fla.utils"

COVERED: dict[str, dict[str, str]] = {
    "fla.modules.norm.l2norm": {"L2NormFunction": "norms:l2_norm"},
    "fla.modules.norm.layernorm": {
        "LayerNormFunction": "norms:layer_norm",
        "LayerNormLinearFunction": "norms:layer_norm_linear",
    },
    "fla.modules.norm.layernorm_gated": {"LayerNormFn": "norms:mamba_gated_norm"},
    "fla.modules.norm.fused_norm_gate": {
        "LayerNormGatedFunction": "norms:layer_norm_gated",
        "LayerNormGatedLinearFunction": "norms:layer_norm_gated_linear",
    },
    "fla.modules.activations.ops": {
        "SigmoidFunction": "activations:sigmoid",
        "SwishFunction": "activations:swish",
        "LogSigmoidFunction": "activations:log_sigmoid",
        "ELUPlusOneFunction": "activations:elu_plus_one",
        "FastGeLUFunction": "activations:gelu",
        "GeLUFunction": "activations:biased_gelu",
        "SquaredReLUFunction": "activations:squared_relu",
        "SwiGLUFunction": "activations:swiglu",
        "SwiGLULinearFunction": "activations:swiglu_linear",
        "SigmoidGLUFunction": "activations:sigmoid_glu",
        "SigmoidGLULinearFunction": "activations:sigmoid_glu_linear",
    },
    "fla.modules.causal_conv1d.ops": {
        "CausalConv1dFunction": "convolution:causal_conv1d",
        "causal_conv1d_update": "convolution:causal_conv1d_update",
    },
    "fla.modules.rotary.ops": {"RotaryEmbeddingFunction": "rotary:rotary_embedding"},
    "fla.modules.token_shift": {"TokenShift": "rwkv7:token_shift"},
    "fla.ops.common.fused_recurrent": {"FusedRecurrentFunction": "linear_attention:fused_recurrent"},
    "fla.ops.common.fused_chunk": {"FusedChunkFunction": "linear_attention:simple_gla"},
    "fla.ops.gla.chunk": {"ChunkGLAFunction": "linear_attention:gla"},
    "fla.ops.simple_gla.chunk": {"ChunkSimpleGLAFunction": "linear_attention:simple_gla"},
    "fla.ops.simple_gla.parallel": {"ParallelSimpleGLAFunction": "linear_attention:parallel_simple_gla"},
    "fla.ops.linear_attn.utils": {"StatefulNormalizeFunction": "linear_attention:normalize"},
    # chunk_delta_rule and chunk_gated_delta_product refuse float32 before they reach their autograd function.
    "fla.ops.delta_rule.chunk": {
        "ChunkDeltaRuleFunction": "delta_rules:delta_rule",
        "chunk_delta_rule": "delta_rules:delta_rule",
    },
    "fla.ops.delta_rule.fused_recurrent": {"FusedRecurrentFunction": "delta_rules:delta_rule"},
    "fla.ops.gated_delta_rule.chunk": {"ChunkGatedDeltaRuleFunction": "delta_rules:gated_delta_rule"},
    "fla.ops.gated_delta_rule.fused_recurrent": {"FusedRecurrentFunction": "delta_rules:fused_recurrent"},
    "fla.ops.gated_delta_product.chunk": {
        "ChunkGatedDeltaProductFunction": "delta_rules:gated_delta_product",
        "chunk_gated_delta_product": "delta_rules:gated_delta_product",
    },
    "fla.ops.generalized_delta_rule.dplr.chunk": {"ChunkDPLRDeltaRuleFunction": "delta_rules:dplr"},
    "fla.ops.generalized_delta_rule.dplr.fused_recurrent": {"FusedRecurrentDPLRDeltaRuleFunction": "delta_rules:dplr"},
    "fla.ops.rwkv7.fused_recurrent": {"fused_recurrent_rwkv7_fwd": "rwkv7:recurrence"},
    "fla.ops.rwkv7.fused_addcmul": {"Rwkv7FusedAddcmul": "rwkv7:mix_shifted"},
    "fla.ops.rwkv7.fused_k_update": {"KUpdateFunction": "rwkv7:update_key"},
    "fla.ops.rwkv7.gate_output_correction": {"GateOutputCorrection": "rwkv7:gate_output"},
    "fla.ops.kda.chunk": {"ChunkKDAFunction": "kda:kimi_delta_attention"},
    "fla.ops.kda.fused_recurrent": {"fused_recurrent_kda": "kda:kimi_delta_attention"},
    "fla.ops.utils.pooling": {"MeanPoolingFunction": "nsa:mean_pooling"},
    "fla.ops.nsa.parallel": {"parallel_nsa": "nsa:native_sparse_attention"},
    "fla.ops.hgrn.chunk": {"ChunkHGRNFunction": "hgrn:hgrn"},
    "fla.ops.hgrn.fused_recurrent": {"FusedRecurrentHGRNFunction": "hgrn:hgrn"},
    "fla.layers.mamba2": {"Mamba2.torch_forward": "mamba2:torch_forward"},
}

# Options that choose how fast an FLA kernel is or how much memory it needs, never what it returns.
SPEED_OPTIONS = frozenset(
    {
        "chunk_size",
        "chunk_indices",
        "checkpoint_level",
        "cu_seqlens_cpu",
        "disable_recompute",
        "safe_gate",
    }
)
