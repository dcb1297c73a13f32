"""The library of mechanisms, read from docstrings."""

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.errors import TaskError
from sandbox.mechanisms import list_mechanisms, parse_mechanism

TEMPLATES = Path(__file__).parents[2] / "templates"

TOY = '''
class Helper: ...


class CausalSelfAttention(nn.Module):
    """Toy: passes its input on.

    It mixes nothing: the output is the input.

    formula: y_t = x_t,
        for every t
    state: none
    cost: O(1)
    order: none
    runs on: cpu, gpu
    paper: nobody 2026
    """
'''


def test_all_shipped_files_state_their_facts() -> None:
    """Every drop-in file parses, under the name of its region and file, with no fact left empty."""
    mechanisms = list_mechanisms(TEMPLATES)
    assert len([m for m in mechanisms if m.region == "attention"]) == 18
    assert [m.key for m in mechanisms if m.region == "embedding"] == ["bigram_hash", "untied", "value_embed"]
    for mechanism in mechanisms:
        assert mechanism.path == TEMPLATES / mechanism.region / f"{mechanism.key}.py"
        assert mechanism.source == mechanism.path.read_text(encoding="utf-8")
        assert mechanism.source.startswith("# --- ")
        assert mechanism.summary.endswith(".")
        assert "cpu" in mechanism.runs_on


def test_facts_run_on_over_indented_lines() -> None:
    """An indented line belongs to the fact before it; a paragraph with a colon is no fact."""
    mechanism = parse_mechanism(TOY, Path("attention/toy.py"))
    assert (mechanism.key, mechanism.region) == ("toy", "attention")
    assert (mechanism.title, mechanism.summary) == ("Toy", "passes its input on.")
    assert mechanism.formula == "y_t = x_t, for every t"
    assert mechanism.runs_on == ("cpu", "gpu")
    assert mechanism.parameters is None
    assert mechanism.limits is None


def test_limits_are_stated_where_fla_refuses_to_train() -> None:
    """The two mechanisms whose backward FLA refuses on Hopper say so, with the versions; the others have no limits."""
    limited = {mechanism.key: mechanism.limits for mechanism in list_mechanisms(TEMPLATES) if mechanism.limits}
    assert sorted(limited) == ["gated_deltanet", "gated_deltaproduct"]
    for limits in limited.values():
        assert limits.startswith("no training on Hopper GPUs")
        assert "Triton 3.4.0 to 3.7.0" in limits


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    cost: O(1)\n", "", "lacks cost"),
        ("Toy: passes its input on.", "Passes its input on.", "lacks the opening line"),
        ("cpu, gpu", "cpu, abacus", "abacus"),
        ('"""', "#", "no docstring"),
    ],
)
def test_an_incomplete_file_is_named(old: str, new: str, message: str) -> None:
    """A missing fact, title, docstring or an unknown device is an error that says which, and in which file."""
    source = TOY.replace(old, new) if old != '"""' else "class CausalSelfAttention: ...\n"
    with pytest.raises(TaskError, match=message) as caught:
        parse_mechanism(source, Path("attention/toy.py"))
    assert "attention/toy.py" in str(caught.value)


def test_reading_the_library_needs_no_torch() -> None:
    """Listing mechanisms loads neither torch nor fla."""
    program = (
        "import sys; from pathlib import Path; from sandbox.mechanisms import list_mechanisms; "
        f"assert list_mechanisms(Path({str(TEMPLATES)!r})); assert not {{'torch', 'fla'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=TEMPLATES.parent)
