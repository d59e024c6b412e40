"""Commands that run test vectors.

`conformance`, `fevmtest` and `actortest` run Filecoin's; `statetest`, `blocktest` and `t8n` are Ethereum's own tests
and its transition tool.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.options import (
    CORES,
    EVM,
    OWN_ENGINE,
    Engines,
    OverlayFile,
    OwnEngine,
    Workers,
    path_or_name,
)

Paths = Annotated[list[Path], typer.Argument(help="Files or folders of vectors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object per case.")]

_STATUS_NO_CASES = 2


def conformance(
    vectors: Paths,
    bundle_dir: Annotated[
        Path | None,
        typer.Option(help="Additional folder of official bundles (default: bundles/ in FVM_DATA, ../shared)."),
    ] = None,
    workers: Workers = CORES,
    as_json: AsJson = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show the first difference of a failing vector.")] = False,
    trace: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every gas charge to FILE.")] = None,
    against: Annotated[Path | None, typer.Option(metavar="FILE", help="Compare every gas charge with FILE.")] = None,
    bundle: Annotated[
        str | None, typer.Option(metavar="CAR|vN", help="Bundle to use instead of the vectors' own.")
    ] = None,
    overlay: OverlayFile = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="nvN|FILE", help="Network version, or draft of one (.toml), instead of the vectors' own."),
    ] = None,
    parallel: Annotated[
        int,
        typer.Option(min=1, max=256, metavar="N", help="Number of processes that share a vector's messages."),
    ] = 1,
) -> None:
    """Run Filecoin's official vectors. Exit code, return value, gas and state root must match.

    Vectors have the class message or the class tipset, which also checks the receipts root.

    - --diff shows a failing vector's charges by name and in order, and the first state nodes that differ.
    - --trace writes all charges to a file. --against compares with such a file, or with the output of the reference
      oracle's `run --trace`, and shows the first charge that differs.
    - --bundle runs other actors on the vectors' states, which must have the same layouts.
    - --workers is the number of vectors run at once, --parallel the number of processes per vector.
    - --network runs every vector under one version, with a draft's actors if it has some.
    - --overlay changes prices or rules; `hypervisor compare` explains the effects.

    Vectors whose actors are not installed are skipped; the last line counts them and names the remedy.

    Exit status: 0 if every vector passed, 1 if one failed or was skipped, 2 if none was found.

    Example: hypervisor conformance vectors/fvm-nv18 --workers 2
    """
    from hypervisor.bundles.bundle import Bundle
    from hypervisor.installation import check_output
    from hypervisor.machine.opening import load_overlay
    from hypervisor_tools.laboratory.vectors import conformance as runner
    from hypervisor_tools.laboratory.vectors.run_files import RunOptions, run_file, under_network

    check_output(trace, "the traces")
    found = runner.find_vectors(vectors)
    skipped = [path for path in found if runner.is_skipped(path)]
    todo = [path for path in found if path not in skipped]
    if bundle is not None:
        Bundle.open(bundle)  # report an invalid bundle once, not in every worker
    named = None if bundle is None else path_or_name(bundle)
    options = RunOptions(diff, trace is not None, against, load_overlay(overlay), named, parallel)
    options = options if network is None else under_network(options, network)
    bundles = bundle_dir or data_folder("bundles")
    work = partial(run_file, folder=bundles, options=options)
    records = _records(work, todo, workers, "vectors")
    if trace is not None:
        records = _write_traces(records, trace)
    notes = [f"skipped, as by the reference (it needs a failing proof): {path.name}" for path in skipped]
    report(records, as_json, notes)


def fevmtest(
    paths: Paths,
    evm: Annotated[Engines, EVM] = OWN_ENGINE,
    bundle: Annotated[
        str | None,
        typer.Option(metavar="CAR|vN", help="Official bundle of the cases (default: v18-devnet from FVM_DATA)."),
    ] = None,
    workers: Workers = CORES,
    as_json: AsJson = False,
) -> None:
    """Run golden cases of the official EVM actor. Exit code, return value, events and all actor states must match.

    Exit status: 0 if every case passed, 1 if one failed, 2 if none was found.

    Example: hypervisor fevmtest vectors/fevm --json
    """
    from hypervisor.bundles.bundle import Bundle
    from hypervisor_tools.laboratory.vectors import fevm as runner

    files = runner.find_files(paths)
    if bundle is None:
        file = data_folder("bundles") / "v18-devnet.car"
        bundle = str(file) if file.is_file() else file.stem
    Bundle.open(bundle)  # report an invalid bundle once, not in every worker
    named = path_or_name(bundle)
    work = partial(runner.run_file, bundle=named, evm=evm)
    report(_records(work, files, workers, "case files"), as_json, [])


def actortest(
    paths: Paths,
    bundle: Annotated[str, typer.Option(metavar="CAR|vN", help="Bundle of built-in actors.")] = "own-v19",
    workers: Workers = CORES,
    as_json: AsJson = False,
) -> None:
    """Run cases of a built-in actor (nv29's reward). Exit code, return value, events, balances and state must match.

    Exit status: 0 if every case passed, 1 if one failed, 2 if none was found.

    Example: hypervisor actortest vectors/nv29-reward --json
    """
    from hypervisor.bundles.bundle import Bundle
    from hypervisor_tools.laboratory.vectors.fevm import find_files, run_case_file

    files = find_files(paths)
    Bundle.open(bundle)  # report an invalid bundle once, not in every worker
    named = path_or_name(bundle)
    work = partial(run_case_file, bundle=named)
    report(_records(work, files, workers, "case files"), as_json, [])


def _records(
    work: Callable[[Path], list[dict[str, Any]]],
    paths: Sequence[Path],
    workers: int,
    what: str,
) -> Iterator[dict[str, Any]]:
    """Yield the records of all files in order; a failed one for a file that ends worker processes."""
    from hypervisor_tools.jobs.run import run_all

    def lost(path: Path, error: Exception) -> list[dict[str, Any]]:
        failed = {"file": path.as_posix(), "name": path.stem, "fork": "", "index": 0}
        return [{**failed, "pass": False, "error": str(error)}]

    for path, records in zip(paths, run_all(work, paths, workers, what, lost=lost), strict=True):
        for record in records:
            yield {**record, "file": path.as_posix()} if "fork" in record else record


def data_folder(folder: str) -> Path:
    """Return a folder of test data outside the project."""
    return Path(os.environ.get("FVM_DATA", "../shared")) / folder


def _case_name(record: dict[str, Any]) -> str:
    """Return the name of a vector, or of a state test's case with its fork and index."""
    name = str(record.get("vector") or record.get("name") or record.get("file"))
    return f"{name} {record['fork']} {record['index']}" if record.get("fork") else name


def _remedy(actors: int, count: int) -> str:
    return (
        f"{count:,} vectors were not run, since their built-in actors, v{actors}, are not installed: `hypervisor "
        f"bundle fetch v{actors}` downloads those of mainnet, and for example `v{actors}-testing-fake-proofs` those of "
        "test networks; or pass a folder with --bundle-dir"
    )


def _write_traces(records: Iterable[dict[str, Any]], path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records without their traces, which are written to a file."""
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            entry = {"id": f"{record['vector']}:{record['variant']}", "trace": record.pop("trace", [])}
            file.write(json.dumps(entry) + "\n")
            yield record


def report(records: Iterable[dict[str, Any]], as_json: bool, notes: list[str]) -> None:
    """Print every record, or the failures and a summary; end with the status that the contract names."""
    passed = failed = 0
    missing_actors = Counter[int]()
    for record in records:
        passed, failed = passed + record["pass"], failed + (not record["pass"])
        if "lacks" in record:
            missing_actors[record["lacks"]] += 1
        if as_json:
            typer.echo(json.dumps(record))
        elif not record["pass"] and "lacks" not in record:
            typer.echo(f"FAIL  {_case_name(record)}: {record['error']}")
            for line in record.get("diff", ()):
                typer.echo(f"      {line}")
    for note in notes:
        sys.stderr.write(f"{note}\n")
    not_run = f", {missing_actors.total()} not run" if missing_actors else ""
    sys.stderr.write(f"{passed} passed, {failed - missing_actors.total()} failed{not_run}, {len(notes)} skipped\n")
    for actors, count in sorted(missing_actors.items()):
        sys.stderr.write(f"{_remedy(actors, count)}\n")
    if not passed and not failed:
        sys.stderr.write(
            "error: no case was found: pass JSON files in the command's format, or folders with such files; with "
            "--fork, they must have cases of that fork\n"
        )
        raise typer.Exit(_STATUS_NO_CASES)
    if failed:
        raise typer.Exit(1)


def statetest(
    paths: Paths,
    fork: Annotated[str | None, typer.Option(help="Run cases of one fork only (default: all supported forks).")] = None,
    evm: OwnEngine = OWN_ENGINE,
    workers: Workers = CORES,
    as_json: AsJson = False,
    trace: Annotated[bool, typer.Option("--trace", help="Print EIP-3155 steps to standard error.")] = False,
) -> None:
    """Run Ethereum state tests. State root, logs and exception of each case must match.

    Standard error shows the number of cases per fork and the five slowest cases.

    Exit status: 0 if every case passed, 1 if one failed, 2 if none was found.

    Example: hypervisor statetest --fork Cancun GeneralStateTests
    """
    from hypervisor_tools.laboratory.vectors.statetest import run_file

    fork = _check_fork(fork)
    work = partial(run_file, fork=fork, evm=evm, trace=sys.stderr if trace else None)
    _run_all(work, paths, 1 if trace else workers, "files of state tests", as_json)


def blocktest(
    paths: Paths,
    fork: Annotated[
        str | None, typer.Option(help="Run tests of one fork or transition only (default: all supported ones).")
    ] = None,
    evm: OwnEngine = OWN_ENGINE,
    workers: Workers = CORES,
    as_json: AsJson = False,
    trace: Annotated[bool, typer.Option("--trace", help="Print EIP-3155 steps to standard error.")] = False,
) -> None:
    """Run Ethereum blockchain tests: valid and invalid blocks, fork transitions, and the state after them.

    An invalid block must be rejected with an exception that its test names, and must not change the chain.

    Standard error shows the number of tests per fork and the five slowest tests.

    Exit status: 0 if every test passed, 1 if one failed, 2 if none was found.

    Example: hypervisor blocktest --fork ShanghaiToCancunAtTime15k BlockchainTests
    """
    from hypervisor_tools.laboratory.vectors.blocktest import run_file

    fork = _check_fork(fork)
    work = partial(run_file, fork=fork, evm=evm, trace=sys.stderr if trace else None)
    _run_all(work, paths, 1 if trace else workers, "files of blockchain tests", as_json)


def _check_fork(name: str | None) -> str | None:
    """Return the name of a fork or transition with its usual capitalisation. Raises BadParameter if it is unknown."""
    from runtimes.evm.blocks.chain_import import schedule_of
    from runtimes.evm.forks import with_case

    if name is None:
        return None
    fork = with_case(name)
    try:
        schedule_of(fork)
    except InvalidInput as error:
        raise typer.BadParameter(str(error), param_hint="--fork") from None
    return fork


def _run_all(
    work: Callable[[Path], list[dict[str, Any]]],
    paths: list[Path],
    workers: int,
    what: str,
    as_json: bool,
) -> None:
    from hypervisor_tools.laboratory.vectors.statetest import Tally, find_files

    records = _records(work, find_files(paths), workers, what)
    tally = Tally()
    try:
        report(tally.watch(records), as_json, [])
    finally:
        sys.stderr.writelines(f"{line}\n" for line in tally.lines())


def _integer(text: str | int) -> int:
    """Parse a decimal or 0x-prefixed number. Typer also passes the default, which is an int."""
    return int(str(text), 0)


def t8n(
    input_alloc: Annotated[
        str, typer.Option("--input.alloc", help="Pre-state accounts: a file, or stdin.")
    ] = "alloc.json",
    input_env: Annotated[str, typer.Option("--input.env", help="Block environment: a file, or stdin.")] = "env.json",
    input_txs: Annotated[
        str, typer.Option("--input.txs", help="Transactions: a JSON file, a file of hex RLP (.rlp), or stdin.")
    ] = "txs.json",
    output_basedir: Annotated[Path, typer.Option("--output.basedir", help="Output folder.")] = Path(),
    output_alloc: Annotated[
        str, typer.Option("--output.alloc", help="Post-state accounts: a file, stdout or stderr.")
    ] = "alloc.json",
    output_result: Annotated[
        str, typer.Option("--output.result", help="Result with roots and receipts: a file, stdout or stderr.")
    ] = "result.json",
    output_body: Annotated[
        str, typer.Option("--output.body", help="RLP of the applied transactions: a file, stdout or stderr.")
    ] = "",
    fork: Annotated[
        str | None, typer.Option("--state.fork", help="Fork, or transition such as BerlinToLondonAt5 (default: Osaka).")
    ] = None,
    chain_id: Annotated[int, typer.Option("--state.chainid", help="Chain ID.")] = 1,
    reward: Annotated[
        int,
        typer.Option(
            "--state.reward", metavar="WEI", parser=_integer, help="Block reward, shared with ommers; -1 for none."
        ),
    ] = 0,
    evm: OwnEngine = OWN_ENGINE,
    trace: Annotated[
        bool, typer.Option("--trace", help="Write the steps of each transaction to trace-N-HASH.jsonl.")
    ] = False,
) -> None:
    """Run a state transition (t8n): alloc, env and txs are the input, result and alloc the output.

    Exit status: 0, even if transactions were rejected; 3 for an unknown fork or a missing value that the fork requires,
    4 for a missing block hash, 10 for malformed input, 11 if a file cannot be read or written.

    Example: hypervisor t8n --input.alloc alloc.json --input.env env.json --input.txs txs.json --state.fork Cancun
    """
    from hypervisor_tools.laboratory.vectors import t8n

    request = t8n.Request(
        inputs={"alloc": input_alloc, "env": input_env, "txs": input_txs},
        outputs={"alloc": output_alloc, "result": output_result, "body": output_body},
        folder=output_basedir,
        fork=fork,
        chain_id=chain_id,
        reward=reward,
        evm=evm,
        trace=trace,
    )
    raise typer.Exit(t8n.run(request))
