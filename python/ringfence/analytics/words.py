"""Words of queries and answers: what people type and read for what rows hold as numbers."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.errors import InvalidInputError
from ringfence.numbering.display import e164
from ringfence.vocabulary import Dataset, NumberClass


def number_text(number: int, raw: str | None, number_class: int) -> str:
    """`+E.164`; else the raw text; else the word of its class (`anonymous`, `absent`)."""
    return e164(number) or raw or NumberClass.word_of(number_class)


def one_of(field: str, value: str, words: Sequence[str]) -> str:
    """`value`, when it is one of `words`; else InvalidInputError that names the field."""
    if value not in words:
        raise InvalidInputError(f"{field}: {value!r} is not one of {', '.join(words)}")
    return value


def parse_dataset(word: str) -> Dataset:
    """`enum` or `sip`; InvalidInputError for anything else."""
    return Dataset[one_of("dataset", word, [dataset.word for dataset in Dataset]).upper()]
