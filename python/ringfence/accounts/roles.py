"""What each role may do: one order, in which every role includes those below it; devices stand apart."""

from __future__ import annotations

from ringfence.accounts.credentials import Identity
from ringfence.database.sight import Sight
from ringfence.errors import InvalidInputError
from ringfence.settings import AccountsSettings
from ringfence.vocabulary import Role

# The roles that a person or a token may be given; a device's credential is made when it is registered.
PERSONAL_ROLES = (Role.VIEWER, Role.ANALYST, Role.EDITOR, Role.ADMINISTRATOR)


def allows(held: Role, needed: Role) -> bool:
    """Whether a credential of role `held` may do what asks for `needed`."""
    if held is Role.DEVICE or needed is Role.DEVICE:
        return held is needed
    return held >= needed


def sight_of(identity: Identity, settings: AccountsSettings) -> Sight:
    """What a person or program sees: its sites, and numbers whole from the role on that the settings say."""
    return Sight(identity.sites, identity.role < parse_role(settings.numbers_from))


def parse_role(word: str) -> Role:
    """The role that a person named; InvalidInputError lists the words that would be right."""
    for role in PERSONAL_ROLES:
        if role.word == word:
            return role
    words = ", ".join(role.word for role in PERSONAL_ROLES)
    raise InvalidInputError(f"role: {word!r} is not a role; expected one of {words}", code="invalid.role")
