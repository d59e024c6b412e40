"""Main part of a worker process: an executor with the project's settings, on which suites run in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bridge.filecoin.receipts import Log
from hypervisor.errors import HypervisorError
from hypervisor_tools.soltest.cheatcodes.context import Settings
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.cheatcodes.wording import ReadLog
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import Suite
from hypervisor_tools.soltest.execution.executor import ExecutorSettings, TestExecutor, address_of, fork_of, sender_of
from hypervisor_tools.soltest.execution.inline import with_project
from hypervisor_tools.soltest.execution.job import Job
from hypervisor_tools.soltest.execution.results import TestResult
from hypervisor_tools.soltest.report.viewer import TestViewer
from hypervisor_tools.soltest.run.run_test import ContractRunner
from hypervisor_tools.soltest.trace.known_code import KnownCode
from hypervisor_tools.soltest.value_text import value_text

if TYPE_CHECKING:
    from hypervisor_tools.soltest.report.collecting import CoverageByTestCollector, CoverageCollector
    from hypervisor_tools.soltest.report.gas_tracer import GasCollector


class SuiteServer:
    """Runs suites on one executor."""

    def __init__(self, job: Job, send_event: Callable[[str, Any], None]) -> None:
        self.job = job
        self._send_event = send_event
        self._artifacts = Artifacts(job.project.root, job.locations, job.sources, job.test_files)
        self._cheatcodes = Cheatcodes(settings_of(job, self._artifacts))
        self._executor = TestExecutor(executor_settings_of(job), self._cheatcodes)
        self._viewer = viewer_of(job, self._artifacts)
        report = job.options.report
        self._collector = self._collector_of(report) if report and report != "inputs" else None

    def _collector_of(self, report: str) -> CoverageCollector | GasCollector | CoverageByTestCollector:
        if report == "coverage-by-test":
            from hypervisor_tools.soltest.report.collecting import CoverageByTestCollector

            return CoverageByTestCollector(KnownCode(self._artifacts))
        return self._viewer.collector(self._executor.machine, report, self.job.project)

    def run(self, suite: Suite) -> float:
        """Run a suite, and send events through `send_event`; return its seconds.

        Events: `started` with a name; `progress`, `known` and `test` with a result; `collected`; `corpus` with the path
        and the content of a new file. `progress` has interim
        results of a test with many runs; `known` results lack the trace for which the test is repeated.
        """
        return self._executor.machine.stacks.on_one_thread(lambda: self._run(suite))

    def _run(self, suite: Suite) -> float:
        begin = perf_counter()
        run = ContractRunner(
            self._executor, self._artifacts, self.job.project, suite,
            self.job.seed if suite.seed is None else suite.seed, self._send_started,
            self._send_known,
            None if self.job.options.ends_at_failure else self._viewer, self._collector, self._send_progress,
            self.job.options.ends_at_failure, self._send_file,
        )  # fmt: skip
        for result in run.run():
            self._send_event("test", self._sent(result))
        if self._collector is not None:
            self._send_event("collected", self._collector.collect())
        if self.job.options.report == "inputs":
            self._send_event("collected", frozenset(self._cheatcodes.inputs))
        return perf_counter() - begin

    def close(self) -> None:
        """Close the executor."""
        self._executor.close()

    def locate_loop(self, suite: Suite, name: str) -> tuple[str, ...]:
        """Return the stack at which a test loops endlessly; empty if unknown."""

        def found() -> tuple[str, ...]:
            run = ContractRunner(
                self._executor, self._artifacts, self.job.project, suite, self.job.seed, viewer=self._viewer
            )
            return run.loop_stack(name)

        try:
            return self._executor.machine.stacks.on_one_thread(found)
        except HypervisorError:  # it ended differently than before
            return ()

    def _send_known(self, result: TestResult) -> None:
        self._send_event("known", self._sent(result))

    def _sent(self, result: TestResult) -> TestResult:
        """Return a result as it is sent: without logs that no report shows, which may be large."""
        return result if self.job.options.records_logs else replace(result, emitted=())

    def _send_progress(self, result: TestResult) -> None:
        self._send_event("progress", result)

    def _send_file(self, path: Path, data: bytes) -> None:
        self._send_event("corpus", (path.as_posix(), data))

    def _send_started(self, name: str) -> None:
        self._send_event("started", name)


_open: list[SuiteServer] = []


def server_of(job: Job, send_event: Callable[[str, Any], None]) -> SuiteServer:
    """Return the server of a job in this process, which closes that of another job."""
    if not _open or _open[0].job is not job:
        while _open:
            _open.pop().close()
        _open.append(SuiteServer(job, send_event))
    return _open[0]


def viewer_of(job: Job, artifacts: Artifacts) -> TestViewer:
    """Return the viewer of a job."""
    options = job.options
    return TestViewer(
        artifacts, options.rules, options.verbosity, hides_passed=options.hides_passed,
        decodes=options.decodes_internal, by_ir=job.project.compiler.via_ir, records=options.records_traces,
    )  # fmt: skip


def settings_of(job: Job, artifacts: Artifacts) -> Settings:
    """Return the permissions and the environment that the project grants its tests."""
    project = job.project
    known = KnownCode(artifacts)

    @cache
    def structs() -> Mapping[frozenset[str], Sequence[str]]:
        from hypervisor_tools.soltest.execution.values import struct_fields

        return struct_fields(project)

    def event(log: Log) -> ReadLog | None:
        found = known.events.get((log.topics[0], len(log.topics))) if log.topics else None
        read = None if found is None else found.read_log(log)
        if read is None:
            return None
        entry, values = read
        texts = (value_text(item, value) for item, value in zip(entry["inputs"], values, strict=True))
        return ReadLog(entry["name"], tuple(zip((item["name"] for item in entry["inputs"]), texts, strict=True)))

    settings = Settings(
        root=project.root,
        ffi=project.ffi,
        consent=project.consent,
        environment=dict(job.environment),
        seed=job.seed,
        out=project.out,
        artifacts=artifacts.search,
        contracts=known.location,
        struct_order=lambda names: structs().get(names),
        layouts=job.layouts,
        events=event,
        real_filecoin=job.options.real_filecoin,
        shows_logs=job.options.shows_logs,
        rpc_cache=project.rpc_cache,
        forks_offline=project.forks_offline,
    )
    return with_project(settings, project)


def executor_settings_of(job: Job) -> ExecutorSettings:
    """Return the rules and the chain on which the project's tests run."""
    project = job.project
    return ExecutorSettings(
        rules=job.options.rules,
        network=job.network,
        evm=job.options.evm,
        bundle=job.bundle or job.options.bundle,
        overlay=job.overlay,
        fork=fork_of(project),
        gas_limit=project.gas_limit,
        code_limit=project.code_size_limit,
        number=project.block_number,
        timestamp=project.timestamp,
        chain_id=project.chain_id,
        base_fee=project.base_fee,
        coinbase=address_of(project.coinbase),
        sender=sender_of(project),
        balance=project.initial_balance,
        fork_url=job.fork_url,
        fork_number=job.fork_number,
        precompiles=(*project.precompiles, *job.options.precompiles),
    )
