"""A process that writes: ``python -m tests.faults.postgres_writer NAME COUNT DATABASE_URL [REDIS_URL]``.

Says ``ready``, waits for a line, makes COUNT commits of its own, and says as JSON which revisions they got and how many
conflicts it met. Every fifth write expects the revision before it.
"""

from __future__ import annotations

import json
import sys

from hotconfig import Commit, ConflictError, HotConfig, Timing
from tests.integration.settings import AISettings


def main(name: str, count: int, *urls: str) -> None:
    revisions: list[int] = []
    conflicts = 0
    with HotConfig(*urls, timing=Timing(reconcile_s=5)) as client:
        client.bind(AISettings)
        _say("ready")
        sys.stdin.readline()
        for number in range(count):
            model = f"{name} {number}"
            last = revisions[-1] if revisions else 0
            try:
                commit = _write(client, model, expect=last if number % 5 == 4 else None)
            except ConflictError:
                conflicts += 1
                commit = _write(client, model)
            assert commit.changed
            revisions.append(commit.revision)
    _say(json.dumps({"revisions": revisions, "conflicts": conflicts}))


def _write(client: HotConfig, model: str, *, expect: int | None = None) -> Commit:
    return client.store.set(AISettings, model=model, by="process", expect=expect)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
