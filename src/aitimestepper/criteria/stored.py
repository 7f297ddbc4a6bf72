"""Criteria as plain values, in which files of snapshots hold them; networks and functions of a user's own are apart."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..errors import ConfigError, UserError
from ..models import Model
from .agent import AgentCriterion
from .base import Criterion
from .catalogue import CRITERIA
from .learned import LearnedStep
from .own import OwnCriterion
from .wrappers import Huayno, HutMakinoMcMillan, Limited, Symmetrized

KINDS: dict[str, type[Criterion]] = {
    c.__name__: c
    for c in (
        *CRITERIA.values(),
        LearnedStep,
        OwnCriterion,
        AgentCriterion,
        Limited,
        Symmetrized,
        Huayno,
        HutMakinoMcMillan,
    )
}
APART = (("model", Model), ("function", object))  # fields that are no plain values, and their types


def criterion_to_plain(criterion: Criterion) -> dict[str, Any]:
    """Return kind and fields of a criterion, inside it those of the one that it wraps."""
    plain: dict[str, Any] = {"kind": type(criterion).__name__}
    for field in dataclasses.fields(criterion):
        value = getattr(criterion, field.name)
        if field.name not in dict(APART):
            plain[field.name] = criterion_to_plain(value) if isinstance(value, Criterion) else value
    return plain


def criterion_from_plain(plain: Any, model: Model | None, function: Any) -> Criterion:
    """Return the criterion that plain values describe, with its network or its function; anything else is a `UserError`."""
    try:
        kind = KINDS[plain["kind"]]
        given = {name: value for name, value in plain.items() if name != "kind"}
        for field in dataclasses.fields(kind):
            if field.name == "criterion":
                given["criterion"] = criterion_from_plain(given["criterion"], model, function)
            elif field.name in dict(APART):
                given[field.name] = model if field.name == "model" else function
            elif isinstance(given[field.name], list):
                given[field.name] = tuple(given[field.name])
        return kind(**given)
    except UserError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise ConfigError(f"the criterion {str(plain)[:60]} is none ({type(error).__name__})") from None
