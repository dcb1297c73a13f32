"""What the CPU backend refuses, so that nothing is approximated silently."""

from __future__ import annotations


class UncoveredOp(RuntimeError):
    """An FLA operation without a CPU form was called on CPU tensors; the message names it."""


class UnsupportedOption(RuntimeError):
    """A covered FLA operation was called with an option that its CPU form does not know; the message names both."""
