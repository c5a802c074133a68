from typing import Generic, TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=Exception)

class Ok(Generic[T]):
    def ok(self) -> T: ...

class Err(Generic[E]):
    def err(self) -> E: ...
