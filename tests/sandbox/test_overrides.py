"""The overrides region is one literal dictionary of allowed keys and values."""

from collections.abc import Callable

import pytest

from sandbox.document import Document
from sandbox.errors import EditRefused
from sandbox.overrides import read_overrides
from sandbox.schema import OverrideKey

Framed = Callable[..., Document]

TEMPLATE = (
    "def main():\n    #[ overrides\n    # comment\n    CONFIG_OVERRIDES = {}\n    #]\n    return CONFIG_OVERRIDES\n"
)
ALLOWED = {
    "learning_rate": OverrideKey("float", 0, 1),
    "steps": OverrideKey("int", 1),
    "bias": OverrideKey("bool"),
    "schedule": OverrideKey("str", choices=("cosine", "linear")),
}


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("    CONFIG_OVERRIDES = {}\n", {}),
        ("    # why\n    CONFIG_OVERRIDES = {'learning_rate': 6e-4}  # because\n", {"learning_rate": 6e-4}),
        (
            "    CONFIG_OVERRIDES = {\n        'learning_rate': 1,\n\n  'steps': +10,\n    }\n",
            {"learning_rate": 1.0, "steps": 10},
        ),
        ("    CONFIG_OVERRIDES = {'bias': False, 'schedule': 'linear'};\n", {"bias": False, "schedule": "linear"}),
    ],
)
def test_a_literal_dictionary_is_read(framed: Framed, content: str, values: dict[str, object]) -> None:
    """Values come back as the task's types."""
    read = read_overrides(framed(TEMPLATE).with_content(0, content), ALLOWED)
    assert read == values
    assert all(type(read[key]) is type(value) for key, value in values.items())


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (
            "CONFIG_OVERRIDES = {'learning_rat': 1}",
            "line 2, column 25: The key 'learning_rat' .* Did you mean 'learning_rate'",
        ),
        ("CONFIG_OVERRIDES = {'learning_rate': 2 * 3}", "line 2, column 42: .* plain float, not an expression"),
        ("CONFIG_OVERRIDES = {'learning_rate': float('nan')}", "not an expression"),
        ("CONFIG_OVERRIDES = {'learning_rate': 1e999}", "must be finite"),
        ("CONFIG_OVERRIDES = {'learning_rate': -1e999}", "must be finite"),
        ("CONFIG_OVERRIDES = {'learning_rate': '0.1'}", "must be a float, not '0.1' .str."),
        ("CONFIG_OVERRIDES = {'learning_rate': -0.1}", "at least 0 and at most 1, not -0.1"),
        ("CONFIG_OVERRIDES = {'learning_rate': True}", "must be a float, not True .bool."),
        ("CONFIG_OVERRIDES = {'learning_rate': 1j}", "not an expression"),
        ("CONFIG_OVERRIDES = {'learning_rate': None}", "not an expression"),
        ("CONFIG_OVERRIDES = {'steps': 1.5}", "must be an int, not 1.5"),
        ("CONFIG_OVERRIDES = {'steps': 0}", "at least 1, not 0"),
        (f"CONFIG_OVERRIDES = {{'steps': 1{'0' * 400}}}", "must be finite"),
        ("CONFIG_OVERRIDES = {'bias': 1}", "must be a bool"),
        ("CONFIG_OVERRIDES = {'schedule': 'none'}", "must be one of"),
        ("CONFIG_OVERRIDES = {'schedule': f'linear'}", "not an expression"),
        ("CONFIG_OVERRIDES = {'steps': 1, 'steps': 2}", "line 2, column 37: The key 'steps' is set twice"),
        ("CONFIG_OVERRIDES = {**{'steps': 1}}", r"`\*\*` may not be used"),
        ("CONFIG_OVERRIDES = {1: 1}", "plain string"),
        ("CONFIG_OVERRIDES = {f'steps': 1}", "plain string"),
        ("CONFIG_OVERRIDES = dict(steps=1)", "literal dictionary"),
        ("CONFIG_OVERRIDES: dict = {}", "one statement"),
        ("CONFIG_OVERRIDES |= {}", "one statement"),
        ("CONFIG_OVERRIDES = x = {}", "one statement"),
        ("OTHER = {}", "one statement"),
        ("CONFIG_OVERRIDES = {}; x = 1", "line 2, column 28: Only one statement"),
        ("CONFIG_OVERRIDES = {}\n    if 0:", "would not parse: line 3"),
        ("if 0:\n        CONFIG_OVERRIDES = {}", "one statement"),
        ("CONFIG_OVERRIDES = {", "would not parse: line 2, column 24"),
        ("# nothing", "must hold one statement"),
    ],
)
def test_anything_else_is_refused_with_its_place(framed: Framed, statement: str, reason: str) -> None:
    """Unknown keys, wrong types, values out of range, expressions and other statements are refused."""
    with pytest.raises(EditRefused, match=reason) as refusal:
        read_overrides(framed(TEMPLATE).with_content(0, f"    {statement}\n"), ALLOWED)
    assert refusal.value.line is not None


def test_another_indentation_than_the_template_is_refused(framed: Framed) -> None:
    """A dictionary that is not indented as the template's is refused in words of its own, not as a stray indent."""
    for statement in ("CONFIG_OVERRIDES = {}\n", "        CONFIG_OVERRIDES = {}\n", "\tCONFIG_OVERRIDES = {}\n"):
        with pytest.raises(EditRefused, match=r"line 2, column \d: Indent this line by 4 space"):
            read_overrides(framed(TEMPLATE).with_content(0, statement), ALLOWED)


@pytest.mark.parametrize("value", ["(" * 300, "-" * 100_000 + "1", "1" + " + 1" * 100_000])
def test_deep_nesting_is_refused(framed: Framed, value: str) -> None:
    """A value nested beyond the parser's stack is refused like any other expression."""
    with pytest.raises(EditRefused, match="CONFIG_OVERRIDES"):
        read_overrides(framed(TEMPLATE).with_content(0, f"    CONFIG_OVERRIDES = {{'steps': {value}}}\n"), ALLOWED)


def test_a_script_without_overrides_sets_nothing(framed: Framed) -> None:
    """Regions of code are not read."""
    assert read_overrides(framed("#[ a\nCONFIG_OVERRIDES = {'steps': 1}\n#]\n"), ALLOWED) == {}
