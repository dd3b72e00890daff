"""What users are told: errors that they can mend, in one line each, and lines of progress."""

import sys


class UserError(Exception):
    """Something that the user can mend; the message is one line that names it and says what is accepted."""


def first_line(error: Exception) -> str:
    """What `error` says, cut to its first line."""
    return (str(error) or repr(error)).splitlines()[0]


class ConfigError(UserError, ValueError):
    """A configuration, or a file that it names, that cannot be used."""


def say(line: str) -> None:
    """One line of progress, at once, on standard error: standard output is for results."""
    print(line, file=sys.stderr, flush=True)
