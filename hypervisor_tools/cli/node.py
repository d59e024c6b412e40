"""`hypervisor node`: a local network served on a TCP port; `hypervisor explore`: the explorer of a chain's folder.

Options shared with anvil have anvil's names; unsupported ones are rejected with the reason or a replacement.
"""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import closing, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

import typer

from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor_tools.cli import node_settings as forks
from hypervisor_tools.cli.folders import open_chain
from hypervisor_tools.cli.node_settings import (
    Features,
    NodeOverlay,
    Orchestrator,
    Ramp,
    Sra,
    Swa,
    Timelock,
    Trust,
    Upgrades,
    Version,
    filecoin_option,
    network_options,
)
from hypervisor_tools.cli.node_settings import streams as asked_streams
from hypervisor_tools.cli.options import (
    Engines,
    ForeignOptions,
    Precompiles,
    VerifyProofs,
    available_engine,
    in_panel,
    parse_precompiles,
    parse_rules_name,
    proof_verifier,
    refuse_nan,
    rules_of_options,
    status_line,
)

if TYPE_CHECKING:
    from hypervisor.versions.overlay import Overlay
    from localnet import Network

_server_option, _chain_option = in_panel("Server"), in_panel("Chain and state")
_account_option, _block_option = in_panel("Accounts"), in_panel("Blocks")
_FOLDER = "Folder of the chain; an existing chain is continued (default: in memory)."
_LOAD = "Load the state from a file written by --dump-state or anvil_dumpState; with --rules ethereum also by anvil."
_DUMP = "Write the state to this file on exit; with --rules ethereum in anvil's JSON format."
_HOST = "Address to listen on. If it is not a loopback address, the node signs for no account without --unlock."
_DEFERRED = "Publish receipts one block later, as on the Filecoin network."
_INDEX = "Store an index by address and topic, for old messages and events in the explorer and in ots_ methods."
_ACTOR_LOGS = "Print the logs of native actors, such as `f0105 tip_jar: ...`. Logging costs them gas."
_RULES = "Rules for gas, fees and blocks: filecoin, ethereum, or installed ones (default: the folder's, or filecoin)."
_LAB = "With --rules lab: lab to enable; repeatable or separated by commas (docs/labs; `hypervisor doctor` lists them)."
_CHAIN_ID = "Chain ID of a new chain (default: 31415926, with --rules ethereum 31337)."
_KEEP = "Number of recent blocks whose states are retained (default: 4100; with --state all)."
_TIMESTAMP = "Start time of the node's clock in Unix seconds, and the timestamp of a new chain's genesis."
_BASE_FEE = "Base fee of the next block in attoFIL per gas."
_GAS_LIMIT = "With --rules ethereum: block gas limit (default: 30000000)."
_HARDFORK = (
    "With --rules ethereum: frontier, homestead, tangerinewhistle, spuriousdragon, byzantium, constantinople, "
    "petersburg, istanbul, muirglacier, berlin, london, arrowglacier, grayglacier, paris, shanghai, cancun, prague, "
    "osaka, bpo1, bpo2, amsterdam (draft) (default: osaka)."
)
_NO_GAS_LIMIT = "With --rules ethereum: use the largest block gas limit."
_QUERY_TIME = "Time limit of a read-only request, such as a call or an estimate. Default: 5, on a fork 60."
_TIME = 5.0
"""Time limit of a query in seconds, unless the network is a fork of an Ethereum network."""
_TRACE_TIME = "Time limit of a request for a trace."
_TOKENS = "File with bearer tokens and their rights, a line TOKEN RIGHT NAME each; others may only read."
_CLIENT_QUERIES = "Concurrent queries and traces of a client (a token, or else an address); further ones wait."
_CLIENT_RATE = "Requests per second of a client."
_BATCH_TIME = "Time after which the rest of a client's batch is refused."
_FORWARDED = "Take the addresses of clients from X-Forwarded-For, which a proxy sets."
_LOG_LEVEL = (
    "Log with time stamps from this level on: debug, info, warning, error; for one area: requests, or a package of "
    "localnet, such as rpc; repeatable."
)
_LOG_FORMAT = "Log with time stamps, as text or json."
_QUERY_MEMORY = "Memory that all queries and traces share (default: a quarter of the machine's, at most 1024)."
_PARALLEL = "Number of processes that execute a block's messages. Results do not depend on it."
_OPEN_FILES = 10_240
"""Maximum number of open files that macOS accepts."""
_THROWS = "Respond with an error to eth_sendTransaction and eth_sendRawTransaction if execution fails, as Hardhat does."
_FUNDS = "Genesis balance of each account in FIL, at its Ethereum and its native address (default: 10000)."


