"""Terms: totally ordered, proven, never made by who does not know the secret; an edge's memory of the highest."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.availability.highest_term import HighestTerm
from ringfence.availability.term import MAX_EPOCH, Term
from ringfence.edge.home import Home, StaleMediationError

SECRET = b"s" * 32
CLUSTER = "ab" * 16
OTHER = "cd" * 16


def term(epoch: int, holder: int = 1, cluster: str = CLUSTER, secret: bytes = SECRET) -> Term:
    return Term.sealed(cluster, epoch, f"{holder:016x}", secret)


terms = st.builds(term, st.integers(1, 5), st.integers(0, 3))


def test_its_text_is_read_back() -> None:
    one = term(MAX_EPOCH, 2**64 - 1)
    assert Term.parse(str(one)) == one


@pytest.mark.parametrize(
    "text", [None, "", "x", "1", str(term(1))[:-1], str(term(1)).upper(), str(term(1)).replace(".1.", ".0."), "é" * 40]
)
def test_other_text_is_no_term(text: str | None) -> None:
    assert Term.parse(text) is None


@given(st.text(max_size=200))
def test_reading_never_fails(text: str) -> None:
    assert Term.parse(text) is None or str(Term.parse(text)) == text


@given(st.lists(terms, min_size=2, max_size=3))
def test_of_two_terms_of_a_cluster_exactly_one_is_above_or_they_are_one(some: list[Term]) -> None:
    for one, other in itertools.permutations(some, 2):
        assert (one == other) + one.is_above(other) + other.is_above(one) == 1


def test_a_term_of_another_cluster_is_never_above() -> None:
    assert not term(9, cluster=OTHER).is_above(term(1))


def test_only_who_knows_the_secret_makes_one() -> None:
    assert term(3).is_proven(SECRET)
    assert not term(3, secret=b"t" * 32).is_proven(SECRET)
    honest = term(3)
    assert not Term(honest.cluster, 4, honest.holder, honest.proof).is_proven(SECRET)


@given(st.lists(terms, max_size=12))
def test_what_an_edge_accepts_never_goes_back(told: list[Term]) -> None:
    highest = HighestTerm()
    accepted = [one for one in told if highest.accept(one)]
    assert accepted == sorted(accepted, key=lambda one: one.order)
    assert highest.term == max(told, key=lambda one: one.order, default=None)


def test_the_highest_outlives_the_edge(tmp_path: Path) -> None:
    file = tmp_path / "enum" / "term.json"
    HighestTerm(file).accept(term(3))
    again = HighestTerm(file)
    assert again.term == term(3)
    assert not again.accept(term(2))
    assert not again.accept(None), "a mediation of before there were terms"
    assert file.stat().st_mode & 0o077 == 0


def test_a_damaged_memory_is_said_and_learnt_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "term.json"
    file.write_text("{", encoding="utf-8")
    highest = HighestTerm(file)
    assert highest.term is None
    assert "term.memory_lost" in capsys.readouterr().out
    assert highest.accept(term(2))
    assert HighestTerm(file).term == term(2)


def test_a_disk_that_keeps_nothing_stops_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    highest = HighestTerm(blocked / "term.json")
    assert highest.accept(term(2))
    assert not highest.accept(term(1))
    assert "term.not_kept" in capsys.readouterr().out


def test_a_cluster_made_anew_counts_and_the_one_that_was_left_only_with_a_higher_term() -> None:
    highest = HighestTerm()
    assert highest.accept(term(4))
    assert highest.accept(term(1, cluster=OTHER)), "its credential was accepted: the device belongs to it"
    assert not highest.accept(term(4))
    assert highest.accept(term(5))


def test_a_stale_mediation_is_left_for_the_next() -> None:
    home = Home(("http://a", "http://b"))
    home.answered(0, term(2))
    home.failed(0, "no answer")
    with pytest.raises(StaleMediationError, match=r"http://b: has epoch 1, but epoch 2 was seen"):
        home.answered(1, term(1))
    assert home.address == "http://a"


def test_a_mediation_that_is_left_is_named_once_with_what_was_wrong_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Also when the scout met the failure, and every other part was called away before it heard of it."""
    home = Home(("http://a", "http://b"))
    home.failed(0, "mediation http://a: certificate has expired")
    home.failed(1, "mediation http://b: no answer")
    home.settle(1)
    told = capsys.readouterr().out
    assert told.count("edge.mediation_changed") == 1
    assert "certificate has expired" in told
    home.answered(1, term(2))
    home.settle(0)
    assert "another has a higher term" in capsys.readouterr().out
