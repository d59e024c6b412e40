"""Metrics of the node at `/metrics`, in Prometheus' text format.

All are read when Prometheus asks for them. Names follow https://prometheus.io/docs/practices/naming.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from hypervisor.threads import CACHES
from localnet.rpc.node import Node
from localnet.rpc.server.executors import Executors
from localnet.rpc.server.metrics import Blocks, Durations


class NodeMetrics:
    """The metrics of a node."""

    def __init__(self, node: Node, executors: Executors, blocks: Blocks) -> None:
        self._node, self._executors, self._blocks = node, executors, blocks
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._registry.register(self)

    def render(self) -> bytes:
        """Return all metrics as text."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, for `prometheus_client`."""
        yield from self._of_requests()
        yield from self._of_queries()
        yield from self._of_chain()
        yield from self._of_store()

    def _of_requests(self) -> Iterator[Metric]:
        requests, node = self._executors.dispatcher.requests, self._node
        yield _histogram("rpc_request_duration", "Requests by method", "method", requests.durations)
        yield _counters("rpc_errors", "Error responses by method", "method", requests.errors)
        yield _gauge("filters", "Installed filters", len(node.filters))
        yield _gauge("subscriptions", "Subscriptions of WebSockets", len(node.subscriptions))

    def _of_queries(self) -> Iterator[Metric]:
        pool = self._executors.queries
        yield _histogram("query_duration", "Executions of queries", "kind", _by_kind(pool.runs))
        yield _histogram("query_wait", "Time that queries waited for a thread", "kind", _by_kind(pool.waits))
        yield _gauges("queries_waiting", "Queries that wait for a thread", "kind", _by_kind(pool.waiting))
        yield _gauges("queries_running", "Queries in execution", "kind", _by_kind(pool.running))
        yield _gauge("query_threads", "Threads of queries, with their sessions", len(pool.threads))
        yield _gauge("query_memory_bytes", "Memory that queries share and hold", pool.memory.held)
        yield _gauge("query_memory_limit_bytes", "Limit of the memory that queries share", self._node.limits.memory)
        yield _gauge("changes_waiting", "Requests that wait for the chain's thread", self._executors.chain.waiting)
        yield _counter("changes_seconds", "Time in which the chain's thread worked", self._executors.chain.seconds)
        hits, misses, entries = Counter[str](), Counter[str](), Counter[str]()
        for cache in tuple(CACHES):
            hits[cache.name] += cache.hits
            misses[cache.name] += cache.misses
            entries[cache.name] += len(cache)
        yield _counters("cache_hits", "Values found in a cache", "cache", hits)
        yield _counters("cache_misses", "Values not found in a cache", "cache", misses)
        yield _gauges("cache_entries", "Values in a cache", "cache", entries)

    def _of_chain(self) -> Iterator[Metric]:
        network, blocks = self._node.network, self._blocks
        yield _gauge("block_height", "Height of the head", network.block_number)
        yield _histogram("block_duration", "Production of blocks", "", {"": blocks.durations})
        yield _counter("messages", "Messages in blocks", blocks.messages)
        yield _counter("gas_used", "Gas that blocks used", blocks.gas)
        yield _counter("reorganizations", "Reorganizations of the chain", blocks.reorganizations)
        yield _gauge("mempool_messages", "Pending messages", len(network.mempool))
        yield _gauge("snapshots", "Snapshots that can be reverted to", len(network.snapshot_tipsets))
        yield _gauge("ready", "1 if the node takes changes", float(not network.chain.write_failure))

    def _of_store(self) -> Iterator[Metric]:
        figures = getattr(self._node.network.machine.base, "figures", None)
        if figures is None:
            return  # a network in memory
        found: Mapping[str, float] = figures()
        yield _gauge("store_size_bytes", "Size of the folder", found["size"])
        yield _gauge("store_buffers_bytes", "Writes in memory", found["buffers"])
        yield _gauge("store_cache_bytes", "RocksDB's cache of blocks", found["cache"])
        yield _counter("store_commits", "Commits to the folder", found["commits"])
        yield _counter("store_commit_seconds", "Time of commits", found["commit_seconds"])
        yield _counter("store_flush_seconds", "Time in which RocksDB wrote buffers to files", found["flush_seconds"])
        yield _counter("store_compaction_seconds", "Time of RocksDB's compactions", found["compaction_seconds"])


def _by_kind(figures: Mapping[Any, Any]) -> dict[str, Any]:
    return {kind.name.lower(): value for kind, value in figures.items()}


def _gauge(name: str, text: str, value: float) -> Metric:
    return _gauges(name, text, "", {"": value})


def _counter(name: str, text: str, value: float) -> Metric:
    return _counters(name, text, "", {"": value})


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _filled(GaugeMetricFamily(f"hypervisor_{name}", text, labels=[label] if label else []), label, values)


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _filled(CounterMetricFamily(f"hypervisor_{name}", text, labels=[label] if label else []), label, values)


def _filled(family: Any, label: str, values: Mapping[str, float]) -> Metric:
    for name, value in tuple(values.items()):
        family.add_metric([name] if label else [], value)
    return family  # type: ignore[no-any-return]


def _histogram(name: str, text: str, label: str, values: Mapping[str, Durations]) -> Metric:
    family = HistogramMetricFamily(f"hypervisor_{name}_seconds", text, labels=[label] if label else [])
    for key, found in tuple(values.items()):
        family.add_metric([key] if label else [], found.buckets(), found.seconds)
    return family