def node(
    port: Annotated[int, _server_option("--port", "-p", min=0, max=65535, help="Port; 0 selects a free port.")] = 8545,
    host: Annotated[str, _server_option(metavar="IP", help=_HOST)] = "127.0.0.1",
    ready_file: Annotated[
        Path | None, _server_option(metavar="PATH", help="Write the URL to this file when the node is ready.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, _server_option(metavar="NAME", help="Additional host name to accept; * accepts any.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, _server_option(metavar="URL", help="Additional CORS origin; * allows any.")
    ] = None,
    query_time: Annotated[
        float | None, _server_option(min=0.001, callback=refuse_nan, metavar="SECONDS", help=_QUERY_TIME)
    ] = None,
    trace_time: Annotated[
        float, _server_option(min=0.001, callback=refuse_nan, metavar="SECONDS", help=_TRACE_TIME)
    ] = 30.0,
    token_file: Annotated[Path | None, _server_option(metavar="FILE", help=_TOKENS)] = None,
    client_queries: Annotated[int | None, _server_option(min=1, metavar="N", help=_CLIENT_QUERIES)] = None,
    client_rate: Annotated[
        float | None, _server_option(min=0.001, callback=refuse_nan, metavar="N", help=_CLIENT_RATE)
    ] = None,
    batch_time: Annotated[
        float | None, _server_option(min=0.001, callback=refuse_nan, metavar="SECONDS", help=_BATCH_TIME)
    ] = None,
    trust_forwarded: Annotated[bool, _server_option("--trust-forwarded", help=_FORWARDED)] = False,
    log_level: Annotated[list[str] | None, _server_option(metavar="[AREA=]LEVEL", help=_LOG_LEVEL)] = None,
    log_format: Annotated[str | None, _server_option(metavar="FORMAT", help=_LOG_FORMAT)] = None,
    query_memory: Annotated[int | None, _server_option(min=1, metavar="MIB", help=_QUERY_MEMORY)] = None,
    no_cors: Annotated[bool, _server_option("--no-cors", help="Allow no other CORS origin (default).")] = False,
    config_out: Annotated[
        Path | None, _server_option(metavar="FILE", help="Write accounts and keys to this file as JSON.")
    ] = None,
    silent: Annotated[bool, _server_option("--silent", "--quiet", "-q", help="Print errors only.")] = False,
    state: Annotated[Path | None, _chain_option(metavar="DIR", help=_FOLDER)] = None,
    dump_state: Annotated[Path | None, _chain_option(metavar="FILE", help=_DUMP)] = None,
    keep_states: Annotated[int | None, _chain_option(min=1, metavar="N", help=_KEEP)] = None,
    fork_url: forks.ForkUrl = None,
    fork_block_number: forks.ForkBlock = None,
    fork_transaction_hash: forks.ForkTransaction = None,
    fork_chain_id: forks.ForkChainId = None,
    fork_header: forks.ForkHeaders = None,
    timeout: forks.Timeout = 45_000,
    retries: forks.RetryCount = 5,
    fork_retry_backoff: forks.RetryBackoff = 1_000,
    compute_units_per_second: forks.ComputeUnits = 330,
    no_rate_limit: forks.NoRateLimit = False,
    no_storage_caching: forks.NoStorageCaching = False,
    offline: forks.Offline = False,
    load_state: Annotated[Path | None, _chain_option(metavar="FILE", help=_LOAD)] = None,
    load_state_limit: Annotated[
        int, _chain_option(min=1, metavar="MIB", help="Maximum decompressed size of that state in MiB.")
    ] = 64,
    chain_id: Annotated[int | None, _chain_option(metavar="ID", help=_CHAIN_ID)] = None,
    bare: Annotated[
        bool, _chain_option("--bare", help="Create the genesis without Multicall3 and the CREATE2 deployer.")
    ] = False,
    artifacts: Annotated[
        list[Path] | None,
        _chain_option(
            metavar="DIR",
            help="Folder of compiled contracts, for names and source lines of failures (default: out, artifacts).",
        ),
    ] = None,
    accounts: Annotated[
        int | None, _account_option("--accounts", "-a", min=1, max=1000, help="Number of accounts (default: 10).")
    ] = None,
    balance: Annotated[str | None, _account_option(metavar="FIL", help=_FUNDS)] = None,
    mnemonic: Annotated[
        str | None,
        _account_option("--mnemonic", "-m", metavar="WORDS", help="BIP-39 mnemonic (default: test ... junk)."),
    ] = None,
    derivation_path: Annotated[
        str, _account_option(metavar="PATH", help="BIP-32 derivation path of the accounts.")
    ] = "m/44'/60'/0'/0/",
    unlock: Annotated[bool, _account_option("--unlock", help="Sign for all clients, including remote ones.")] = False,
    auto_impersonate: Annotated[
        bool, _account_option("--auto-impersonate", help="Allow eth_sendTransaction from any address.")
    ] = False,
    throw_on_transaction_failures: Annotated[
        bool, _server_option("--throw-on-transaction-failures", help=_THROWS)
    ] = False,
    timestamp: Annotated[int | None, _chain_option(min=0, metavar="SECONDS", help=_TIMESTAMP)] = None,
    block_base_fee_per_gas: Annotated[
        int | None, _block_option("--block-base-fee-per-gas", "--base-fee", min=0, metavar="ATTOFIL", help=_BASE_FEE)
    ] = None,
    gas_limit: Annotated[int | None, _block_option(min=1, metavar="GAS", help=_GAS_LIMIT)] = None,
    disable_block_gas_limit: Annotated[bool, _block_option("--disable-block-gas-limit", help=_NO_GAS_LIMIT)] = False,
    order: Annotated[Literal["fees", "fifo"], _block_option(help="Order of pending transactions.")] = "fees",
    no_mining: Annotated[bool, _block_option("--no-mining", "--no-mine", help="Mine only on request.")] = False,
    block_time: Annotated[
        float | None, _block_option("--block-time", "-b", metavar="SECONDS", help="Mine a block every SECONDS seconds.")
    ] = None,
    parallel: Annotated[int, _block_option(min=1, max=256, metavar="N", help=_PARALLEL)] = 1,
    null_rate: Annotated[
        float, _block_option(metavar="SHARE", help="With --block-time: share of epochs without a block (0 to 1).")
    ] = 0.0,
    no_explorer: Annotated[bool, _server_option("--no-explorer", help="Serve JSON-RPC only.")] = False,
    index: Annotated[bool, _server_option("--index", help=_INDEX)] = False,
    deferred: Annotated[bool, _block_option("--deferred", help=_DEFERRED)] = False,
    rules: Annotated[str | None, _chain_option(metavar="NAME", help=_RULES, callback=parse_rules_name)] = None,
    lab: Annotated[list[str] | None, _chain_option(metavar="NAME[=OPTION][,...]", help=_LAB)] = None,
    hardfork: Annotated[str | None, _chain_option(metavar="NAME", help=_HARDFORK)] = None,
    bundle: Annotated[
        str | None,
        filecoin_option(metavar="CAR|vN", help="Official bundle of built-in actors (default: this project's own)."),
    ] = None,
    evm: Annotated[
        Engines | None,
        filecoin_option(
            callback=available_engine,
            help="EVM engine (default: official if the bundle has an EVM actor, otherwise fast).",
        ),
    ] = None,
    network: Version = None,
    overlay: NodeOverlay = None,
    feature: Features = None,
    upgrade: Upgrades = None,
    trust: Trust = False,
    swa: Swa = None,
    sra: Sra = None,
    orchestrator: Orchestrator = None,
    ramp: Ramp = None,
    timelock: Timelock = None,
    precompile: Precompiles = None,
    verify_proofs: VerifyProofs = None,
    actor_logs: Annotated[bool, filecoin_option("--actor-logs", help=_ACTOR_LOGS)] = False,
) -> None:
    """Run a local network that serves JSON-RPC for Ethereum and Filecoin tools.

    The accounts' keys are public: use them locally only. With --state, transactions with a receipt survive a crash of
    the process. The node prints a line per transaction and the console.log output of contracts. Failures show the
    call trace with names and source lines from artifacts in this folder (out/ of Foundry, artifacts/ of Hardhat).
    Storage proofs are accepted without a check, unless --verify-proofs is passed. The explorer is served at the node's
    URL.

    --bundle takes a CAR file or a release fetched by `hypervisor bundle fetch`. --swa, --sra, --orchestrator, --ramp
    and --timelock apply to a new chain, or to an upgrade to network version 29 planned by --upgrade.

    Example: hypervisor node

    Example: hypervisor node --bundle v18-devnet --state chain --port 1234

    Example: hypervisor node --network nv30-draft.toml

    Example: hypervisor node --rules ethereum

    Example: hypervisor node --rules lab --lab lanes
    """
    from bridge.ethereum.block import ETHEREUM
    from hypervisor.installation import AUTO, read_bounded
    from hypervisor.machine.opening import IN_MEMORY
    from hypervisor.types import whole_number
    from hypervisor.versions.features import with_features
    from hypervisor_tools.cli.node_settings import banner, config
    from hypervisor_tools.verification.application import NodeVerification
    from localnet.accounts import TEST_MNEMONIC
    from localnet.chain.clock import LATEST_TIME
    from localnet.console import Console
    from localnet.contracts.argument_texts import parse_amount
    from localnet.explorer.application import explorer
    from localnet.ledger.address_index import FILE, AddressIndex
    from localnet.ledger.records import MAX_GAS_LIMIT
    from localnet.network import Network
    from localnet.rpc.node import FORK_QUERY_TIME, BlockTimer, NodeLimits, default_query_memory
    from localnet.rpc.server.access import ClientLimits
    from localnet.rpc.server.clients import Access
    from localnet.rpc.server.logs import configure
    from localnet.rpc.server.server import Server, is_external
    from localnet.rpc.server.server import ready_file as write_ready_file
    from localnet.rpc.tokens import Tokens

    if null_rate and not block_time:
        raise InvalidInput(f"--null-rate {null_rate:g} needs blocks at intervals: pass --block-time too")
    if no_cors and allow_origin:
        raise InvalidInput(f"--no-cors and --allow-origin {allow_origin[0]} cannot be used together: omit one of them")
    if gas_limit is not None and disable_block_gas_limit:
        raise InvalidInput(f"--gas-limit {gas_limit} and --disable-block-gas-limit cannot be used together")
    if hardfork is not None and not hardfork.strip():
        raise InvalidInput("--hardfork has an empty name: name a hardfork, or omit the option for the default")
    version = network_options(network, overlay, upgrade, bundle, trust, fork_url is not None)
    version["overlay"] = with_features(feature or (), version["overlay"])
    interval = BlockTimer(block_time or 0, null_rate)
    words, funds = mnemonic or TEST_MNEMONIC, None if balance is None else parse_amount(balance)
    ahead = 0.0
    if timestamp is not None:
        ahead = whole_number(timestamp, "a time", 0, LATEST_TIME) - time.time()
    loaded = None if load_state is None else read_bounded(load_state, load_state_limit << 20, "the state")
    if dump_state is not None:
        _check_writable(dump_state)
    if ready_file is not None and ready_file.is_file():
        ready_file.unlink()  # delete the file of a killed node, so that no client reads it before this node is ready
    if actor_logs and not silent:
        _print_actor_logs()
    if log_format not in (None, "text", "json"):
        raise InvalidInput(f"--log-format {log_format}: expected text or json")
    if log_level or log_format:
        configure(log_level or (), log_format == "json")
    elif silent:
        logging.disable(logging.WARNING)  # silence warnings about malformed HTTP requests; errors are still logged
    with nullcontext() if silent else status_line("starting (modules without a cached compilation are compiled first)"):
        opened = Network(
            IN_MEMORY if state is None else state,
            **version,
            evm=evm or AUTO,
            rules=rules_of_options(rules, lab),
            hardfork=hardfork or "",
            mnemonic=words,
            derivation_path=derivation_path,
            account_count=accounts,
            balance=funds,
            clock=lambda: time.time() + ahead,
            chain_id=chain_id,
            gas_limit=MAX_GAS_LIMIT if disable_block_gas_limit else gas_limit,
            bare=bare,
            deferred=deferred,
            fork=forks.fork_source(
                fork_url,
                fork_block_number,
                silent,
                transaction=fork_transaction_hash,
                chain_id=fork_chain_id,
                headers=fork_header,
                timeout=timeout,
                retries=retries,
                backoff=fork_retry_backoff,
                compute_units=None if no_rate_limit else compute_units_per_second,
                caches=False if no_storage_caching else None,
                offline=offline,
            ),
            streams=asked_streams(swa=swa, sra=sra, orchestrator=orchestrator, ramp=ramp, timelock=timelock),
            keep_states=keep_states if state is None else None,
            actor_debugging=actor_logs,
            parallel=parallel,
            precompiles=parse_precompiles(precompile),
            proofs=proof_verifier(verify_proofs, parallel),
        )
    with opened:
        if timestamp is not None and opened.chain.is_new_fork:
            opened.set_time(timestamp)
        if load_state is not None and loaded is not None:
            _load(opened, load_state, loaded, load_state_limit << 20)
        if block_base_fee_per_gas is not None:
            opened.set_next_base_fee(block_base_fee_per_gas)
        opened.mempool.first_come = order == "fifo"
        if config_out is not None:
            _write(config_out, json.dumps(config(opened, words, derivation_path)).encode(), 0o600)  # has private keys
        opened.automine = not no_mining and block_time is None
        default_time = FORK_QUERY_TIME if opened.chain.history else _TIME
        allow_open_files()
        signs = unlock or not is_external(host)
        verification = NodeVerification(lambda: server.url, state, offline=offline)
        pages = explorer(
            artifacts, lambda wanted: vector_of(server.url, wanted, opened.overlay), verification.source_of
        )
        server = Server(
            opened,
            port,
            NodeLimits(
                query=query_time or default_time,
                trace=trace_time,
                memory=query_memory << 20 if query_memory else default_query_memory(),
            ),
            # clients use the listening address as the Host header
            access=Access((*(allow_host or ()), host), tuple(allow_origin or ())),
            interval=interval,
            host=host,
            signs=signs,
            keep_states=None if state is None else keep_states,
            impersonates=auto_impersonate,
            throws_on_failure=throw_on_transaction_failures,
            pages=verification.wrap(None if no_explorer else pages),
            addresses=AddressIndex(None if state is None else state / FILE) if index else None,
            tokens=None if token_file is None else Tokens(token_file),
            client_limits=ClientLimits(client_queries, client_rate, batch_time),
            trusts_forwarded=trust_forwarded,
        )
        with closing(verification), write_ready_file(ready_file, server.url) as write_url:

            def announce() -> None:
                if not silent:
                    typer.echo(banner(opened, words, derivation_path, signs=signs))
                    console = Console(opened, artifacts, server.url, explored=not no_explorer)
                    console.listen()
                    server.attach(console)
                    where = f"chain id {opened.chain_id}, block {opened.block_number}"
                    typer.echo(f"\nListening on {server.url} ({where})")
                    if not no_explorer:
                        typer.echo(f"Explorer at {server.url}/")
                write_url()

            server.run(announce)
        if dump_state is not None:
            from localnet.rpc.dev.state import anvil_state  # only a dump needs it, so it does not delay the start

            of_anvil = opened.rules.name == ETHEREUM
            _write(dump_state, anvil_state(opened) if of_anvil else opened.dump_state())


def _load(network: Network, file: Path, data: bytes, limit: int) -> None:
    try:
        network.load_state(data, limit)
    except InvalidInput as error:
        raise InvalidInput(f"--load-state {file}: {error}") from None


def _print_actor_logs() -> None:
    """Print log lines of actors to standard output without changes."""
    from hypervisor.text import printable
    from hypervisor.tracing import LOGGER, MAX_CHARACTERS

    class Printer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with suppress(OSError):  # standard output is closed; keep the node running
                print(printable(record.getMessage(), 2 * MAX_CHARACTERS), flush=True)

    log = logging.getLogger(LOGGER)
    log.addHandler(Printer())
    log.propagate = False


def allow_open_files() -> None:
    """Raise the open-file limit to the system's maximum, since each connection uses one and shells set it low."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _check_writable(file: Path) -> None:
    """Raise InvalidInput at the start if the state file cannot be written at the end."""
    if file.is_dir() or not os.access(file.parent, os.W_OK):
        raise InvalidInput(f"the state cannot be written to {file}: expected a file in a writable folder")


def _write(file: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file, whole or not at all, with the permissions of `mode` that the umask leaves."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        draft.touch(mode, exist_ok=False)
        draft.write_bytes(data)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


_ONE_CHAIN = "every block and transaction of a chain is stored"
_STATES = "--keep-states N limits the stored states (default: 4100, as anvil's 500 and 3600; with --state all)"
UNSUPPORTED: Final = {
    "--cache-path": "compiled modules are stored in the user's cache folder (XDG_CACHE_HOME)",
    "--celo": "the network is Filecoin's, or has Ethereum's rules (--rules)",
    "--code-size-limit": "a contract has at most 24,576 bytes on the network; `hypervisor test` can change it",
    "--disable-code-size-limit": "a contract has at most 24,576 bytes on the network; `hypervisor test` can change it",
    "--disable-console-log": "--silent prints nothing; anvil_setLoggingEnabled disables and enables the output",
    "--disable-default-create2-deployer": "--bare omits the CREATE2 deployer and Multicall3",
    "--disable-min-priority-fee": "there is no minimum priority fee",
    "--disable-pool-balance-checks": "transactions without sufficient funds are refused, as on the network",
    "--enable-tx-gas-limit": "the gas limit of a transaction always depends on the fork (--hardfork)",
    "--gas-price": "the price depends on the base fee: --block-base-fee-per-gas sets it for the next block",
    "--init": "the genesis consists of actors, not of Ethereum accounts: --load-state loads a dumped state",
    "--ipc": "the node only listens on a port: --port 0 selects a free one, and --ready-file contains it",
    "--max-persisted-states": _STATES,
    "--max-transactions": _ONE_CHAIN,
    "--memory-limit": "the gas of a message limits memory, and a call has at most 50,000,000 gas",
    "--mixed-mining": "blocks are mined for each transaction (the default) or at intervals (--block-time), not both",
    "--mnemonic-random": "`hypervisor wallet new` creates keys; --mnemonic takes your own words",
    "--mnemonic-seed-unsafe": "--mnemonic takes your own words",
    "--no-request-size-limit": "a request has at most 5 MiB, to protect the node from exhaustion",
    "--number": "a chain starts at epoch 0: hypervisor_mineAfterNullRounds skips epochs",
    "--preserve-historical-states": "--keep-states N stores more than 4100 states; with --state every state is stored",
    "--print-traces": "`hypervisor trace` shows the calls of a transaction; calls of failing ones are printed anyway",
    "--prune-history": _STATES,
    "--slots-in-an-epoch": "the blocks `safe` and `finalized` depend on Filecoin's rules of finality",
    "--state-interval": "with --state, each block is written before its receipts are returned",
    "--steps-tracing": "debug_traceTransaction works for every transaction without an option",
    "--threads": "--parallel sets the number of processes that execute a block's messages",
    "--transaction-block-keeper": _ONE_CHAIN,
}


_SHORT: Final = {"-s": "--state-interval", "-j": "--threads"}
_OUTPUT: Final = {
    "-v": "`hypervisor trace` shows the calls of a transaction; calls of failing ones are printed anyway",
    "--json": "the node only prints text; --config-out writes the accounts as JSON",
    "--color": "the environment variable NO_COLOR disables colours",
}


class NodeCommand(ForeignOptions):
    """The command `hypervisor node`, which recognises anvil's options."""

    origin = "anvil"
    here = "this node"
    reasons: ClassVar = {**UNSUPPORTED, **{short: UNSUPPORTED[name] for short, name in _SHORT.items()}, **_OUTPUT}


def explore(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Folder of a chain; with --comparison it may be omitted.")
    ] = None,
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, metavar="PORT", help="Port; 0 selects a free port.")
    ] = 0,
    evm: Annotated[
        Engines | None,
        typer.Option(
            callback=available_engine, help="EVM engine that executed the chain (default: as in `hypervisor node`)."
        ),
    ] = None,
    artifacts: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Folder of compiled contracts (default: out, artifacts)."),
    ] = None,
    index: Annotated[
        bool, typer.Option("--index", help="Store an index by address and topic in the folder, to find old messages.")
    ] = False,
    comparison: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Output of `hypervisor compare --json` to show.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the first page in a browser.")] = False,
) -> None:
    """Serve the explorer for a chain's folder until interrupted. A node may have the folder open.

    The chain is shown as of the start. The node's RPC methods are served too, but no account signs, and changes by
    clients stay in memory. The folder is not written, except for the index of --index.

    Example: hypervisor explore chain

    Example: hypervisor explore --comparison report.json --open
    """
    from hypervisor_tools.verification.store import VerifiedContracts, source_of
    from localnet import Network
    from localnet.explorer.application import explorer
    from localnet.ledger.address_index import FILE, AddressIndex
    from localnet.rpc.server.server import Server

    if folder is None and comparison is None:
        raise InvalidInput("there is nothing to show: pass the folder of a chain, or --comparison FILE")
    with Network() if folder is None else open_chain(folder, evm=evm, read_only=True) as network:
        network.automine = False
        addresses = AddressIndex(folder / FILE) if index and folder is not None else None
        verified = VerifiedContracts(folder)
        pages = explorer(
            artifacts,
            lambda wanted: vector_of(server.url, wanted, network.overlay),
            partial(source_of, verified),
            comparison,
        )
        server = Server(network, port, signs=False, pages=pages, addresses=addresses)

        def announce() -> None:
            typer.echo(f"Explorer at {server.url}/ (chain id {network.chain_id}, block {network.block_number})")
            if open_page:
                import webbrowser

                webbrowser.open(f"{server.url}/{'' if comparison is None else 'comparison'}")

        server.run(announce)


def vector_of(url: str, transaction: str, overlay: Overlay | None = None) -> str:
    """Return the test vector of a node's transaction as text. `overlay` is the node's. Raises NoVector."""
    import json

    from hypervisor_tools.cli.vectors import data_folder
    from hypervisor_tools.laboratory.vectors.extract import extract_message
    from hypervisor_tools.laboratory.vectors.files import BundleFolder
    from localnet.explorer.site import NoVector
    from localnet.replay.sources import NodeSource

    source = NodeSource(url, overlay=overlay)
    try:
        found = extract_message(source, BundleFolder(data_folder("bundles")), transaction)
    except HypervisorError as error:
        raise NoVector(str(error)) from None
    finally:
        source.close()
    return json.dumps(found.vector, indent=2) + "\n"
