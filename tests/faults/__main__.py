"""``python -m tests.faults --seed N --seeds M --duration S``: random fault schedules. See docs/fault-testing.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.faults.harness.plants import PLANTS
from tests.faults.harness.seeds import DURATION_S, Verdict, run_seeds


def main() -> int:
    """Run; the exit code is 1 where a rule did not hold."""
    arguments = _parse()
    begun_s = time.monotonic()
    verdicts: list[Verdict] = []

    def report(verdict: Verdict) -> bool:
        verdicts.append(verdict)
        found = Counter(violation.rule for violation in verdict.violations)
        rules = ", ".join(f"({rule}) {times} times" for rule, times in sorted(found.items())) or "no violation"
        if arguments.verbose or verdict.violations:
            print(verdict if verdict.violations else verdict.schedule)
        print(
            f"seed {verdict.schedule.seed}: {rules}; {len(verdict.schedule.faults)} faults, {verdict.commits} commits, "
            f"{verdict.observations.total()} observations, at rest within {verdict.slowest_s:.2f} s, "
            f"took {verdict.took_s:.1f} s",
            flush=True,
        )
        return arguments.until_violation and bool(verdict.violations)

    run_seeds(
        range(arguments.seed, arguments.seed + arguments.seeds),
        report,
        jobs=arguments.jobs,
        duration_s=arguments.duration,
        plants=tuple(arguments.plant),
    )
    violated = sum(1 for verdict in verdicts if verdict.violations)
    kinds = Counter(fault.kind.name for verdict in verdicts for fault in verdict.schedule.faults)
    print(", ".join(f"{name} {times}" for name, times in sorted(kinds.items())))
    print(
        f"{len(verdicts)} seeds, {violated} with violations, {sum(verdict.commits for verdict in verdicts)} commits, "
        f"slowest {max(verdict.slowest_s for verdict in verdicts):.2f} s, {time.monotonic() - begun_s:.0f} s in all"
    )
    return 1 if violated else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from the first one on")
    parser.add_argument("--duration", type=float, default=DURATION_S, help="seconds of faults per seed")
    parser.add_argument("--jobs", type=int, default=1, help="seeds side by side, each with servers of its own")
    parser.add_argument("--plant", action="append", default=[], choices=sorted(PLANTS), help="break the readers")
    parser.add_argument("--until-violation", action="store_true", help="stop at the first one")
    parser.add_argument("--verbose", action="store_true", help="print every schedule")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
