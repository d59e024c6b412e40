"""A thread-safe LRU cache."""

from hypervisor.bounded_cache import BoundedCache


def test_concurrently_made_value_is_the_first_and_counted_once() -> None:
    """Both miss; the second one offers its value after the first has cached its own."""
    cache: BoundedCache[str, object] = BoundedCache(250)
    first, second, other = object(), object(), object()
    assert cache.get("shared") is None
    assert cache.get("shared") is None
    assert cache.setdefault("shared", first, 100) is first
    assert cache.setdefault("shared", second, 100) is first
    assert cache.setdefault("other", other, 100) is other
    assert cache.get("shared") is first
    assert len(cache) == 2


def test_newest_entry_stays_and_least_recently_used_is_evicted() -> None:
    cache: BoundedCache[str, str] = BoundedCache(100)
    for name in ("a", "b"):
        cache.setdefault(name, name, 50)
    assert cache.get("a") == "a"
    cache.setdefault("c", "c", 50)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("a", None, "c")
    cache.setdefault("large", "large", 1_000)
    assert (cache.get("a"), cache.get("c"), cache.get("large")) == (None, None, "large")


def test_put_replaces_a_value_and_drops_one_above_the_limit() -> None:
    cache: BoundedCache[str, int] = BoundedCache(100)
    cache.put("a", 1, 60)
    cache.put("a", 2, 40)  # in the place of the first, not beside it
    cache.put("b", 3, 60)
    assert (cache.get("a"), cache.get("b")) == (2, 3)
    cache.put("c", 4, 50)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (None, None, 4)
    cache.put("d", 5, 101)
    assert (cache.get("c"), cache.get("d")) == (4, None)
