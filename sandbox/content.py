"""What an agent hands in, made into text that a script can hold: UTF-8, "\\n" line ends, a newline at the end."""

from sandbox.errors import EditRefused

MAX_BYTES = 1024 * 1024
"""Largest content of one edit, in bytes of UTF-8."""


def clean_content(content: bytes | str) -> tuple[str, tuple[str, ...]]:
    """Return the text to put in and notes on what was changed in it.

    Raises EditRefused for content that is too large, is not UTF-8, or holds a NUL, a lone carriage return or a byte
    order mark.
    """
    text = _decode(content)
    _refuse_characters(text)
    notes = []
    if "\r\n" in text:
        notes.append("Windows line ends (CRLF) were turned into LF.")
        text = text.replace("\r\n", "\n")
    if "\r" in text:
        raise _refused(text, "\r", "a lone carriage return (\\r)", "End lines with a newline (\\n).")
    if text and not text.endswith("\n"):
        text += "\n"
    return text, tuple(notes)


def _decode(content: bytes | str) -> str:
    try:
        data = content.encode() if isinstance(content, str) else content
    except UnicodeEncodeError as error:
        raise EditRefused(
            f"The content is not valid Unicode: character {error.start + 1} is a lone surrogate, "
            f"{content[error.start]!r}. Pass UTF-8 text."
        ) from None
    if len(data) > MAX_BYTES:
        raise EditRefused(f"The content is {len(data):,} bytes; the limit is {MAX_BYTES:,} bytes (1 MiB).")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise EditRefused(
            f"The content is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start} ({error.reason}). "
            "Save it as UTF-8."
        ) from None


def _refuse_characters(text: str) -> None:
    if "\0" in text:
        raise _refused(text, "\0", "a NUL character", "Python source cannot hold one; write '\\0' in a string.")
    if text.startswith("\ufeff"):
        raise _refused(text, "\ufeff", "a byte order mark", "Save it as UTF-8 without one.")


def _refused(text: str, character: str, what: str, remedy: str) -> EditRefused:
    before = text[: text.index(character)]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return EditRefused(f"The content holds {what} at line {line}, column {column} of the content. {remedy}")
