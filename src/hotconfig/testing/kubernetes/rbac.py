"""Who may do what: rules, the question of a request, and the check that nobody grants more than he holds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hotconfig.testing.kubernetes.trees import Json, items


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, as authentication found."""

    name: str
    groups: tuple[str, ...] = ()

    @property
    def is_master(self) -> bool:
        return "system:masters" in self.groups


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a verb on a resource, or on a path that is none."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def refusal(self, user: User) -> str:
        """The words of the server for "no"."""
        if self.path:
            return f'User "{user.name}" cannot {self.verb} path "{self.path}"'
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return (
            f'User "{user.name}" cannot {self.verb} resource "{self.full_resource}" in API group "{self.group}" {where}'
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a role."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @classmethod
    def read(cls, rule: Json) -> Rule:
        return cls(
            tuple(items(rule, "verbs")),
            tuple(items(rule, "apiGroups")),
            tuple(items(rule, "resources")),
            tuple(items(rule, "resourceNames")),
            tuple(items(rule, "nonResourceURLs")),
        )

    def written(self) -> Json:
        found = {
            "verbs": self.verbs,
            "apiGroups": self.groups,
            "resources": self.resources,
            "resourceNames": self.names,
            "nonResourceURLs": self.paths,
        }
        return {key: list(value) for key, value in found.items() if value}

    def allows(self, question: Question) -> bool:
        if not _among(question.verb, self.verbs):
            return False
        if question.path:
            return any(path == question.path or _prefix(path, question.path) for path in self.paths)
        if not _among(question.group, self.groups) or (self.names and question.name not in self.names):
            return False
        wanted = {"*", question.full_resource}
        if question.subresource:
            wanted.add(f"*/{question.subresource}")
        return not wanted.isdisjoint(self.resources)

    def parts(self) -> Iterator[Rule]:
        """The rule as rules of one verb on one thing each."""
        for group in self.groups:
            for resource in self.resources:
                for verb in self.verbs:
                    for name in self.names or ("",):
                        yield Rule((verb,), (group,), (resource,), (name,) if name else ())
        for path in self.paths:
            for verb in self.verbs:
                yield Rule((verb,), paths=(path,))

    def covers(self, part: Rule) -> bool:
        """Whether this rule holds all that ``part``, a rule of one thing, grants."""
        if not _among(part.verbs[0], self.verbs):
            return False
        if part.paths:
            return any(path == part.paths[0] or _prefix(path, part.paths[0]) for path in self.paths)
        if not _among(part.groups[0], self.groups) or (self.names and not set(part.names) & set(self.names)):
            return False
        resource = part.resources[0]
        _, slash, subresource = resource.partition("/")
        return not {"*", resource, f"*/{subresource}" if slash else resource}.isdisjoint(self.resources)

    def __str__(self) -> str:
        """As Kubernetes prints it when it tells what is not held."""
        shown = [
            f"{label}:[{' '.join(quoted(value) for value in values)}]"
            for label, values in (
                ("APIGroups", self.groups),
                ("Resources", self.resources),
                ("NonResourceURLs", self.paths),
                ("ResourceNames", self.names),
                ("Verbs", self.verbs),
            )
            if values
        ]
        return "{" + ", ".join(shown) + "}"


def quoted(text: str) -> str:
    return f'"{text}"'


def _among(value: str, listed: Sequence[str]) -> bool:
    return "*" in listed or value in listed


def _prefix(pattern: str, path: str) -> bool:
    return pattern.endswith("*") and path.startswith(pattern[:-1])


def missing(held: Sequence[Rule], granted: Iterable[Rule]) -> list[Rule]:
    """What ``granted`` holds beyond ``held``, gathered by group and resource."""
    found: dict[tuple[Any, ...], Rule] = {}
    for part in (part for rule in granted for part in rule.parts()):
        if not any(rule.covers(part) for rule in held):
            key = (part.groups, part.resources, part.names, part.paths)
            known = found.get(key)
            found[key] = part if known is None else replace(known, verbs=(*known.verbs, *part.verbs))
    return list(found.values())


def escalation(user: User, lacking: Iterable[Rule]) -> str:
    """The words for granting what one does not hold."""
    groups = " ".join(quoted(group) for group in user.groups)
    lines = "\n".join(sorted({str(rule) for rule in lacking}))
    return (
        f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n{lines}'
    )


def binds(user: User, subjects: Iterable[Json] | None, namespace: str = "") -> bool:
    """Whether ``user`` is one of the subjects of a binding in ``namespace``."""
    for subject in subjects or ():
        kind, name = subject.get("kind"), subject.get("name", "")
        if kind == "ServiceAccount":
            name = f"system:serviceaccount:{subject.get('namespace', namespace)}:{name}"
        if (kind == "Group" and name in user.groups) or (kind in {"User", "ServiceAccount"} and name == user.name):
            return True
    return False
