from collections.abc import Callable
from typing import TypeVar

from schemathesis import openapi as openapi

Serializer = TypeVar("Serializer", bound=Callable[[object, object], bytes])

def serializer(*media_types: str) -> Callable[[Serializer], Serializer]: ...
