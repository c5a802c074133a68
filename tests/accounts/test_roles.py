"""Roles: each includes those below; devices stand apart."""

from __future__ import annotations

import pytest

from ringfence.accounts.roles import allows, parse_role
from ringfence.errors import InvalidInputError
from ringfence.vocabulary import Role


@pytest.mark.parametrize("held", list(Role))
@pytest.mark.parametrize("needed", list(Role))
def test_a_role_includes_those_below_and_devices_stand_apart(held: Role, needed: Role) -> None:
    if Role.DEVICE in (held, needed):
        assert allows(held, needed) == (held is needed)
    else:
        order = [Role.VIEWER, Role.ANALYST, Role.EDITOR, Role.ADMINISTRATOR]
        assert allows(held, needed) == (order.index(held) >= order.index(needed))


@pytest.mark.parametrize("word", ["device", "root", "", "Viewer"])
def test_an_unknown_role_is_refused_with_the_words_that_would_be_right(word: str) -> None:
    with pytest.raises(InvalidInputError, match="expected one of viewer, analyst, editor, administrator"):
        parse_role(word)
