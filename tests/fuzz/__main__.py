"""``python -m tests.fuzz --inputs 1000000 --seed 1 [--target decoder]``: exits with 1 at the first broken law."""

from __future__ import annotations

import argparse
import logging
import secrets
import sys
import time

from tests.fuzz.running import InputError, fuzz
from tests.fuzz.targets import SHARES, TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many, over all targets")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="repeats a run")
    parser.add_argument("--target", choices=sorted(TARGETS), help="this one alone")
    wanted = parser.parse_args()
    logging.disable(logging.CRITICAL)  # a hundred rewinds per second, loudly
    shares = {wanted.target: 100} if wanted.target else SHARES
    total = 0
    print(f"seed {wanted.seed}")  # noqa: T201 - a program
    for name, share in shares.items():
        inputs = max(1, wanted.inputs * share // 100)
        began_s = time.monotonic()
        try:
            fuzz(name, inputs, wanted.seed)
        except InputError as error:
            print(error)  # noqa: T201
            raise
        took_s = time.monotonic() - began_s
        total += inputs
        print(f"{name:10} {inputs:9,} inputs {took_s:7.1f} s {inputs / took_s:10,.0f}/s")  # noqa: T201
    print(f"{'all':10} {total:9,} inputs, no exception")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
