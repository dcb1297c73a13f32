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
from sandbox.policy.judge import check_policy
from sandbox.schema import OverrideKey
from sandbox.task_schema import Policy


def check(document: Document, overrides: Mapping[str, OverrideKey], policy: Policy | None = None) -> tuple[str, ...]:
    """The policy's warnings about a script that is whole and lawful; policy=None means that there is none.

    Raises EditRefused, with line and column where it has them, for any other script.
    """
    try:
        return _check(document, overrides, policy)
    except RecursionError:
        raise EditRefused("The file would nest too deeply to be checked. Write it flatter.") from None


def _check(document: Document, overrides: Mapping[str, OverrideKey], policy: Policy | None) -> tuple[str, ...]:
    read_overrides(document, overrides)
    new = parse(document)
    old = parse_template(document.frame)
    mixed = check_frozen(old, new)
    warnings = () if policy is None else check_policy(old, new, policy)
    check_flow(old, new, mixed)
    old_scopes, new_scopes = scopes_of(old), scopes_of(new)
    check_definitions(document.frame.regions, new_scopes)
    check_shadowing(old_scopes, new_scopes, mixed)
    return warnings
