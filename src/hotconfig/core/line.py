"""The line: message or row → decode → judge → validate → swap → tell → measure.

Pure: bytes and rows go in, outcomes come out; nobody waits, reads a clock or opens anything here. One thread at a time.
Accepted change sets are taken together until :meth:`Line.flush`, so that a storm costs one validation per service.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from hotconfig.core.blame import explained
from hotconfig.core.candidate import Built
from hotconfig.core.chain import ChangeSet, Head
from hotconfig.core.followed import Followed, StandIn
from hotconfig.core.judge import Loaded, Reading, Verdict, applied, judge, judge_loaded, judge_whole
from hotconfig.core.listeners import Changed, differing
from hotconfig.core.live import new_live, swap
from hotconfig.core.outcomes import Applied, Duplicate, NeedsRead, Outcome, Rejected, Stage, Stale
from hotconfig.core.tracecontext import NO_TRACE
from hotconfig.core.wire import Hint, Keyring, Undecodable, decode

logger: Final = logging.getLogger("hotconfig.line")

OVERRIDER: Final = "hotconfig.testing"
"""Who made a change that is an override, or the end of one."""
MAX_WAITING: Final = 64
"""How many change sets of one service may wait for their parents before PostgreSQL is asked instead."""


class Line:
    """All services of one process. ``tell`` is called for every real change, by the thread that drives the line."""

    def __init__(self, tell: Callable[[Changed[Any]], None]) -> None:
        self._tell = tell
        self.followed: dict[str, Followed[Any]] = {}
        self.keyring: Keyring = {}

    def receive(self, channel: bytes, data: bytes) -> Outcome | None:
        """Take one message. None: accepted, the outcome comes from :meth:`flush`."""
        news = decode(channel, data, self.keyring)
        if isinstance(news, Undecodable):
            return Rejected(None, None, Stage.DECODE, {"": news.reason})
        followed = self.followed.get(news.service)
        if followed is None:
            return Stale(news.service)
        return self._hint(followed, news) if isinstance(news, Hint) else self._judge(followed, news)

    def awaits(self, change_set: ChangeSet) -> bool:
        """Whether it is the next one of its service, and nothing accepted waits to be shown."""
        followed = self.followed.get(change_set.service)
        return followed is not None and followed.head == change_set.parent and not followed.accepted

    def judge(self, change_set: ChangeSet) -> Outcome | None:
        """Take a change set that needs no signature, because this process made the commit. None: as above."""
        followed = self.followed.get(change_set.service)
        return Stale(change_set.service) if followed is None else self._judge(followed, change_set)

    def notified(self, service: str, revision: int) -> Outcome:
        """Take PostgreSQL's word that a service has reached a revision."""
        followed = self.followed.get(service)
        if followed is None:
            return Stale(service)
        if followed.head is not None and followed.head.revision >= revision:
            return Duplicate(service)
        return NeedsRead(service, "notification", patient=True)

    def flush(self) -> list[Outcome]:
        """Validate, swap and tell what was accepted since the last call, one outcome per change set."""
        outcomes: list[Outcome] = []
        for followed in self.followed.values():
            if followed.accepted:
                outcomes += self._flush(followed)
        return outcomes

    def stand_in(self, followed: Followed[Any], given: StandIn) -> Outcome | None:
        """Show what is given until PostgreSQL answers. None: something is shown already, or nobody wants it any more.

        ``Rejected``: the class does not accept it, and nothing is shown.
        """
        if followed.live is not None or self.followed.get(followed.service) is not followed:
            return None
        built = _built(followed, given.texts, given.head, lenient=followed.lenient)
        revision = given.head.revision if given.head is not None else 0
        if built.instance is None:
            return Rejected(followed.service, revision, Stage.VALIDATE, built.problems)
        followed.stand_in = given
        followed.texts, followed.head, followed.shown = dict(given.texts), given.head, given.head
        followed.unknown, followed.problems, followed.replaced = built.unknown, built.problems, built.replaced
        followed.current, followed.live = built.instance, new_live(built.instance)
        return Applied(followed.service, revision, followed.blueprint.keys, first=True)

    def load(self, loaded: Loaded) -> Outcome:
        """Take what PostgreSQL says about one service."""
        followed = self.followed.get(loaded.service)
        if followed is None:
            return Stale(loaded.service)
        reading = _reading(followed, loaded)
        if reading not in (Reading.BEHIND, Reading.OVERTAKEN, Reading.AGAIN):
            followed.stand_in = None
        return self._take(followed, loaded, reading)

    def override(self, followed: Followed[Any], texts: Mapping[str, str | None]) -> Rejected | None:
        """Show these texts above everything else from now on; none: what lies beneath is shown again.

        Only while nothing accepted waits to be shown. ``Rejected``: they do not validate together with the rest, and
        nothing has changed.
        """
        current = followed.current
        if current is None or followed.live is None:
            followed.overrides = dict(texts)  # taken up by the first load
            return None
        beneath, head = followed.beneath or (current, followed.shown)
        new, story = beneath, _OVERRIDE_ENDED
        if texts:
            built = followed.blueprint.build(followed.texts, texts)
            if built.instance is None:
                return Rejected(followed.service, None, Stage.VALIDATE, built.problems)
            new, story = built.instance, _OVERRIDDEN
            followed.overrides, followed.beneath = dict(texts), (beneath, head)
        if head == followed.head:
            followed.problems = {}  # if there were any, an override was to blame that has ended
            story = story._replace(rewound=followed.rewound)
        self._swap(followed, new, head, story)
        if not texts:  # only now: whoever is interrupted before does it once more
            followed.overrides, followed.beneath = {}, None
        return None

    def _take(self, followed: Followed[Any], loaded: Loaded, reading: Reading) -> Outcome:
        match reading:
            case Reading.CURRENT:
                return Duplicate(loaded.service)
            case Reading.BEHIND | Reading.OVERTAKEN:
                return Stale(loaded.service)
            case Reading.AGAIN:
                return NeedsRead(loaded.service, "moved while reading")
            case Reading.FORWARD:
                texts = applied(followed.texts, loaded.changes)
                return self._adopt(followed, loaded, texts, rewound=False)
            case Reading.REPLACE:
                return self._adopt(followed, loaded, applied({}, loaded.changes), rewound=False)
            case Reading.REWIND:
                logger.error(
                    "service %r: PostgreSQL does not know revision %s any more and stands at %s: "
                    "restored or failed over; taking what it holds now",
                    followed.service,
                    followed.head or followed.inherited,
                    loaded.head,
                )
                followed.waiting.clear()
                followed.rewound = True
                return self._adopt(followed, loaded, applied({}, loaded.changes), rewound=True)

    def _hint(self, followed: Followed[Any], hint: Hint) -> Outcome:
        if hint.key is None or followed.head is None:
            return NeedsRead(followed.service, hint.reason)
        if hint.text:
            if hint.text == (followed.texts.get(hint.key) or "").encode():
                return Duplicate(followed.service)
        elif hint.key in followed.echoes:
            followed.echoes.discard(hint.key)
            return Duplicate(followed.service)
        # The signed change set that explains it may be a moment behind, when several writers publish at once.
        return NeedsRead(followed.service, hint.reason, patient=True)

    def _judge(self, followed: Followed[Any], change_set: ChangeSet) -> Outcome | None:
        if followed.head is None:
            return NeedsRead(followed.service, "nothing loaded yet")
        match judge(change_set, followed.head):
            case Verdict.APPLY:
                self._accept(followed, change_set)
                return None
            case Verdict.DUPLICATE:
                return Duplicate(followed.service)
            case Verdict.STALE:
                return Stale(followed.service)
            case Verdict.AHEAD if len(followed.waiting) < MAX_WAITING:
                followed.waiting[change_set.parent] = change_set
                return NeedsRead(followed.service, "parent missing", patient=True)
            case verdict:
                return NeedsRead(followed.service, verdict.value)

    def _accept(self, followed: Followed[Any], change_set: ChangeSet) -> None:
        if not followed.accepted:
            followed.base = followed.texts
        followed.accepted.append(change_set)
        # Texts before head: a writer in another thread that sees the old head with the new texts meets a conflict and
        # looks again; the other way round it would validate against the wrong texts.
        followed.texts = applied(followed.texts, change_set.changes)
        followed.head = change_set.head
        followed.echoes = {change.key for change in change_set.changes if not change.text}
        following = followed.waiting.pop(change_set.head, None)
        if following is not None and following.complete:
            self._accept(followed, following)

    def _flush(self, followed: Followed[Any]) -> list[Outcome]:
        accepted = followed.accepted
        built = _built(followed, followed.texts, accepted[-1].head)
        if built.instance is not None or len(accepted) == 1:
            outcomes = [self._show(followed, built, accepted[-1].head, _Story.of(accepted))] * len(accepted)
        else:
            outcomes = self._flush_each(followed, accepted)
        # Only now: a Ctrl-C that comes in between leaves them to the next flush.
        followed.accepted = []
        return outcomes

    def _flush_each(self, followed: Followed[Any], accepted: list[ChangeSet]) -> list[Outcome]:
        """Together they do not validate; one by one shows how far they do."""
        outcomes: list[Outcome] = []
        texts = followed.base
        for change_set in accepted:
            texts = applied(texts, change_set.changes)
            built = _built(followed, texts, change_set.head)
            outcomes.append(self._show(followed, built, change_set.head, _Story.of([change_set])))
        return outcomes

    def _adopt(
        self, followed: Followed[Any], loaded: Loaded, texts: dict[str, str | None], *, rewound: bool
    ) -> Outcome:
        followed.texts = texts
        followed.head = loaded.head
        followed.accepted.clear()
        followed.waiting = {
            parent: late for parent, late in followed.waiting.items() if late.head.revision > loaded.head.revision
        }
        built = _built(followed, texts, loaded.head, lenient=followed.lenient and followed.current is None)
        story = _Story(loaded.by, loaded.reason, loaded.at, rewound=rewound, several=loaded.several)
        outcome = self._show(followed, built, loaded.head, story)
        following = followed.waiting.pop(loaded.head, None)
        if following is not None and following.complete:
            self._accept(followed, following)
        return outcome

    def _show(self, followed: Followed[Any], built: Built[Any], head: Head, story: _Story) -> Outcome:
        followed.unknown, followed.problems, followed.replaced = built.unknown, built.problems, built.replaced
        if built.instance is None:
            return _rejected(followed, head, built.problems, rewound=story.rewound)
        old = followed.current
        if old is None or followed.live is None:
            followed.live = new_live(built.instance)
            followed.current, followed.shown = built.instance, head
            return Applied(followed.service, head.revision, followed.blueprint.keys, first=True)
        told = story._replace(rewound=True) if followed.rewound else story
        keys = self._swap(followed, built.instance, head, told)
        return Applied(
            followed.service,
            head.revision,
            keys,
            story.by,
            several=story.several,
            rewound=story.rewound,
            trace=story.trace,
        )

    def _swap(self, followed: Followed[Any], new: BaseModel, head: Head | None, story: _Story) -> frozenset[str]:
        """Show an instance in place of the current one and tell the difference, whose keys are returned."""
        # Who waits for the revision goes on when it says `shown`. And `current` is what listeners know: whoever takes
        # up an interrupted line, such as a forked child, tells them the difference.
        old, live = followed.current, followed.live
        if old is None or live is None:
            return frozenset()  # nobody was shown anything yet
        swap(live, new)
        followed.shown = head
        keys = differing(old, new)
        if keys:
            revision = head.revision if head is not None else 0
            self._tell(
                Changed(followed.service, old, new, keys, revision, story.by, story.reason, story.at, story.rewound)
            )
        followed.current = new
        if story.rewound:
            followed.rewound = False  # only now: it is told again, too, by whoever takes up an interrupted line
        return keys


