"""Where the agent's code runs: a sandbox without network, home or other sessions, whose every process ends with it.

`choose` says how (bubblewrap, else Landlock, else only when the operator says so: none), `confine` wraps a command,
`enter` is what the wrapped process does first, and `Usage` is watched from outside. Torch-free.
"""

from harness.isolation.choice import KINDS, Kind, NoIsolation, choose
from harness.isolation.confinement import Confinement, Limits
from harness.isolation.entry import confine, enter

__all__ = ["KINDS", "Confinement", "Kind", "Limits", "NoIsolation", "choose", "confine", "enter"]
