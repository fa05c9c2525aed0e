"""Thousands of objects of one kind say the same words: they need to be kept once.

Parsing makes each word, and each model's set of the fields that were given, anew. Shared, a rollout takes half.
"""

import sys
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

LONGEST_WORD = 40
"""Characters: what is longer is a sentence, an address or a digest, and hardly ever said twice."""


class Sharing:
    """Knows the sets of fields that were met; there are few for each kind of model."""

    def __init__(self) -> None:
        self._sets: dict[frozenset[str], set[str]] = {}

    def share(self, model: BaseModel) -> None:
        """Have the model and all in it use the words and sets of others; what it says stays the same.

        Nobody changes a model's set of given fields in place: a model is frozen, and a copy has a copy of the set.
        """
        given = frozenset(model.__pydantic_fields_set__)
        object.__setattr__(model, "__pydantic_fields_set__", self._sets.setdefault(given, set(given)))
        values = model.__dict__
        for name, value in values.items():
            match value:
                case BaseModel():
                    self.share(value)
                case str() if type(value) is str and len(value) <= LONGEST_WORD:
                    values[name] = sys.intern(value)
                case list() | tuple():
                    for item in value:
                        if isinstance(item, BaseModel):
                            self.share(item)
                case _:
                    pass


def shared(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return the same JSON value whose keys and short words are those of others."""
    match value:
        case str():
            return sys.intern(value) if type(value) is str and len(value) <= LONGEST_WORD else value
        case Mapping():
            return {sys.intern(key): shared(item) for key, item in value.items()}
        case list():
            return [shared(item) for item in value]
        case _:
            return value
