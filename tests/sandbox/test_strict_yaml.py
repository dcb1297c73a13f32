"""Task files: what is refused, and how well the message says where."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from sandbox.errors import TaskError
from sandbox.strict_yaml import decode_yaml

FILE = Path("task.yaml")


class Leaf(Struct, frozen=True, forbid_unknown_fields=True):
    """A value with a check of its own."""

    size: float = 0.0

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError("size is negative")


class Tree(Struct, frozen=True, forbid_unknown_fields=True):
    """One of each: a list, a mapping, an option, free-form values."""

    name: str = ""
    leaves: tuple[Leaf, ...] = ()
    named: dict[str, Leaf] = {}
    maybe: Leaf | None = None
    free: dict[str, dict[str, Any]] = {}


def test_decodes_core_yaml() -> None:
    """Numbers, texts and booleans are read as the core schema of YAML 1.2 reads them."""
    text = "{name: no, leaves: [{size: 1e-4}], free: {x: {n: 12, f: 1.5, b: true, t: 2026-01-02, z: null, s: '1'}}}"
    tree = decode_yaml(text, Tree, FILE)
    assert tree.name == "no"
    assert tree.leaves[0].size == 1e-4
    assert tree.free == {"x": {"n": 12, "f": 1.5, "b": True, "t": "2026-01-02", "z": None, "s": "1"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "leafs: []",
            "task.yaml: unknown key 'leafs'. Did you mean 'leaves'? There are: name, leaves, named, maybe, free.",
        ),
        ("leaves: [{}, {sise: 1}]", "task.yaml: leaves[1]: unknown key 'sise'. Did you mean 'size'? There are: size."),
        ("named: {a: {}, b: {sise: 1}}", "task.yaml: named.b: unknown key 'sise'. Did you mean 'size'?"),
        ("named: {a: {size: big}}", "task.yaml: named.a.size: Expected `float`, got `str`"),
        ("maybe: {sise: 1}", "task.yaml: maybe: unknown key 'sise'. Did you mean 'size'?"),
        ("leaves: [{size: -1}]", "task.yaml: leaves[0]: size is negative"),
        ("leaves: [{size: .nan}]", "task.yaml: leaves[0].size: Expected `float`, got `str`"),
        ("free: {x: {y: 1e999}}", "1e999 is too large"),
        ("leaves: {size: 1}", "task.yaml: leaves: Expected a list, got a mapping"),
        ("- 1", "task.yaml: Expected a mapping, got a list"),
        ("", "task.yaml: Expected a mapping, got `null`"),
        ("{1: 2}", "task.yaml: a key here is not text"),
        ("free: {x: {1: 2}}", "task.yaml: free.x: a key here is not text"),
        ("name: a\nname: b", "key 'name' is given twice"),
        ("free: {x: &a {}, y: *a}", "aliases are not allowed"),
        ("name: [", "task.yaml: not valid YAML"),
        ("name: " + "1" * 5000, "task.yaml: not valid YAML"),
        ("leaves: " + "[" * 5000, "task.yaml: not valid YAML"),
        ("name: !!python/object:os.system x", "tags are not allowed"),
        ("free: {x: !!timestamp 12}", "tags are not allowed"),
        ("{[a]: 1}", "task.yaml: not valid YAML"),
    ],
)
def test_refusal_names_file_path_and_alternatives(text: str, message: str) -> None:
    """Whatever is wrong becomes a TaskError that names the file, the path in it and the nearest key."""
    with pytest.raises(TaskError) as caught:
        decode_yaml(text, Tree, FILE)
    assert message in caught.value.message
