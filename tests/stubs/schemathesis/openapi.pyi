from collections.abc import Iterator
from typing import Any

from hypothesis.strategies import SearchStrategy
from schemathesis.core.result import Err, Ok

class Operation:
    path: str
    method: str
    def as_strategy(self) -> SearchStrategy[Any]: ...

class Schema:
    def get_all_operations(self) -> Iterator[Ok[Operation] | Err[Exception]]: ...

def from_dict(schema: dict[str, Any]) -> Schema: ...
