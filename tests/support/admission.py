"""Evaluating ValidatingAdmissionPolicies as an API server does: constraints, conditions, then the CEL of validations.

The expressions run in the CEL project's own runtime, with the extension for strings that Kubernetes has. What it lacks
of Kubernetes' environment (authorizer, quantities, …) no policy of ours uses: it would not compile here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

_VARIABLES: Final = ("object", "oldObject", "request", "namespaceObject")
_ENVIRONMENT: Final = cel.NewEnv(
    variables=dict.fromkeys(_VARIABLES, cel.Type.DYN), extensions=[ext_strings.ExtStrings()]
)


@dataclass(frozen=True)
class Admission:
    """One write, as admission sees it. ``new`` is None for DELETE, ``old`` for CREATE."""

    operation: str
    group: str
    resource: str
    """With its subresource: ``resourcequotas/status``."""
    name: str
    namespace: str
    user: str
    groups: tuple[str, ...] = ()
    new: Mapping[str, Any] | None = None
    old: Mapping[str, Any] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    """Those of the namespace."""

    def variables(self) -> dict[str, Any]:
        """What expressions see. Nothing optional is left out: a key that is not there is an error, as a field is."""
        resource, _, subresource = self.resource.partition("/")
        request = {
            "name": self.name,
            "namespace": self.namespace,
            "operation": self.operation,
            "resource": {"group": self.group, "version": "v1", "resource": resource},
            "subResource": subresource,
            "userInfo": {"username": self.user, "groups": list(self.groups)},
            "dryRun": False,
        }
        space = {"metadata": {"name": self.namespace, "labels": dict(self.labels)}}
        return {"object": self.new, "oldObject": self.old, "request": request, "namespaceObject": space}


def denials(policy: Mapping[str, Any], asked: Admission) -> list[str]:
    """The messages with which ``policy`` refuses; empty where it lets through or has nothing to say."""
    spec, variables = policy["spec"], asked.variables()
    if not matches(spec["matchConstraints"], asked):
        return []
    if not all(holds(each["expression"], variables) for each in spec.get("matchConditions", ())):
        return []
    return [each["message"] for each in spec["validations"] if not holds(each["expression"], variables)]


def matches(constraints: Mapping[str, Any], asked: Admission) -> bool:
    """Whether the policy is asked at all."""
    wanted = constraints.get("namespaceSelector", {}).get("matchLabels", {})
    if any(asked.labels.get(name) != value for name, value in wanted.items()):
        return False
    return any(
        asked.group in rule["apiGroups"]
        and asked.operation in rule["operations"]
        and asked.resource in rule["resources"]
        for rule in constraints["resourceRules"]
    )


def holds(expression: str, variables: Mapping[str, Any]) -> bool:
    """The value of an expression. An error is one: with ``failurePolicy: Fail`` it would refuse everything."""
    value = check(expression).eval(data=dict(variables)).value()
    assert isinstance(value, bool), f"{expression}: {value}"
    return value


@cache
def check(expression: str) -> cel.Expression:
    """Compile it: names, overloads, and that it can be true or false. Raises RuntimeError or AssertionError."""
    compiled = _ENVIRONMENT.compile(expression)
    assert compiled.return_type() in (cel.Type.BOOL, cel.Type.DYN), f"{expression} is {compiled.return_type().name()}"
    return compiled
