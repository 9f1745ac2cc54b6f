"""A process that has imported everything and forks participants, so that one costs milliseconds.

Reads a part as one line of JSON, answers with the child's process id; reads ``reap``, answers with the exit codes of
those that ended since. Until then their ids stay taken, so that nobody else can be killed by mistake.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.faults.harness.board import Part
from tests.faults.harness.participant import live


def main() -> None:
    """Serve until the harness closes the pipe."""
    # What hotconfig imports when it starts; children need not.
    from hotconfig.postgres import listen, truth  # noqa: F401
    from hotconfig.redis import publish, subscribe  # noqa: F401
    from hotconfig.runtime import client  # noqa: F401

    gc.collect()
    gc.freeze()  # or each child's collections would copy what it shares with the others
    for line in sys.stdin:
        request = json.loads(line)
        answer = _reap() if request == "reap" else _bear(request)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _bear(part: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _detach(Path(part["directory"]))
        live(Part(**{**part, "plants": tuple(part["plants"])}))
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def _detach(directory: Path) -> None:
    """Let go of the pipes; what would be printed goes into a file."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(directory / "log.txt", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)


def _reap() -> dict[int, int]:
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main()
