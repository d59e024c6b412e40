"""A thread-safe LRU cache."""

from __future__ import annotations

from hypervisor.recent import Recent


def test_concurrently_made_value_is_the_first_and_counted_once() -> None:
    """Both miss; the second one offers its value after the first has cached its own."""
    cache: Recent[str, object] = Recent(250)
    first, second, other = object(), object(), object()
    assert cache.get("shared") is None
    assert cache.get("shared") is None
    assert cache.keep("shared", first, 100) is first
    assert cache.keep("shared", second, 100) is first
    assert cache.keep("other", other, 100) is other
    assert cache.get("shared") is first
    assert len(cache) == 2


def test_newest_entry_stays_and_least_recently_used_is_evicted() -> None:
    cache: Recent[str, str] = Recent(100)
    for name in ("a", "b"):
        cache.keep(name, name, 50)
    assert cache.get("a") == "a"
    cache.keep("c", "c", 50)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("a", None, "c")
    cache.keep("large", "large", 1_000)
    assert (cache.get("a"), cache.get("c"), cache.get("large")) == (None, None, "large")
