"""What users are told: errors that they can mend, in one line each, and lines of progress."""

import os
import sys
from pathlib import Path
from typing import TextIO


class UserError(Exception):
    """Something that the user can mend; the message is one line that names it and says what is accepted."""


def first_line(error: Exception) -> str:
    """What `error` says, cut to its first line."""
    return (str(error) or repr(error)).splitlines()[0]


class ConfigError(UserError, ValueError):
    """A configuration, or a file that it names, that cannot be used."""


def say(line: str) -> None:
    """One line of progress, at once, on standard error: standard output is for results.

    Never raises: a letter that the terminal has not is written as its escape, and where nobody reads any more, nothing is said.
    """
    stream = sys.stderr
    if stream is None or stream.closed:
        return
    try:
        try:
            print(line + "\n", end="", file=stream, flush=True)  # in one piece: threads speak at once
        except UnicodeEncodeError:
            print(line.encode("ascii", "backslashreplace").decode() + "\n", end="", file=stream, flush=True)
    except (OSError, ValueError):  # a reader that went away, a full disk under a log
        _silence(stream)


def _silence(stream: TextIO) -> None:
    """Let `stream` lead nowhere, so that what is left in its buffer fails neither the next line nor the exit."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
    except (OSError, ValueError):
        pass


def lenient_streams() -> None:
    """Standard output and error write an escape, such as \\u2191, for a letter that their encoding has not. For a program to call first."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def open_log(path: Path) -> TextIO:
    """`path` opened to append to, in UTF-8 whatever the locale; each line is written at once."""
    return path.open("a", buffering=1, encoding="utf-8", errors="backslashreplace")
