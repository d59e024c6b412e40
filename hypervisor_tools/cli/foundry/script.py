"""`hypervisor script`: run a Foundry script on a fork with real actors, and optionally send its transactions."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.foundry.settings import (
    check_folders,
    command_line_settings,
    find_contract,
    node_url,
    source_path,
    with_consent,
)
from hypervisor_tools.cli.options import OWN_ENGINE, URL_VARIABLE, OwnEngine, Precompiles, parse_precompiles, refuse_nan
from hypervisor_tools.cli.wallet import (
    KeystoreAccounts,
    Keystores,
    PasswordFiles,
    Passwords,
    keystore_keys,
    sending_option,
)

if TYPE_CHECKING:
    from bridge.ethereum.addresses import EthAddress
    from hypervisor_tools.soltest.scripts.plan import ScriptPlan
    from hypervisor_tools.soltest.scripts.record import ScriptRecord


def script(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="FILE[:CONTRACT]|CONTRACT", help="Script file.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGS]...", help="Arguments of the function.")
    ] = None,
    sig: Annotated[
        str, typer.Option("--sig", "-s", metavar="FUNCTION|CALLDATA", help="Signature of the function.")
    ] = "run()",
    target_contract: Annotated[
        str | None, typer.Option("--target-contract", "--tc", metavar="NAME", help="Contract, if FILE has several.")
    ] = None,
    root: Annotated[Path, typer.Option(metavar="DIR", help="Project folder, or a folder in it.")] = Path(),
    rpc_url: Annotated[
        str | None,
        typer.Option("--rpc-url", "--fork-url", "-r", metavar="URL|NAME", envvar=URL_VARIABLE, help="URL of the node."),
    ] = None,
    verbosity: Annotated[
        int,
        typer.Option("--verbosity", "-v", count=True, help="Verbosity; -vvvv prints the trace of a successful script."),
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    evm: OwnEngine = OWN_ENGINE,
    use: Annotated[str | None, typer.Option(metavar="VERSION|PATH", help="Solidity compiler to use.")] = None,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="Profile of foundry.toml.")] = None,
    ffi: Annotated[bool, typer.Option("--ffi", help="Allow the script to run programs.")] = False,
    precompile: Precompiles = None,
    broadcast: Annotated[bool, sending_option("--broadcast", help="Send the transactions.")] = False,
    resume: Annotated[
        bool,
        sending_option("--resume", help="Send the pending transactions of the last run without running the script."),
    ] = False,
    multi: Annotated[
        bool, sending_option("--multi", help="With --resume: resume the last run over several networks.")
    ] = False,
    skip_simulation: Annotated[
        bool, sending_option("--skip-simulation", help="Let the node estimate each gas limit, one by one.")
    ] = False,
    slow: Annotated[
        bool, sending_option("--slow", help="Wait for each receipt before sending the next transaction.")
    ] = False,
    legacy: Annotated[bool, sending_option("--legacy", help="Send legacy transactions with a gas price.")] = False,
    private_key: Annotated[
        list[str] | None,
        sending_option(
            "--private-key",
            "--private-keys",
            metavar="KEY",
            envvar="HYPERVISOR_PRIVATE_KEY",
            help="Private key to sign with; the first one is the sender's.",
        ),
    ] = None,
    keystore: Keystores = None,
    account: KeystoreAccounts = None,
    password: Passwords = None,
    password_file: PasswordFiles = None,
    libraries: Annotated[
        list[str] | None,
        typer.Option(
            "--libraries",
            metavar="FILE:NAME:ADDRESS",
            envvar="DAPP_LIBRARIES",
            help="Deployed library to link; other libraries are deployed first.",
        ),
    ] = None,
    unlocked: Annotated[bool, sending_option("--unlocked", help="Let the node sign for --sender.")] = False,
    sender_: Annotated[
        str | None,
        sending_option("--sender", metavar="ADDRESS", help="Address that calls the script, and the default sender."),
    ] = None,
    gas_estimate_multiplier: Annotated[
        int,
        sending_option(
            "--gas-estimate-multiplier",
            "-g",
            min=100,
            max=1000,
            metavar="PERCENT",
            help="Percentage of each gas estimate to use as the limit.",
        ),
    ] = 130,
    with_gas_price: Annotated[int | None, sending_option(min=0, metavar="ATTOFIL", help="Maximum fee per gas.")] = None,
    priority_gas_price: Annotated[
        int | None, sending_option(min=0, metavar="ATTOFIL", help="Maximum priority fee per gas.")
    ] = None,
    timeout: Annotated[
        float, sending_option(min=0.0, callback=refuse_nan, help="Seconds to wait for a receipt.")
    ] = 120.0,
) -> None:
    """Run a Foundry script on a fork of a node's network, with its actors, and optionally send its transactions.

    The script runs under Ethereum's rules, and calls of precompiles and actors are executed. Each transaction is then
    simulated on the fork under the network's rules, which determines its gas limit. (A node under Ethereum's rules
    estimates it when the transaction is sent.) --broadcast sends the transactions and records them with their
    receipts in broadcast/FILE/CHAIN/run-latest.json, as forge does. Transactions made on a fork that the script
    selects are sent to that fork's network. Without a node and forks the script is only run.

    Exit status: 1 if the script reverts or a transaction fails, 2 if the script cannot be run.

    Example: hypervisor script script/Deploy.s.sol --rpc-url http://127.0.0.1:8545 --private-key $KEY --broadcast
    """
    from dataclasses import replace

    from hypervisor_tools.cli.foundry.script_networks import ScriptNetworks, ScriptSending, SendingOptions
    from hypervisor_tools.cli.node_client import account_of, ethereum
    from hypervisor_tools.soltest.execution.discovery import SuiteFilter
    from hypervisor_tools.soltest.execution.job import Options
    from hypervisor_tools.soltest.forks.remotes import CACHES
    from hypervisor_tools.soltest.project.project import find_root, load_project
    from hypervisor_tools.soltest.run.session import SuiteSession
    from hypervisor_tools.soltest.scripts.linking import libraries_option
    from hypervisor_tools.soltest.scripts.plan import ScriptFailed, run_script, selects_forks
    from hypervisor_tools.soltest.scripts.record import MultiRecord, ScriptRecord
    from hypervisor_tools.soltest.scripts.sending import NO_SENDER, check_price, check_sendable, has_known_signer
    from localnet.contracts.argument_texts import calldata_of, readable_interface
    from localnet.fork.node_client import FORK_REQUESTS, OFFLINE

    home = find_root(root)
    check_folders(context, home)
    project = load_project(home, profile, command_line_settings(context))
    project = with_consent(context, project, ffi=ffi, url=rpc_url)
    file, _, named = path.partition(":")
    contract = target_contract or named
    if not named and file.isidentifier() and not any((folder / file).exists() for folder in (Path(), home)):
        file, contract = "", file
    url = node_url(project, rpc_url)
    if project.forks_offline and (broadcast or resume):
        raise InvalidInput("transactions cannot be sent with --offline: omit it, or omit --broadcast and --resume")
    if resume and url is None and not multi:
        raise InvalidInput(
            "pass the node for the transactions with --rpc-url; to resume a run over several networks, pass "
            "--resume --multi"
        )
    opened = keystore_keys(keystore or (), account or (), password or (), password_file or ())
    keys = {signer.address: signer.private_key for signer in map(account_of, [*(private_key or ()), *opened])}
    linked = libraries_option(libraries or ())
    sender = _sender(sender_, list(keys), project.sender)
    source = source_path(home, file) if file else ""
    own = parse_precompiles(precompile)
    options = Options(evm=evm, use=use, verbosity=verbosity, shows_logs=True, precompiles=own)
    session = SuiteSession(
        project, SuiteFilter(inside=source or None), options, lambda line: typer.echo(line, err=True)
    )
    artifacts = session.compiled()
    artifact = _script(artifacts, source, contract)
    source = artifact.file
    read = _no_names if url is None else ethereum(url)
    data = _calldata(sig) if sig.startswith("0x") else None
    calldata = calldata_of(readable_interface(artifact.abi), sig, arguments or [], read) if data is None else data
    name = sig.partition("(")[0] if not sig.startswith("0x") else f"{sig[2:10]}"
    folder, now = f"broadcast/{Path(source).name}", int(time.time() * 1000)
    how = SendingOptions(
        legacy, slow, unlocked, skip_simulation, with_gas_price, priority_gas_price, gas_estimate_multiplier, timeout
    )
    offline = project.forks_offline
    with ScriptNetworks(
        (*project.precompiles, *own), OFFLINE if offline else FORK_REQUESTS, CACHES[project.rpc_cache]
    ) as networks:
        sending = ScriptSending(how, keys, as_json, artifacts)
        main = None if url is None or (resume and multi) else networks.at(url)
        if resume:
            if multi:
                whole = MultiRecord.read(home, project.cache, Path(source).name, name)
                for node, part in zip(whole.urls, whole.parts, strict=True):
                    sending.resume(networks.at(node), part)
            else:
                assert main is not None, "checked above"
                sending.resume(main, ScriptRecord.read(home, folder, name, main.chain))
        else:
            job, fork = session.job(), None
            if main is not None:
                if not offline:
                    check_price(main.read, with_gas_price)
                fork = None if selects_forks(artifact) else main.fork
                job = job if fork is not None else replace(job, fork_url=url)
            try:
                plan = run_script(job, artifacts, artifact, calldata, sender, fork, linked)
            except ScriptFailed as failed:
                hint = "" if main is None or has_known_signer(sender, keys) else f"\n{NO_SENDER}"
                raise ScriptFailed(f"{failed}{hint}") from None
            if offline or (main is None and not any(one.call.url for one in plan.transactions)):
                if broadcast:
                    raise InvalidInput(
                        "pass the node for the transactions with --rpc-url, or select a fork of its network in the "
                        "script"
                    )
                _print_run(plan, as_json)
                if not as_json and not offline:
                    typer.echo("\nTo try its transactions on a network, name a node with --rpc-url.")
                return
            check_sendable(plan)
            keys |= plan.keys
            if not as_json:
                _print_run(plan, as_json=False)
            made = partial(
                ScriptRecord, home, folder, name, timestamp=now, is_sent=broadcast, libraries=list(plan.libraries)
            )
            whole = MultiRecord(home, project.cache, Path(source).name, name, now, is_sent=broadcast)
            sending.plan(networks, plan, url, made, whole)
        was_done = resume and sending.is_done
        is_any = any(record.transactions for record in sending.records)
        if resume or (broadcast and is_any):
            sending.send()
        elif is_any:
            sending.write()
    signers = {*keys, sender} if unlocked else keys
    _print_end(sending.records, signers, as_json, is_sent=broadcast or resume, was_done=was_done)


def _script(artifacts: Any, file: str, contract: str) -> Any:
    if contract:
        return find_contract(artifacts, file, contract)
    found = [entry.name for entry in artifacts.locations if entry.file == file and not entry.is_foreign]
    made = [name for name in found if artifacts.get(file, name).creation.object]
    if len(made) != 1:
        names = ", ".join(made) or "none"
        raise InvalidInput(f"{file} has {len(made)} contracts to run ({names}): name one with --tc")
    return artifacts.get(file, made[0])


def _calldata(text: str) -> bytes:
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise InvalidInput(
            f"--sig {text!r:.60} is not calldata: expected 0x and an even number of hex digits"
        ) from None


def _sender(text: str | None, signers: list[EthAddress], default: str) -> EthAddress:
    from bridge.ethereum.addresses import eth_address, from_delegated
    from localnet.addresses import filecoin_address

    if text is None:
        return signers[0] if signers else eth_address(bytes.fromhex(default[2:]))
    known = from_delegated(filecoin_address(text))
    if known is None:
        raise InvalidInput(f"the sender {text} is not an Ethereum address: expected 0x... or f410f...")
    return known


def _no_names(text: str) -> str:
    if text.startswith("0x"):
        return text
    raise InvalidInput(f"{text}: an actor's address can be resolved only with a node: add --rpc-url")


def _print_run(plan: ScriptPlan, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"success": True, "gas_used": plan.gas_used, "logs": list(plan.lines), "returns": {
            name: {"internal_type": kind, "value": text} for name, (kind, text, _) in plan.returned.items()
        }}))  # fmt: skip
        return
    if plan.trace:
        typer.echo(f"Traces:\n{plan.trace.rstrip()}\n")
    typer.echo(f"Script ran successfully.\nGas used: {plan.gas_used}")
    if plan.returned:
        typer.echo("\n== Return ==")
        for name, (kind, _, text) in plan.returned.items():
            typer.echo(f"{name}: {kind} {text}")
    if plan.lines:
        typer.echo("\n== Logs ==\n" + "\n".join(f"  {line}" for line in plan.lines))


def _print_end(records: list[ScriptRecord], keys: Any, as_json: bool, *, is_sent: bool, was_done: bool) -> None:
    if as_json:
        ends = [{
            "chain": record.chain, "transactions": record.transactions, "receipts": record.receipts,
            "returns": record.returns,
        } for record in records]  # fmt: skip
        typer.echo(json.dumps({"success": True, **(ends[0] if len(ends) == 1 else {"deployments": ends})}))
        return
    rows = [row for record in records for row in record.transactions]
    if not rows:
        typer.echo("\nThe script sends nothing.")
        return
    latest = records[0].latest
    if was_done:
        typer.echo(f"Nothing is left to send: all {len(rows)} transactions of {latest} are done.")
        return
    end = "ONCHAIN EXECUTION COMPLETE & SUCCESSFUL." if is_sent else "SIMULATION COMPLETE. To send, add --broadcast."
    unsigned = sorted({row["transaction"]["from"] for row in rows} - {f"0x{address.hex()}" for address in keys})
    if unsigned and not is_sent:
        end += f" No key is given for {', '.join(unsigned)}: add --private-key, or --sender and --unlocked."
    typer.echo(f"\n{end}\n\nTransactions saved to: {latest}")
