"""Who asks, and whether he may: tokens, impersonation and RBAC as the stored roles and bindings say.

Knows the store and the rules, nothing of what the request then does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from hotconfig.testing.kubernetes import rbac
from hotconfig.testing.kubernetes.rbac import ANONYMOUS, Question, Rule, User
from hotconfig.testing.kubernetes.requests import Request
from hotconfig.testing.kubernetes.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    RBAC,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    Resource,
    Target,
)
from hotconfig.testing.kubernetes.statuses import ApiError, forbidden, not_found
from hotconfig.testing.kubernetes.store import Store
from hotconfig.testing.kubernetes.trees import Json, items, part

_USERS: Final = Resource("", "v1", "users", "User", namespaced=False)
_GROUPS: Final = Resource("", "v1", "groups", "Group", namespaced=False)

VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}


def question(request: Request, target: Target | None) -> Question:
    """What a request asks to be allowed."""
    verb = VERBS.get(request.method, request.method.lower())
    if target is None:
        return Question(verb, path=request.path)
    if not target.name:
        collection = {"get": "watch" if request.watches else "list", "delete": "deletecollection"}
        verb = collection.get(verb, verb)
    return about(target, verb)


def about(target: Target, verb: str) -> Question:
    resource = target.resource
    return Question(verb, resource.group, resource.plural, target.subresource, target.name, target.namespace)


class Access:
    """Authentication by bearer token, authorization by the RBAC objects in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.users: dict[str, User] = {}
        """By token."""

    def user(self, request: Request) -> User:
        """Who asks. Raises 401 for an unknown token and 403 for an impersonation that is not granted."""
        scheme, _, token = request.header("authorization").partition(" ")
        if not scheme:
            found = ANONYMOUS
        else:
            known = self.users.get(token.strip()) if scheme.lower() == "bearer" else None
            if known is None:
                raise ApiError(401, "Unauthorized")
            found = known
        return self._impersonated(request, found) if request.header("impersonate-user") else found

    def _impersonated(self, request: Request, user: User) -> User:
        name, groups = request.header("impersonate-user"), tuple(request.headers.get("impersonate-group", ()))
        self._may_impersonate(user, name, groups)
        account = name.split(":") if name.startswith("system:serviceaccount:") else []
        if len(account) == 4 and not groups:
            groups = ("system:serviceaccounts", f"system:serviceaccounts:{account[2]}")
        if name != ANONYMOUS.name and "system:authenticated" not in groups:
            groups = (*groups, "system:authenticated")
        return User(name, groups)

    def _may_impersonate(self, user: User, name: str, groups: Iterable[str]) -> None:
        account = name.split(":") if name.startswith("system:serviceaccount:") else []
        wanted = [(SERVICE_ACCOUNTS, account[3], account[2])] if len(account) == 4 else [(_USERS, name, "")]
        wanted += [(_GROUPS, group, "") for group in groups]
        for resource, each, namespace in wanted:
            self.require(user, about(Target(resource, namespace, each), "impersonate"))

    def require(self, user: User, asked: Question) -> None:
        """Raise the 403 of the server unless ``user`` may."""
        if self.allows(user, asked):
            return
        if asked.path:
            message = f"forbidden: {asked.refusal(user)}"
            raise ApiError(403, message, details={})
        resource = Resource(asked.group, "v1", asked.resource, "")
        raise forbidden(resource, asked.name, asked.refusal(user))

    def allows(self, user: User, asked: Question) -> bool:
        return user.is_master or any(rule.allows(asked) for rule in self.rules(user, asked.namespace))

    def rules(self, user: User, namespace: str) -> Iterator[Rule]:
        """All that ``user`` holds in ``namespace``, what he holds everywhere included."""
        for _, binding in self._store.all(CLUSTER_ROLE_BINDINGS):
            if rbac.binds(user, binding.get("subjects")):
                yield from self._role_rules(binding["roleRef"], "") or ()
        for binding in self._store.within(ROLE_BINDINGS, namespace) if namespace else ():
            if rbac.binds(user, binding.get("subjects"), namespace):
                yield from self._role_rules(binding["roleRef"], namespace) or ()

    def _role_rules(self, reference: Json, namespace: str) -> list[Rule] | None:
        resource = CLUSTER_ROLES if reference.get("kind") == "ClusterRole" else ROLES
        role = self._store.get(resource, "" if resource == CLUSTER_ROLES else namespace, reference["name"])
        return None if role is None else [Rule.read(rule) for rule in items(role, "rules")]

    def check_escalation(self, user: User, target: Target, value: Json) -> None:
        """Raise 403 if writing this role or binding would grant what ``user`` does not hold."""
        resource, name = target.resource, value["metadata"]["name"]
        if resource.group != RBAC or user.is_master:
            return
        granted = self._granted(user, target, value)
        lacking = rbac.missing(list(self.rules(user, target.namespace)), granted)
        if lacking:
            raise forbidden(resource, name, rbac.escalation(user, lacking))

    def _granted(self, user: User, target: Target, value: Json) -> list[Rule]:
        if target.resource in {ROLES, CLUSTER_ROLES}:
            free = self.allows(user, about(target, "escalate"))
            return [] if free else [Rule.read(rule) for rule in items(value, "rules")]
        reference = part(value, "roleRef")
        name = reference.get("name", "")
        role = CLUSTER_ROLES if reference.get("kind") == "ClusterRole" else ROLES
        if self.allows(user, Question("bind", RBAC, role.plural, "", name, target.namespace)):
            return []
        rules = self._role_rules(reference, target.namespace)
        if rules is None:
            raise not_found(role, name)
        return rules
