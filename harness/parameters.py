"""How many parameters the model has with each mechanism in its place: `python -m harness.parameters FILE...`.

The whole model is built on the meta device, which allocates nothing, so that full sizes are counted in seconds.
"""

import argparse
import inspect
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from harness.docstring_facts import PARAMETERS, read_facts
from harness.fla_cpu import install
from harness.script import define_script

SIZES = ("block_size", "vocab_size", "n_layer", "n_head", "n_embd", "bias")
"""The keys of a run config that parameters depend on."""
TOLERANCE = 0.05
"""How far from the reference a mechanism may lie without a reason, as a share."""


@dataclass(frozen=True, slots=True)
class Count:
    """A mechanism's model, counted."""

    key: str
    parameters: int
    """Of the whole model, without a position embedding that is switched off."""
    ratio: float
    """To the reference."""
    within: bool
    """Whether the ratio is 1 within the tolerance."""
    reason: str | None
    """Why it is not, in the mechanism's own words; None where it states none."""


def splice(template: str, region: str, first: int, last: int) -> str:
    """The template's text with lines first to last (1-based, inclusive) replaced by the region's."""
    lines = template.splitlines(keepends=True)
    return "".join([*lines[: first - 1], region, *lines[last:]])


def count_parameters(script: ModuleType, sizes: dict[str, Any]) -> int:
    """Parameters of the script's model at some sizes; GPTConfig's defaults are those of gpt-345m."""
    with torch.device("meta"):
        model = script.GPT(script.GPTConfig(**sizes))
    unused = 0 if model.embedding.use_pos_emb else int(model.embedding.get_num_pos_params())
    return sum(int(parameter.numel()) for parameter in model.parameters()) - unused


def count(file: Path, template: str, lines: tuple[int, int], sizes: dict[str, Any], reference: float) -> Count:
    """Count one mechanism in the template's place against a reference number of parameters."""
    region = file.read_text(encoding="utf-8")
    script = define_script(splice(template, region, *lines), f"custom_pretrain_{file.stem}")
    parameters = count_parameters(script, sizes)
    docstrings = (cls.__doc__ for cls in (script.CausalSelfAttention, script.TokenEmbedding) if cls.__doc__)
    facts = [read_facts(inspect.cleandoc(docstring)) for docstring in docstrings]
    reason = next((found[PARAMETERS] for found in facts if PARAMETERS in found), None)
    ratio = parameters / reference
    return Count(file.stem, parameters, ratio, abs(ratio - 1) <= TOLERANCE, reason)


def format_table(counts: Sequence[Count], reference: float) -> str:
    """The counts as lines of text, reasons beneath those that need one."""
    rows = [f"{'mechanism':<20}{'parameters':>12}{'against ' + format(reference / 1e6, '.0f') + ' M':>16}"]
    for row in counts:
        rows.append(f"{row.key:<20}{row.parameters / 1e6:>10.1f} M{row.ratio - 1:>+16.1%}")
        if not row.within:
            rows.append(f"    {row.reason or 'no reason stated'}")
    return "\n".join(rows)


def _line_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or with --json one array of counts."""
    parser = argparse.ArgumentParser(prog="python -m harness.parameters", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="mechanisms, such as templates/attention/*.py")
    parser.add_argument("--template", type=Path, default=Path("templates/custom_pretrain.py"))
    parser.add_argument("--lines", type=_line_range, default=(33, 70), help="the region that they replace")
    parser.add_argument("--profile-json", type=Path, help="a JSON file with the model's sizes (default: gpt-345m)")
    parser.add_argument("--reference", type=float, default=355e6, help="parameters to compare with")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    profile = json.loads(options.profile_json.read_text(encoding="utf-8")) if options.profile_json else {}
    sizes = {key: profile[key] for key in SIZES if key in profile}
    template = options.template.read_text(encoding="utf-8")
    if not torch.cuda.is_available():
        install()
    counts = [count(file, template, options.lines, sizes, options.reference) for file in options.files]
    print(json.dumps([asdict(row) for row in counts]) if options.json else format_table(counts, options.reference))


if __name__ == "__main__":
    main()
