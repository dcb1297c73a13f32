"""Random operations and contents through the edit path: `python tests/fuzz/edits.py [--count N] [--seed S]`.

Whatever comes in, the answer is an edit or one of linbench's own errors, frozen text stays as it was, and a script
that is called whole compiles. A failure prints the seed and number of its case, and the operation.
"""

import argparse
import random
import sys
import time
import warnings
from collections import Counter
from itertools import pairwise
from pathlib import Path

from sandbox.cli.edit_content import decode
from sandbox.document import Document, Frame
from sandbox.editor import edit
from sandbox.errors import LinbenchError
from sandbox.operations import Delete, Insert, Load, Operation, Replace, Substitute
from sandbox.tasks import load_task

ROOT = Path(__file__).parents[2]
TOY = """\
import math
from torch.nn import functional as F

# a
def first(x):
    return x

class Frozen:
    def call(self, x):
        # b
        y = first(x)
        return y

def settings():
    # c
    CONFIG_OVERRIDES = {}
    return CONFIG_OVERRIDES
"""
"""Twice as fast to parse as a real script, so that many more cases fit."""

PIECES = [
    *("import os\n", "os.kill", "getattr(x, 'a' + 'b')", "F.x = 1\n", "del F.x\n", "o = os\n", "__dict__", "lambda o:"),
    *("[o for o in F]", "os.environ['A'] = 1\n", "match x:\n    case F.a(os=o):\n        pass\n", "global F\n"),
    *("(", ")", "[", "]", "{", "}", '"', "'", '"""', "'''", "\\", "\\\n", "\n", ":", ",", "=", "#", "@", ";", "\t"),
    *(
        "\r\n",
        "\r",
        "\0",
        "\ufeff",
        "\x0c",
        "\u2028",
        "\ud800",
        "é",
        "名",
        "🙂",
        "f'{",
        "f'{x!r:>{y}}'",
        "rb'",
        "0x",
        "1e999",
    ),
    *(
        "def f():\n",
        "class A:\n",
        "return\n",
        "yield\n",
        "await x\n",
        "break\n",
        "continue\n",
        "pass\n",
        "raise\n",
        "global F\n",
    ),
    *("import os\n", "from x import *\n", "from __future__ import annotations\n", "F = 1\n", "del F\n", "nonlocal x\n"),
    *(
        "with x: return\n",
        "while True: pass\n",
        "try:\n",
        "finally:\n",
        "else:\n",
        "elif x:\n",
        "match x:\n case _: pass\n",
    ),
    *(
        "lambda: (yield)\n",
        "async def g(): await x\n",
        "x: int = 3\n",
        "if (F := 3): pass\n",
        "@staticmethod\n",
        "*a, b = c\n",
    ),
    *(
        "    ",
        "        ",
        "CONFIG_OVERRIDES = {}\n",
        'CONFIG_OVERRIDES = {"learning_rate": 1e-3}\n',
        "print(__name__)\n",
    ),
    *(
        "# -*- coding: utf-7 -*-\n",
        "(" * 300,
        "[" * 3000,
        "-" * 5000 + "1\n",
        "9" * 5000,
        "a.b" * 2000,
        "x" * 70000,
        "not " * 3000 + "x\n",
    ),
    *(
        "type X = int\n",
        "def f[T](x: T): ...\n",
        "except* E:\n",
        "print 1\n",
        "exec 'x'\n",
        "<>",
        "`x`",
        "$",
        "?",
        "!",
        "0777",
        "1__0",
    ),
]


def documents() -> list[Document]:
    """A toy script three times as often as the real one, with overrides of every type."""
    real = load_task("llm-pretrain-linear-attention")
    toy_lines = TOY.splitlines()
    regions = [
        (name, toy_lines.index(f"{' ' * indent}# {mark}") + 1, length)
        for name, mark, indent, length in (("attention", "a", 0, 3), ("block", "b", 8, 2), ("overrides", "c", 4, 2))
    ]
    kinds = dict(zip(("attention", "block", "overrides"), real.task.regions, strict=True))
    toy = tuple(
        type(region)(name, first, first + length - 1, region.kind)
        for (name, first, length), region in zip(regions, kinds.values(), strict=True)
    )
    frames = [Frame("toys/toy.py", toy, TOY)] * 3 + [Frame(real.task.file, real.task.regions, real.template)]
    return [Document.original(frame) for frame in frames]


