"""The rules of the policy: what each refuses or warns of, why, and what is allowed instead."""

from typing import NamedTuple


class Rule(NamedTuple):
    """One kind of thing that code of a region should leave alone."""

    name: str
    reason: str
    """Goes on after "torch.load": what it does."""
    instead: str = ""
    """What is allowed; one sentence, in which a task's own lists may stand."""
    refuses: bool = True
    """Whether the edit is refused; otherwise it is made, and the warning is recorded."""


IMPORT = Rule(
    "import",
    "is not among the modules that this task allows",
    "It allows {imports}.",
)
PROCESS = Rule(
    "process",
    "starts, forks or ends processes",
    "A region computes tensors in the process that it is given.",
)
NETWORK = Rule("network", "opens connections", "A run has no network; keep what you need in the code.")
NATIVE = Rule(
    "native code", "reaches machine code past Python", "Custom Triton kernels and autograd functions are allowed."
)
SIGNAL = Rule("signal", "changes how the process is ended or watched", "Leave the run's control to the script.")
THREAD = Rule(
    "thread", "runs code beside the training loop", "Do the work in forward(); CUDA runs kernels asynchronously anyway."
)
DYNAMIC = Rule(
    "dynamic code", "runs code that is not written out here", "Write the code out; torch.compile is allowed."
)
FILE = Rule("file", "reaches files", "Keep constants in the code, or in buffers (self.register_buffer).")
ENVIRONMENT = Rule(
    "environment",
    "sets what other code of the run depends on",
    "These may be set: {environment}.",
)
REFLECTION = Rule(
    "reflection",
    "reaches into the interpreter or into code that is not the region's",
    "Pass what you need as an argument, or keep it on self.",
)
HANDED = Rule(
    "handed on",
    "is handed on as a value, so that what is used of it cannot be read",
    "Name what you use of it where you use it: F.relu, getattr(self, name).",
)
PATCH = Rule(
    "patch",
    "changes code outside of the region",
    "Write a function or a subclass of your own in the region, and call that.",
)
SERIALISATION = Rule(
    "serialisation",
    "reads or writes stored objects",
    "The harness keeps the checkpoint; parameters and buffers are in it by themselves.",
)
DOWNLOAD = Rule("download", "fetches from a hub", "Build the model from its config, with weights drawn from the seed.")
HOOK = Rule(
    "global hook",
    "hooks into every module or optimizer, those of the read-only script included",
    "Hooks on submodules of your own are allowed: self.layer.register_forward_hook(...).",
)
SUBCLASS = Rule(
    "tensor subclass",
    "takes part in whatever the read-only script computes with its tensors, the loss included",
    "Work on plain tensors; autograd functions and subclasses of nn.Module are allowed.",
)
DISTRIBUTED = Rule(
    "distributed",
    "takes part in what the workers of a run say to each other",
    "torch.distributed.get_rank and get_world_size are allowed; the script averages the gradients.",
)
EXIT = Rule("exit", "ends the run", "Raise an exception that says what is wrong, such as ValueError.")
TASK = Rule("task", "is what this task keeps from its regions", "Work with what the region is given.")

ENVIRONMENT_READ = Rule(
    "environment read", "makes the run depend on the environment, which the harness sets", refuses=False
)
ENVIRONMENT_SET = Rule(
    "environment setting",
    "is a setting that the harness makes itself, before Python starts; here it may come too late to matter",
    "",
    refuses=False,
)
SETTING = Rule("setting", "changes a setting of the whole process", refuses=False)
SEED = Rule("seed", "draws or restarts random numbers outside of the run's seed", refuses=False)
CLOCK = Rule("clock", "makes the code depend on the time that it takes", refuses=False)
FOLDER = Rule("folder", "touches folders, which a run shares with nobody", refuses=False)
INDIRECT = Rule("indirect name", "reads a name of a module that is known only when it runs", refuses=False)
OTHER_HOOK = Rule("hook", "hooks a module that may not be the region's own", refuses=False)
TASK_WARNING = Rule("task warning", "is what this task wants to know about", refuses=False)
