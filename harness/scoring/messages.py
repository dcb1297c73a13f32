"""What the evaluator and the model's process say to each other: small JSON messages; tokens and logits go beside them.

Both ends are in this file's terms: an ask names a region of the shared memory (harness.scoring.shared_memory) that
holds its tokens, an answer comes in chunks of rows, each in one slot. The evaluator trusts nothing of what it reads.
"""

import socket
import struct
import time
from collections.abc import Callable
from select import select
from typing import Literal

import msgspec

LARGEST = 2**20
"""Bytes of a message."""
LOOK_SECONDS = 0.2
"""Between two looks at whether to wait on."""
Precision = Literal["float32", "float16", "bfloat16"]
"""That logits can come in."""
_HEAD = struct.Struct(">I")


class Begin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="begin"):
    """The model may be loaded: until then the process has run none of the agent's code."""


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ask"):
    """Which logits are wanted: of a region's tokens (rows, length), at so many flat places of it, or at all."""

    region: int
    rows: int
    length: int
    places: int | None


class Taken(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="taken"):
    """The oldest chunk was copied: its slot is free."""


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ready"):
    """The model is loaded."""

    step: int
    """The checkpoint's optimizer step."""


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="answer"):
    """The logits of the oldest ask follow, in chunks."""

    rows: int
    width: int
    """Logits a row."""
    dtype: Precision


class Chunk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="chunk"):
    """The next rows are in the next slot."""


class Misshapen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="misshapen"):
    """The model answered with something that is no (rows, length, width) of logits."""

    what: str


class Failed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="failed"):
    """The agent's code raised."""

    error: str
    traceback: str


Asked = Begin | Ask | Taken
Answered = Ready | Answer | Chunk | Misshapen | Failed


class Channel:
    """One end of the pair of sockets; each message has its length before it."""

    def __init__(self, end: socket.socket):
        self.end = end

    def send(self, message: msgspec.Struct) -> None:
        """Send a message. Raises OSError where the other end is gone."""
        content = msgspec.json.encode(message)
        self.end.sendall(_HEAD.pack(len(content)) + content)

    def receive_asked(self) -> Asked:
        """What the evaluator says. Raises EOFError when it is gone."""
        return msgspec.json.decode(self._message(lambda: None), type=Asked)

    def receive_answered(self, deadline: float, give_up: Callable[[], bool] = lambda: False) -> Answered:
        """What the model's process says, at the latest at `deadline` on the monotonic clock or when `give_up` says so.

        Raises TimeoutError, EOFError when it has hung up, msgspec.MsgspecError for what is no message.
        """

        def wait() -> None:
            while True:
                if time.monotonic() > deadline or give_up():
                    raise TimeoutError
                if select([self.end], [], [], LOOK_SECONDS)[0]:
                    return

        try:
            return msgspec.json.decode(self._message(wait), type=Answered)
        except UnicodeDecodeError as error:
            raise msgspec.DecodeError(str(error)) from error

    def _message(self, wait: Callable[[], None]) -> bytes:
        (length,) = _HEAD.unpack(self._exactly(_HEAD.size, wait))
        if length > LARGEST:
            raise msgspec.DecodeError(f"a message of {length:,} bytes")
        return self._exactly(length, wait)

    def _exactly(self, count: int, wait: Callable[[], None]) -> bytes:
        content = b""
        while len(content) < count:
            wait()
            part = self.end.recv(count - len(content))
            if not part:
                raise EOFError
            content += part
        return content
