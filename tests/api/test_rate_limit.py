"""The token bucket."""

from __future__ import annotations

from ringfence.api.rate_limit import RateLimit


def test_a_burst_then_the_rate() -> None:
    limit = RateLimit(burst=3, per_second=0.5)
    assert [limit.take("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert not limit.take("a", 1.9)
    assert limit.take("a", 2.0)
    assert not limit.take("a", 2.0)
    assert [limit.take("a", 1000.0) for _ in range(4)] == [True, True, True, False]


def test_keys_do_not_share_and_rightful_tries_are_given_back() -> None:
    limit = RateLimit(burst=1, per_second=0.0)
    assert limit.take("a", 0.0)
    assert limit.take("b", 0.0)
    assert not limit.take("a", 0.0)
    limit.give_back("a")
    limit.give_back("unknown")
    assert limit.take("a", 0.0)


def test_memory_is_bounded() -> None:
    limit = RateLimit(burst=1, per_second=0.0, max_keys=100)
    for number in range(10_000):
        limit.take(str(number), 0.0)
    assert len(limit._buckets) == 100
