"""The objects, their versions and what happened to them: the double's etcd.

Knows nothing of requests, rights or rules. Objects are never changed in place: a write puts a new one where the old one
was, so whoever holds one may read it for as long as he likes. All calls are made under the API's lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hotconfig.testing.kubernetes.resources import Resource
from hotconfig.testing.kubernetes.trees import Json

HISTORY: Final = 10_000
"""How many events a watch can look back on; one that asks for older ones is told 410."""


@dataclass(frozen=True, slots=True)
class Event:
    """One write: ADDED, MODIFIED or DELETED, and the object after it."""

    version: int
    kind: str
    resource: Resource
    value: Json
    before: Json | None = None


class Store:
    """Objects by resource, namespace and name; one counter of versions for all of them."""

    def __init__(self) -> None:
        self.version: int = 200
        self._kept: dict[Resource, dict[str, dict[str, Json]]] = {}
        self._events: deque[Event] = deque(maxlen=HISTORY)

    def get(self, resource: Resource, namespace: str, name: str) -> Json | None:
        return self._kept.get(resource, {}).get(namespace, {}).get(name)

    def within(self, resource: Resource, namespace: str) -> list[Json]:
        """The objects of one namespace, unordered; of cluster-wide resources with the namespace ``""``."""
        return list(self._kept.get(resource, {}).get(namespace, {}).values())

    def all(self, resource: Resource, namespace: str = "") -> list[tuple[str, Json]]:
        """Objects with their keys, in the order of the keys; of every namespace if none is named."""
        spaces = self._kept.get(resource, {})
        if not resource.namespaced:
            return sorted(spaces.get("", {}).items())
        if namespace:
            return sorted(spaces.get(namespace, {}).items())
        return sorted((f"{space}/{name}", each) for space, named in spaces.items() for name, each in named.items())

    def resources(self) -> Iterator[Resource]:
        yield from list(self._kept)

    def put(self, resource: Resource, value: Json) -> Json:
        """Keep ``value`` with the next version, and return it as kept."""
        self.version += 1
        kept = value | {"metadata": value["metadata"] | {"resourceVersion": str(self.version)}}
        space = self._space(resource, kept)
        name = kept["metadata"]["name"]
        before = space.get(name)
        space[name] = kept
        self._events.append(Event(self.version, "MODIFIED" if before else "ADDED", resource, kept, before))
        return kept

    def remove(self, resource: Resource, value: Json) -> None:
        self.version += 1
        gone = value | {"metadata": value["metadata"] | {"resourceVersion": str(self.version)}}
        self._space(resource, value).pop(value["metadata"]["name"], None)
        self._events.append(Event(self.version, "DELETED", resource, gone, value))

    def _space(self, resource: Resource, value: Json) -> dict[str, Json]:
        namespace = value["metadata"].get("namespace", "")
        return self._kept.setdefault(resource, {}).setdefault(namespace, {})

    def since(self, version: int) -> list[Event] | None:
        """The events after ``version``, oldest first; None if they are no longer known."""
        if len(self._events) == HISTORY and self._events[0].version > version + 1:
            return None
        found: list[Event] = []
        for event in reversed(self._events):
            if event.version <= version:
                break
            found.append(event)
        return found[::-1]
