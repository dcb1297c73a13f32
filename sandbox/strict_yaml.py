"""YAML as task files use it: YAML 1.2's core schema without aliases, tags, infinities or a key twice, into structs.

Every mistake becomes a TaskError that names the file, the path inside it, and what could have been meant.
"""

import functools
import math
import re
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from sandbox.errors import TaskError, nearest

T = TypeVar("T")
_CORE_SCALARS = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
        "-+.0123456789",
    ),
}


def decode_yaml(text: str, kind: type[T], file: Path) -> T:
    """Decode `text` into the struct `kind`. Raises TaskError naming `file` and the path of the first mistake."""
    data = _load(text, file)
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise TaskError(f"{file}: {_explain(str(error), data, kind)}") from error


def _load(text: str, file: Path) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=_loader())
    except yaml.YAMLError as error:
        raise TaskError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from error
    except (
        ValueError,
        RecursionError,
    ) as error:  # PyYAML lets these through for a number too long, or nesting too deep
        raise TaskError(f"{file}: not valid YAML: {error}") from error


@functools.cache
def _loader() -> Any:
    """The loader class: PyYAML's own reads 1e-4 as text and `no` as false, and takes the last of two equal keys."""
    import yaml

    class StrictLoader(yaml.SafeLoader):
        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            event = self.peek_event()  # type: ignore[no-untyped-call]
            for kind, name in (("aliases", isinstance(event, yaml.AliasEvent)), ("tags", getattr(event, "tag", None))):
                if name:
                    raise yaml.composer.ComposerError(None, None, f"{kind} are not allowed", event.start_mark)
            return super().compose_node(parent, index)

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            for index, key in enumerate(keys):
                if key.value in (other.value for other in keys[:index]):
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key.value!r} is given twice", key.start_mark
                    )
            return super().construct_mapping(node, deep)

        def construct_finite(self, node: yaml.ScalarNode) -> float:
            value = float(node.value)
            if not math.isfinite(value):
                raise yaml.constructor.ConstructorError(None, None, f"{node.value} is too large", node.start_mark)
            return value

    StrictLoader.add_constructor("tag:yaml.org,2002:float", StrictLoader.construct_finite)
    StrictLoader.yaml_implicit_resolvers = {}
    for tag, (pattern, first) in _CORE_SCALARS.items():
        StrictLoader.add_implicit_resolver(
            f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), [*first.replace("\0", ""), ""]
        )
    return StrictLoader


class _Place(NamedTuple):
    """Where in the file a mistake is, and the keys that are known there."""

    path: str
    keys: list[str]


def _explain(message: str, data: Any, kind: type) -> str:
    """Turn msgspec's message into one with the exact path and the alternatives."""
    reason, _, path = message.partition(" - at ")
    key_of_mapping = path.startswith("`key` in ")
    place = _find(path.removeprefix("`key` in ").strip("`"), data, kind)
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", reason, re.DOTALL):
        reason = f"unknown key {unknown[1]!r}. {nearest(unknown[1], place.keys)}"
    elif missing := re.fullmatch(r"Object missing required field `(.*)`", reason):
        reason = f"the key {missing[1]!r} is missing"
    elif key_of_mapping:
        reason = f"a key here is not text: {reason}"
    reason = reason.replace("`object`", "a mapping").replace("`array`", "a list")
    return f"{place.path}: {reason}" if place.path else reason


def _find(path: str, data: Any, kind: type) -> _Place:
    """Follow msgspec's path through data and type at once, naming the mapping keys that msgspec writes as [...]."""
    from msgspec import inspect

    where = ""
    info: Any = inspect.type_info(kind)
    for name, index in re.findall(r"\.([^.\[\]]+)|\[([0-9]+|\.\.\.)\]", path):
        if isinstance(info, inspect.UnionType):
            info = next(option for option in info.types if not isinstance(option, inspect.NoneType))
        if isinstance(info, inspect.StructType):
            where = f"{where}.{name}".lstrip(".")
            info = next(field.type for field in info.fields if field.encode_name == name)
            data = data.get(name)
        elif isinstance(info, inspect.DictType):
            key = next(key for key, value in data.items() if not _fits(value, info.value_type))
            where, info, data = f"{where}.{key}", info.value_type, data[key]
        elif isinstance(info, inspect.VarTupleType):
            where, info, data = f"{where}[{index}]", info.item_type, data[int(index)]
    if isinstance(info, inspect.UnionType):
        info = next(option for option in info.types if not isinstance(option, inspect.NoneType))
    return _Place(where, [field.encode_name for field in info.fields] if isinstance(info, inspect.StructType) else [])


def _fits(value: Any, info: Any) -> bool:
    try:
        msgspec.convert(value, getattr(info, "cls", dict[str, Any]))
    except msgspec.ValidationError:
        return False
    return True
