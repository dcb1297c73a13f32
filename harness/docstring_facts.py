"""Facts that a mechanism's docstring states: lines `name: text`, indented where they run on."""

import re

FACTS = ("formula", "state", "cost", "order", "runs on", "paper")
"""The facts that every mechanism gives."""
PARAMETERS = "parameters"
"""A further fact of those that cannot have the parameters of the untouched model within 5 %: why."""
LIMITS = "limits"
"""A further fact of those that do not train on every machine that they run on: where not, and what helps."""

_FACT = re.compile(rf"({'|'.join((*FACTS, PARAMETERS, LIMITS))}): (.+)")


def read_facts(docstring: str) -> dict[str, str]:
    """Facts by name, out of a docstring without common indentation (inspect.cleandoc); others are left out."""
    facts: dict[str, str] = {}
    name = ""
    for line in docstring.splitlines():
        if match := _FACT.fullmatch(line):
            name = match[1]
            facts[name] = match[2]
        elif name and line.startswith(" "):
            facts[name] += " " + line.strip()
        else:
            name = ""
    return facts