def content(dice: random.Random, seeds: list[str]) -> bytes | str:
    """Text from nothing, a mutation of a real mechanism, or plain bytes."""
    if dice.random() < 0.05:
        return dice.randbytes(dice.randrange(200))
    text = dice.choice(seeds) if dice.random() < 0.7 else ""
    for _ in range(dice.choice([0, 1, 1, 2, 3, 8])):
        start = dice.randrange(len(text) + 1)
        end = min(len(text), start + dice.choice([0, 0, 1, 1, 5, 80]))
        piece = dice.choice(PIECES) if dice.random() < 0.8 else chr(dice.randrange(0x110000))
        text = text[:start] + piece + text[end:]
    return text


def operation(dice: random.Random, document: Document, seeds: list[str]) -> Operation:
    """Any operation; mostly on lines of a region, else anywhere. Raises LinbenchError for content that is no text."""
    made = content(dice, seeds)
    text = decode(made, "stdin") if isinstance(made, bytes) else made
    lines = dice.choice(document.ranges)
    first, last = lines.first, lines.last
    if dice.random() < 0.5:
        first = dice.randint(first - 2, last + 2)
        last = dice.randint(first - 2, last + 2)
    if dice.random() < 0.02:
        first, last = dice.choice(
            [(-(10**30), 10**30), (0, 0), (document.total, document.total + 1), (1, document.total)]
        )
    old = document.text[(start := dice.randrange(len(document.text))) : start + dice.choice([0, 1, 10, 60])]
    cut = dice.randrange(len(document.text))
    loaded = document.text[:cut] + text + document.text[cut + dice.choice([0, 0, 5]) :]
    every = [Replace(first, last, text), Insert(first, text), Delete(first, last), Substitute(old, text), Load(loaded)]
    return dice.choices(every, weights=[5, 2, 1, 2, 1])[0]


def check_invariants(before: Document, after: Document, whole: bool) -> None:
    """Raise AssertionError when an accepted edit broke a promise."""
    assert after.frame is before.frame
    rest = after.text
    for segment in after.frame.frozen:
        assert segment in rest, "frozen text is gone"
        rest = rest[rest.index(segment) + len(segment) :]
    ranges = after.ranges
    assert all(a.last < b.first for a, b in pairwise(ranges)), "ranges overlap"
    if whole:
        compile(after.text, "script", "exec", dont_inherit=True)


def main() -> int:
    """Run the cases and print how they ended; 1 when one broke a promise."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    warnings.simplefilter("ignore")  # CPython's opinion of odd literals in the contents
    task = load_task("llm-pretrain-linear-attention").task
    seeds = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "templates" / "attention").glob("*.py"))]
    seeds += ["y = first(x)\n", "def first(x):\n    return x\n", "    CONFIG_OVERRIDES = {}\n"]
    originals, ended, started = documents(), Counter[str](), time.monotonic()
    current = list(originals)
    for number in range(asked.count):
        dice = random.Random(f"{asked.seed}:{number}")
        which = dice.randrange(len(current))
        document, asked_for = current[which], None
        try:
            asked_for = operation(dice, document, seeds)
            reply = edit(document, asked_for, task.overrides, dice.random() < 0.2, task.policy)
            check_invariants(document, reply.document, reply.whole)
            reply.text.encode()
        except LinbenchError as refusal:
            ended[type(refusal).__name__] += 1
            str(refusal).encode()
        except Exception:
            print(f"case {asked.seed}:{number}: {str(asked_for)[:2000]!r}", file=sys.stderr)
            raise
        else:
            ended["whole" if reply.whole else "partial"] += 1
            small = len(reply.document.text) < 2 * len(originals[which].text)
            current[which] = reply.document if small and dice.random() < 0.9 else originals[which]
    seconds = time.monotonic() - started
    print(f"{asked.count:,} edits in {seconds:.0f} s: {', '.join(f'{name} {n:,}' for name, n in ended.most_common())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
