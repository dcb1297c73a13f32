"""All guards in order: a script that passes may be tested."""

from collections.abc import Mapping

from sandbox.document import Document
from sandbox.errors import EditRefused
from sandbox.guards.definitions import check_definitions
from sandbox.guards.flow import check_flow
from sandbox.guards.frozen import check_frozen
from sandbox.guards.parse import parse, parse_template
from sandbox.guards.scopes import scopes_of
from sandbox.guards.shadowing import check_shadowing
from sandbox.overrides import read_overrides
from sandbox.schema import OverrideKey


def check(document: Document, overrides: Mapping[str, OverrideKey]) -> None:
    """Raise EditRefused, with line and column where it has them, unless the script is whole and lawful."""
    try:
        _check(document, overrides)
    except RecursionError:
        raise EditRefused("The file would nest too deeply to be checked. Write it flatter.") from None


def _check(document: Document, overrides: Mapping[str, OverrideKey]) -> None:
    read_overrides(document, overrides)
    new = parse(document)
    old = parse_template(document.frame)
    mixed = check_frozen(old, new)
    check_flow(old, new, mixed)
    old_scopes, new_scopes = scopes_of(old), scopes_of(new)
    check_definitions(document.frame.regions, new_scopes)
    check_shadowing(old_scopes, new_scopes, mixed)