class _Story(NamedTuple):
    """Who, why and when, as far as it can be told of several commits at once."""

    by: str | None
    reason: str | None
    at: str | None
    rewound: bool = False
    trace: Mapping[str, str] = NO_TRACE
    several: bool = False

    @classmethod
    def of(cls, change_sets: Iterable[ChangeSet]) -> _Story:
        *others, last = change_sets
        if not others:
            return cls(last.by, last.reason, last.at, trace=last.trace)
        if any(other.by != last.by for other in others):
            return cls(None, None, last.at, several=True)
        reason = last.reason if all(other.reason == last.reason for other in others) else None
        return cls(last.by, reason, last.at)


_OVERRIDDEN: Final = _Story(OVERRIDER, "overridden in this process", None)
_OVERRIDE_ENDED: Final = _Story(OVERRIDER, "no longer overridden in this process", None)


def _built(
    followed: Followed[Any], texts: Mapping[str, str | None], head: Head | None, *, lenient: bool = False
) -> Built[Any]:
    """What these texts show: they have to be valid by themselves, and then together with what overrides them."""
    built = followed.blueprint.build(texts)
    if built.instance is None and lenient:
        built = followed.blueprint.build_without_bad_keys(texts)
    if not followed.overrides or built.instance is None:
        return built
    followed.beneath = built.instance, head
    taken = {key: text for key, text in texts.items() if key not in built.replaced}
    above = followed.blueprint.build(taken, followed.overrides)
    return above if above.instance is None else built._replace(instance=above.instance)


def _rejected(followed: Followed[Any], head: Head, problems: Mapping[str, str], *, rewound: bool) -> Rejected:
    blueprint, shown = followed.blueprint, followed.shown
    why = explained(
        followed.service,
        problems,
        stored=followed.texts.keys() & blueprint.keys,
        pinned=blueprint.pins.keys(),
        secrets=blueprint.secret_sources(),
    )
    revision = shown.revision if shown is not None else None
    return Rejected(followed.service, head.revision, Stage.VALIDATE, problems, why, revision, rewound)


def _reading(followed: Followed[Any], loaded: Loaded) -> Reading:
    inherited, stand_in = followed.inherited, followed.stand_in
    if followed.head is None and inherited is not None:  # a forked child, and a standby may lack what its parent has
        return judge_whole(loaded, inherited, inherited)
    if followed.head is None or stand_in is None or stand_in.head is None or not stand_in.withheld:
        return judge_loaded(loaded, followed.head)
    return judge_whole(loaded, followed.head, stand_in.head)
