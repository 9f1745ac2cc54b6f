"""What the exit codes mean, and which one an error has. The help text and docs/cli.md say the same."""

from __future__ import annotations

from typing import Final

from hotconfig.core.errors import ConfigurationError, HotConfigError, UsageError

OK: Final = 0
NO: Final = 1
"""The command worked, and the answer is no: the key is not stored, the chain is broken, the doctor found something."""
USAGE: Final = 2
CONFIGURATION: Final = 3
UNAVAILABLE: Final = 4
INTERRUPTED: Final = 130
OUTPUT_CLOSED: Final = 141
"""128 + SIGPIPE, as programs end that the signal kills. Here it is ignored, because sockets raise it too."""

MEANINGS: Final = {
    OK: "done",
    NO: 'the answer is "no": a key is not stored, migrations are pending, a chain is broken, the doctor found a '
    "problem, the demo was slow, a benchmark failed or is slower than allowed",
    USAGE: "bad input: an unknown command, service or key, or a value that does not fit",
    CONFIGURATION: "a URL, a credential, a privilege, a migration or an extra is missing",
    UNAVAILABLE: "a server cannot be reached, or somebody else wrote first: try again",
    INTERRUPTED: "stopped by Ctrl-C",
    OUTPUT_CLOSED: "the program that read the output went away",
}


def code_of(error: HotConfigError) -> int:
    """The exit code of an error, by its branch."""
    if isinstance(error, UsageError):
        return USAGE
    return CONFIGURATION if isinstance(error, ConfigurationError) else UNAVAILABLE
