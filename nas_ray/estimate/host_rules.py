"""Which operators a compiler leaves to the host processor, by the rules in a device's profile.

A profile lists them in sections `[[host]]`. What one of them holds for runs on the host:

    [[host]]
    kind = "resize"
    when = { mode = "nearest" }
    unless = [{ factor_height = 2, factor_width = 2 }, { positions = 1 }]
    reason = "nearest resizing needs a factor of 2"

`kind` is one kind of `Operator` or several. `when` and `unless` are tables of conditions that hold
together, or lists of such tables of which one must hold; a rule holds where `when` does (always,
if it is left out) and `unless` does not. A condition is a value, a list of values of which the
attribute must have one, or `{ above = ... }` and `{ below = ... }`. Attributes are those of
`operator_attributes.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_ray.errors import DeviceError, nearest
from nas_ray.estimate.operator_attributes import ATTRIBUTES, Attributes, attributes_of
from nas_ray.graph import Graph, Operator

#: Kinds of operators that a rule may be about.
OPERATOR_KINDS = (
    *("conv", "depthwise_conv", "transposed_conv", "linear", "matmul", "max_pool", "avg_pool"),
    *("mean", "softmax", "layer_norm", "batch_norm", "activation", "add", "sub", "mul", "div"),
    *("maximum", "minimum", "concat", "slice", "pad", "resize", "reshape", "transpose", "flip"),
    *("repeat", "gather", "depth_to_space", "space_to_depth"),
)
_TEXTS = ("mode",)
_KEYS = ("kind", "when", "unless", "reason")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Holds where `attribute` has one of `values`, or without any lies between the bounds."""

    attribute: str
    values: tuple[float | str, ...] = ()
    above: float = float("-inf")
    below: float = float("inf")

    def holds(self, attributes: Attributes) -> bool:
        """Tell whether it holds for an operator with these attributes."""
        value = attributes[self.attribute]
        if self.values or isinstance(value, str):
            return value in self.values
        return self.above < value < self.below


#: Conditions that hold together.
Case = tuple[Condition, ...]


@dataclass(frozen=True, kw_only=True)
class HostRule:
    """Operators of `kinds` run on the host where one case of `when` holds and none of `unless`."""

    kinds: tuple[str, ...]
    when: tuple[Case, ...]
    unless: tuple[Case, ...]
    reason: str

    def holds(self, attributes: Attributes) -> bool:
        """Tell whether it holds for an operator of its kinds with these attributes."""
        is_meant = _any(self.when, attributes) if self.when else True
        return is_meant and not _any(self.unless, attributes)


@dataclass(frozen=True, kw_only=True)
class HostOperator:
    """An operator that the host processor runs, and why."""

    name: str
    kind: str
    reason: str


def host_operators(graph: Graph, rules: Sequence[HostRule]) -> tuple[HostOperator, ...]:
    """Return the operators of `graph` that one of `rules` leaves to the host, in their order."""
    found = [(operator, _reason(graph, operator, rules)) for operator in graph.operators]
    return tuple(
        HostOperator(name=operator.name, kind=operator.kind, reason=reason)
        for operator, reason in found
        if reason
    )


def _reason(graph: Graph, operator: Operator, rules: Sequence[HostRule]) -> str:
    mine = [rule for rule in rules if operator.kind in rule.kinds]
    if not mine:
        return ""
    attributes = attributes_of(graph, operator)
    return next((rule.reason for rule in mine if rule.holds(attributes)), "")


def _any(cases: Sequence[Case], attributes: Attributes) -> bool:
    return any(all(one.holds(attributes) for one in case) for case in cases)


def read_host_rules(path: Path, document: Mapping[str, Any]) -> tuple[HostRule, ...]:
    """Return the rules of the profile `document`, none where it has no `[[host]]`.

    Raises DeviceError, with the number of the section, for whatever is wrong in one.
    """
    sections = document.get("host", [])
    if not isinstance(sections, list) or not all(isinstance(one, dict) for one in sections):
        raise DeviceError(
            f"{path}: host must be a list of sections [[host]], but got {sections!r}."
        )
    return tuple(
        _rule(f"{path}: [[host]] number {n}", section) for n, section in enumerate(sections, 1)
    )


def _rule(where: str, section: Mapping[str, Any]) -> HostRule:
    for key in section:
        if key not in _KEYS:
            raise DeviceError(f"{where}: unknown key {key!r}, {nearest(key, _KEYS)}")
    reason = section.get("reason")
    if not isinstance(reason, str) or not reason:
        raise DeviceError(
            f"{where}: reason must say in a few words why the host runs it, but got {reason!r}."
        )
    return HostRule(
        kinds=_kinds(where, section.get("kind")),
        when=_cases(f"{where}: when", section.get("when", [])),
        unless=_cases(f"{where}: unless", section.get("unless", [])),
        reason=reason,
    )


def _kinds(where: str, given: Any) -> tuple[str, ...]:
    kinds = tuple(given) if isinstance(given, list) else (given,)
    for kind in kinds or (None,):
        if kind not in OPERATOR_KINDS:
            raise DeviceError(
                f"{where}: kind must be one kind of operator or a list of them, but got {given!r}; "
                f"{nearest(str(kind), OPERATOR_KINDS)}"
            )
    return kinds


def _cases(where: str, given: Any) -> tuple[Case, ...]:
    cases = [given] if isinstance(given, dict) else given
    if not isinstance(cases, list) or not all(isinstance(case, dict) and case for case in cases):
        raise DeviceError(
            f"{where} must be a table of conditions such as {{ step = {{ above = 3 }} }}, or a "
            f"list of those, but got {given!r}."
        )
    return tuple(
        tuple(_condition(where, name, wanted) for name, wanted in case.items()) for case in cases
    )


def _condition(where: str, name: str, wanted: Any) -> Condition:
    if name not in ATTRIBUTES:
        raise DeviceError(f"{where}: unknown attribute {name!r}, {nearest(name, ATTRIBUTES)}")
    if isinstance(wanted, dict) and name not in _TEXTS:
        above, below = _bounds(f"{where}: {name}", wanted)
        return Condition(attribute=name, above=above, below=below)
    values = tuple(wanted) if isinstance(wanted, list) else (wanted,)
    kind = str if name in _TEXTS else (int, float)
    if not values or not all(isinstance(v, kind) and not isinstance(v, bool) for v in values):
        allowed = "texts" if name in _TEXTS else "numbers, or { above = ... } and { below = ... }"
        raise DeviceError(f"{where}: {name} is compared with {allowed}, but got {wanted!r}.")
    return Condition(attribute=name, values=values)


def _bounds(where: str, wanted: Mapping[str, Any]) -> tuple[float, float]:
    for key, bound in wanted.items():
        is_number = isinstance(bound, (int, float)) and not isinstance(bound, bool)
        if key not in {"above", "below"} or not is_number:
            raise DeviceError(
                f"{where} is bounded by numbers `above` and `below`, but got {key} = {bound!r}."
            )
    if not wanted:
        raise DeviceError(f"{where} has no bound: say {{ above = ... }} or {{ below = ... }}.")
    return float(wanted.get("above", "-inf")), float(wanted.get("below", "inf"))
