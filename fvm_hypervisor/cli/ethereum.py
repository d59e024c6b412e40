"""`hypervisor statetest`, `blocktest` and `t8n`: Ethereum's own tests and its transition tool."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from fvm_hypervisor.cli.options import OWN_ENGINE, OwnEngine
from fvm_hypervisor.cli.vectors import CORES, AsJson, Paths, Workers, report


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
    from fvm_hypervisor.laboratory.vectors.statetest import run_file

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
    from fvm_hypervisor.laboratory.vectors.blocktest import run_file

    fork = _check_fork(fork)
    work = partial(run_file, fork=fork, evm=evm, trace=sys.stderr if trace else None)
    _run_all(work, paths, 1 if trace else workers, "files of blockchain tests", as_json)


def _check_fork(name: str | None) -> str | None:
    """Return the name of a fork or transition with its usual capitalisation. Raises BadParameter if it is unknown."""
    from hypervisor.errors import InvalidInput
    from runtimes.evm.ethereum import schedule_of, with_case

    if name is None:
        return None
    fork = with_case(name)
    try:
        schedule_of(fork)
    except InvalidInput as error:
        raise typer.BadParameter(str(error), param_hint="--fork") from None
    return fork


def _run_all(
    work: Callable[[Path], list[dict[str, Any]]], paths: list[Path], workers: int, what: str, as_json: bool
) -> None:
    """Run the files in worker processes, and report the records with a summary per fork."""
    from fvm_hypervisor.laboratory.pool import run_all
    from fvm_hypervisor.laboratory.vectors.statetest import find_files
    from fvm_hypervisor.laboratory.vectors.tally import Tally

    results = run_all(work, find_files(paths), workers, what)
    tally = Tally()
    try:
        report(tally.watch(record for records in results for record in records), as_json, [])
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
    from fvm_hypervisor.laboratory.vectors import t8n_files

    request = t8n_files.Request(
        inputs={"alloc": input_alloc, "env": input_env, "txs": input_txs},
        outputs={"alloc": output_alloc, "result": output_result, "body": output_body},
        folder=output_basedir,
        fork=fork,
        chain_id=chain_id,
        reward=reward,
        evm=evm,
        trace=trace,
    )
    raise typer.Exit(t8n_files.run(request))
