"""The comparison of the two training loops, at toy sizes on a CPU."""

import gc
import os
import weakref
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from harness.bench.breakdown import kind_of
from harness.bench.comparison import Request, Speed, SpeedRow
from harness.bench.loops import TemplateLoop, plain_loop, plain_loop_in_halves, settings_of, spliced
from harness.bench.throughput import compare_losses, compare_speed
from harness.fla_as_shipped import SWITCH
from harness.profiles import load_profile, resolve
from harness.run_config import RunConfig
from harness.script import define_script

TEMPLATES = Path(__file__).parents[3] / "templates"
SIZES = {"block_size": 16, "vocab_size": 64, "n_layer": 2, "n_head": 2, "n_embd": 16, "micro_batch_size": 2}
TRAINING = {"gradient_accumulation_steps": 2, "learning_rate": 1e-2, "warmup_iters": 2, "eval_iters": 2}


@pytest.fixture(autouse=True)
def _alone() -> None:
    """One thread."""
    torch.set_num_threads(1)


def request_for(mechanism: str, config: RunConfig) -> Request:
    path = TEMPLATES / "attention" / f"{mechanism}.py"
    template = str(TEMPLATES / "custom_pretrain.py")
    return Request(template=template, lines=(33, 70), mechanisms=(str(path),), config=config)


@pytest.fixture
def config() -> RunConfig:
    values = {key: str(value) for key, value in {**SIZES, **TRAINING}.items()}
    return resolve(load_profile("smoke"), seed=3, device="cpu", overridden=values)


def script_of(mechanism: str, config: RunConfig) -> ModuleType:
    request = request_for(mechanism, config)
    return define_script(spliced(request, Path(request.mechanisms[0])), f"{mechanism}.py")


@pytest.mark.parametrize(("mechanism", "positions"), [("mha", True), ("mla", False)])
def test_both_loops_learn_the_same(config: RunConfig, tmp_path: Path, mechanism: str, positions: bool) -> None:
    """In fp32 the reference, which shares no code with the template but the mechanism, comes to its losses."""
    script = script_of(mechanism, config)
    settings = settings_of(config, tmp_path)
    (np.random.default_rng(0).integers(0, 5, 4000).cumsum() % 64).astype("<u2").tofile(tmp_path / "random.bin")
    assert script.build_model(settings).embedding.use_pos_emb is positions
    row = compare_losses(mechanism, script, settings, 12)
    assert row.steps == (4, 8, 12)
    assert row.reference[2] < row.reference[0] - 0.1
    assert row.template == pytest.approx(row.reference, abs=1e-5)
    assert row.halves == pytest.approx(row.reference, abs=1e-5)


def test_halves_are_the_same_batch(config: RunConfig, tmp_path: Path) -> None:
    """Half as many windows in twice as many micro-batches of those that a plain loop takes."""
    script, settings = script_of("mha", config), settings_of(config, tmp_path)
    settings.micro_batch_size, settings.gradient_accumulation_steps = 64, 3
    found = [build(script, settings).settings for build in (plain_loop, plain_loop_in_halves)]
    assert [(each.micro_batch_size, each.gradient_accumulation_steps) for each in found] == [(32, 6), (16, 12)]


def test_a_loop_that_is_done_leaves_memory(config: RunConfig, tmp_path: Path) -> None:
    """Its weights go with it, whatever its script does about signals: the next mechanism is measured without them."""
    loop = TemplateLoop(script_of("mha", config), settings_of(config, tmp_path))
    loop.update()
    weight = weakref.ref(next(iter(loop.model.parameters())))
    del loop
    gc.collect()
    assert weight() is None


def test_a_reference_runs_on_fla_as_it_ships(config: RunConfig, tmp_path: Path) -> None:
    """Whatever another loop has offered to FLA in this process, in a step and in an answer."""
    script, found = script_of("mha", config), []

    class Attention(script.CausalSelfAttention):  # type: ignore[misc, name-defined]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found.append(os.environ.get(SWITCH))
            return super().forward(x)  # type: ignore[no-any-return]

    script.CausalSelfAttention = Attention  # type: ignore[attr-defined]
    loop = plain_loop(script, settings_of(config, tmp_path))
    loop.update()
    loop.logits(torch.zeros(1, 16, dtype=torch.long))
    assert found
    assert set(found) == {"0"}
    assert SWITCH not in os.environ


def test_a_batch_of_one_window_has_no_halves(config: RunConfig, tmp_path: Path) -> None:
    """How far two plain trainings part is left open where a micro-batch cannot be halved."""
    settings = settings_of(config, tmp_path)
    settings.micro_batch_size = 1
    assert compare_losses("mha", script_of("mha", config), settings, 3).halves is None


def test_both_loops_are_timed_in_turn(config: RunConfig, tmp_path: Path) -> None:
    """Every round gives a rate of each loop, and the ratio is that of the middle round."""
    row = compare_speed("mha", script_of("mha", config), settings_of(config, tmp_path), 1)
    rates = row.reference.tokens_per_second, row.template.tokens_per_second
    assert len(rates[0]) == len(rates[1]) > 1
    assert min(*rates[0], *rates[1]) > 0
    assert row.template.peak_memory_bytes is None


def test_the_ratio_is_that_of_rounds() -> None:
    """A machine that slows down for both loops does not change the ratio."""
    row = SpeedRow("mha", Speed((100.0, 10.0, 1.0), None), Speed((150.0, 14.0, 1.2), None))
    assert row.ratio == pytest.approx(1.4)


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("nvjet_tst_256x128_64x4_2x1_v_bz_coopA_NTN", "matrix products"),
        ("void pytorch_flash::flash_bwd_dq_dk_dv_loop_seqk_parallel_kernel<...>", "softmax attention"),
        ("void at::native::multi_tensor_apply_kernel<...FusedAdamMathFunctor...>", "optimizer"),
        ("void (anonymous namespace)::softmax_warp_forward / cunn_SoftMaxForward", "loss"),
        ("triton_red_fused__log_softmax__to_copy_nll_loss_forward_0", "loss"),
        ("triton_per_fused_native_layer_norm_0", "norms"),
        ("_norm", "norms"),
        ("_norm_gradient", "norms"),
        ("_loss", "loss"),
        ("_gelu_gradient", "GELU"),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::GeluCUDAKernelImpl>", "GELU"),
        ("void at::native::unrolled_elementwise_kernel<direct_copy_kernel_cuda>", "copies and casts"),
        ("void at::native::vectorized_elementwise_kernel<4, CUDAFunctor_add<float>>", "other element-wise"),
        ("causal_conv1d_fwd_kernel", "short convolutions"),
        ("_convolution", "short convolutions"),
        ("_convolution_gradient", "short convolutions"),
        ("_add_up", "other element-wise"),
        ("chunk_delta_rule_fwd_kernel_h_blockdim64", "mechanism"),
        ("layer_norm_gated_fwd_kernel", "mechanism"),
        ("idle", "idle"),
    ],
)
def test_kernels_are_sorted_by_what_they_do(kernel: str, kind: str) -> None:
    """A kernel's name tells its kind; whatever no pattern knows is the mechanism's."""
    assert kind_of(kernel) == kind
