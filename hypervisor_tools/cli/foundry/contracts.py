"""`hypervisor create`, `verify-contract` and `verify-bytecode`: deploy and verify contracts of a Foundry project."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.foundry.settings import (
    ConstructorArgs,
    ConstructorArgsFile,
    ProjectContract,
    ProjectNode,
    ProjectProfile,
    ProjectRoot,
    ProjectSolc,
    compiled_contract,
    constructor_texts,
    contract_request,
    node_url,
)
from hypervisor_tools.cli.options import URL, AsJson, GasLimit, Key, Timeout, Value, refuse_nan
from hypervisor_tools.cli.transactions import deploy_contract
from hypervisor_tools.cli.wallet import KeystoreAccounts, Keystores, PasswordFiles, Passwords, one_key

if TYPE_CHECKING:
    from hypervisor_tools.soltest.compile.artifact import ContractArtifact


def create(
    context: typer.Context,
    contract: ProjectContract,
    constructor_args: ConstructorArgs = None,
    constructor_args_path: ConstructorArgsFile = None,
    broadcast: Annotated[bool, typer.Option("--broadcast", help="Send the transaction (default: dry run).")] = False,
    value: Value = "0",
    private_key: Key = None,
    keystore: Keystores = None,
    account: KeystoreAccounts = None,
    password: Passwords = None,
    password_file: PasswordFiles = None,
    unlocked: Annotated[bool, typer.Option("--unlocked", help="Let the node sign for --from.")] = False,
    sender: Annotated[
        str | None,
        typer.Option("--from", metavar="ADDRESS", envvar="ETH_FROM", help="Deployer address, with --unlocked."),
    ] = None,
    gas_limit: GasLimit = None,
    timeout: Timeout = 300.0,
    root: ProjectRoot = Path(),
    rpc_url: ProjectNode = None,
    use: ProjectSolc = None,
    profile: ProjectProfile = None,
    as_json: AsJson = False,
) -> None:
    """Deploy a contract of a Foundry project, compiled with the settings of foundry.toml.

    Without --broadcast the transaction is printed with its gas and fees, and not sent. The --json fields are forge's:
    contract, transaction and abi, or deployer, deployedTo and transactionHash. --constructor-args takes all values up
    to the next option. Addresses and amounts have the forms of `hypervisor deploy`.

    Exit status: 1 if the constructor fails or the node rejects the transaction, 2 if it cannot be deployed at all.

    Example: hypervisor create src/Vault.sol:Vault --private-key $KEY --broadcast --constructor-args 5 f0100
    """
    from hypervisor_tools.cli.node_client import SendOptions, ethereum, prepared_transaction, request_of
    from localnet.contracts.argument_texts import init_code_of, payment, readable_interface
    from localnet.contracts.named_interface import NamedInterface

    private_key = one_key(private_key, keystore or (), account or (), password or (), password_file or ())
    payer, amount = _sender(private_key, unlocked, sender), payment(value)
    texts = constructor_texts(constructor_args, constructor_args_path) or ()
    project, artifact = compiled_contract(context, root, contract, profile, use, url=rpc_url)
    url = node_url(project, rpc_url) or URL
    known = NamedInterface(artifact.name, readable_interface(artifact.abi))
    init_code = init_code_of(known.interface, _creation_code(artifact), texts, ethereum(url))
    _check_payable(artifact, amount)
    sending = SendOptions(url, payer, private_key, gas_limit, timeout)
    folders = [project.root / project.out]
    if broadcast:
        receipt = deploy_contract(sending, known, init_code, amount, folders, as_json=as_json)
        _print_receipt(receipt, as_json)
        return
    from hypervisor_tools.cli.node_client import explain_revert
    from localnet.fork.node_client import NodeError

    request = request_of(sending, None, init_code, amount)
    try:
        transaction = prepared_transaction(sending, None, init_code, amount, request)
    except NodeError as error:
        raise explain_revert(error, known.interface, folders) from None
    fields = {
        "from": request["from"],
        "to": None,
        "maxFeePerGas": hex(transaction.max_fee),
        "maxPriorityFeePerGas": hex(transaction.max_priority_fee),
        "gas": hex(transaction.gas_limit),
        **({"value": hex(amount)} if amount else {}),
        "input": f"0x{init_code.hex()}",
        "nonce": hex(transaction.nonce),
        "chainId": hex(transaction.chain_id or 0),
    }
    _print_dry_run(artifact, fields, as_json)


def _sender(key: str | None, unlocked: bool, sender: str | None) -> str:
    from bridge.ethereum.addresses import from_delegated
    from hypervisor_tools.cli.node_client import account_of
    from localnet.addresses import filecoin_address

    if key is None and not unlocked:
        raise InvalidInput(
            "no signer: pass --private-key KEY, --keystore FILE or --account NAME, or --unlocked --from ADDRESS if "
            "the node signs"
        )
    if key is not None and unlocked:
        raise InvalidInput(
            "a key (--private-key, --keystore, --account) and --unlocked cannot be used together: pass one of them"
        )
    if key is None:
        if sender is None:
            raise InvalidInput("--unlocked needs an account of the node: pass --from ADDRESS")
        return sender
    own = account_of(key).address
    if sender is not None and from_delegated(filecoin_address(sender)) != own:
        raise InvalidInput(f"the given key does not belong to {sender}, the address of --from (or ETH_FROM)")
    return f"0x{own.hex()}"


def _creation_code(artifact: ContractArtifact) -> bytes:
    named = f"{artifact.file}:{artifact.name}"
    if not artifact.creation.object:
        raise InvalidInput(f"{named} has no code: it is an interface or abstract")
    libraries = ", ".join(f"{file}:{name}" for file, name in artifact.creation.libraries())
    if libraries:
        raise InvalidInput(
            f"{named} is linked to libraries ({libraries}), which this command does not deploy (nor does forge create)"
        )
    return artifact.creation.link({})


def _check_payable(artifact: ContractArtifact, amount: int) -> None:
    entries = (entry for entry in artifact.abi if entry.get("type") == "constructor")
    if amount and next((entry.get("stateMutability") for entry in entries), "") != "payable":
        raise InvalidInput(f"the constructor of {artifact.name} is not payable: omit --value")


def _print_receipt(receipt: dict[str, Any], as_json: bool) -> None:
    from bridge.ethereum.addresses import checksummed, eth_address

    sender, address = (
        checksummed(eth_address(bytes.fromhex(str(receipt[name])[2:]))) for name in ("from", "contractAddress")
    )
    if as_json:
        fields = {"deployer": sender, "deployedTo": address, "transactionHash": receipt["transactionHash"]}
        typer.echo(json.dumps(fields, indent=2))
        return
    typer.echo(f"Deployer: {sender}\nDeployed to: {address}\nTransaction hash: {receipt['transactionHash']}")


def _print_dry_run(artifact: ContractArtifact, transaction: dict[str, Any], as_json: bool) -> None:
    abi = list(artifact.abi)
    if as_json:
        typer.echo(json.dumps({"contract": artifact.name, "transaction": transaction, "abi": abi}, indent=2))
    else:
        typer.echo(f"Contract: {artifact.name}\nTransaction: {json.dumps(transaction, indent=2)}")
        typer.echo(f"ABI: {json.dumps(abi, indent=2)}\n")
    typer.echo("Nothing is sent: add --broadcast to send this transaction.", err=True)


class Verifier(StrEnum):
    """Protocols of verification services."""

    SOURCIFY = "sourcify"


def verify_contract(
    context: typer.Context,
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Contract address: f410f... or 0x...")
    ],
    contract: ProjectContract,
    verifier: Annotated[Verifier, typer.Option(help="Protocol of the service: API version 2.")] = Verifier.SOURCIFY,
    verifier_url: Annotated[
        str | None, typer.Option(metavar="URL", help="URL of the service (default: the node).")
    ] = None,
    creation_transaction: Annotated[
        str | None,
        typer.Option(
            "--creation-transaction", "--creation-transaction-hash", metavar="HASH",
            help="Hash of the creation transaction (default: found by the service).",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(min=0, callback=refuse_nan, metavar="SECONDS", help="Time to wait for the result."),
    ] = 180.0,
    root: ProjectRoot = Path(),
    rpc_url: ProjectNode = None,
    use: ProjectSolc = None,
    profile: ProjectProfile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Verify a contract's sources at a node, which compiles them and compares the code at the address.

    The node keeps sources that match: its explorer shows them, and its pages and traces decode the contract's calls.
    The result is exact_match, or match if only the metadata differ, for the creation code and for the runtime code.
    Foundry's `forge verify-contract --verifier sourcify --verifier-url` works with a node too.

    Exit status: 0 if the contract is verified, 1 if it is not, 2 if the service cannot be reached.

    Example: hypervisor verify-contract 0x5fbd... src/Vault.sol:Vault --rpc-url http://127.0.0.1:8545
    """
    from hypervisor_tools.cli.node_client import ethereum
    from hypervisor_tools.cli.rpc_client import request_parsed
    from hypervisor_tools.verification.client import NotVerified, VerificationService
    from hypervisor_tools.verification.creation_code import HASH
    from localnet.fork.node_client import NodeError
    from localnet.fork.response_values import quantity

    del verifier  # there is one
    if creation_transaction is not None and not HASH.fullmatch(creation_transaction):
        raise InvalidInput(
            f"--creation-transaction {creation_transaction!r:.80} is not the hash of a transaction: expected 0x and 64 "
            "hex digits"
        )
    service = None if verifier_url is None else VerificationService(verifier_url)
    project, request = contract_request(
        context, root, contract, profile, use, transaction=creation_transaction, url=rpc_url,
    )  # fmt: skip
    url = node_url(project, rpc_url) or URL
    try:
        chain, at = request_parsed(url, quantity, "eth_chainId"), ethereum(url)(address)
    except NodeError as error:  # status 1 is reserved for contracts that are not verified
        raise InvalidInput(str(error)) from None
    try:
        found = (service or VerificationService(url)).verify(chain, at, request, timeout)
    except NotVerified as error:
        typer.echo(f"error: {at} is not verified: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, key in (("contract", "match"), ("creation", "creationMatch"), ("runtime", "runtimeMatch")):
        typer.echo(f"{name:<12} {found.get(key) or 'unknown'!s:.40}")


_DIFFERS: Final = "code did not match - this may be due to varying compiler settings"
"""Text of a mismatch, as in forge."""
_NOT_FOUND: Final = (
    "the creation transaction of the contract is unknown: pass it as --creation-transaction, or skip the creation "
    "code with --ignore creation"
)
_RECORDS: Final = "broadcast/*/{chain}/*.json"
_CREATIONS: Final = ("CREATE", "CREATE2")
_MAX_RECORD_BYTES: Final = 256 << 20
_Row = tuple[str, str | None, str | None]
"""A result: creation or runtime code, the kind of match or None, and the message."""


class CodePart(StrEnum):
    """Parts of a contract's code that are compared."""

    CREATION = "creation"
    RUNTIME = "runtime"


def verify_bytecode(
    context: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Contract address: f410f... or 0x...")],
    contract: ProjectContract,
    constructor_args: ConstructorArgs = None,
    constructor_args_path: ConstructorArgsFile = None,
    encoded_constructor_args: Annotated[
        str | None, typer.Option(metavar="HEX", help="ABI-encoded constructor arguments.")
    ] = None,
    creation_transaction: Annotated[
        str | None, typer.Option(metavar="HASH", help="Hash of the creation transaction.")
    ] = None,
    ignore: Annotated[list[CodePart] | None, typer.Option(help="Kind of bytecode to skip.")] = None,
    block: Annotated[str, typer.Option(metavar="NUMBER|TAG", help="Block at which the code is read.")] = "latest",
    root: ProjectRoot = Path(),
    rpc_url: ProjectNode = None,
    use: ProjectSolc = None,
    profile: ProjectProfile = None,
    as_json: AsJson = False,
) -> None:
    """Verify that the code at an address is a contract of the project, compiled with the settings of foundry.toml.

    A match is full, or partial if only the metadata differ: comments, file names or the kind of metadata hash.
    Library addresses and immutable values are not compared.

    The creation code comes from the creation transaction: --creation-transaction, the project's broadcast/ folder, or
    the node's ots_getContractCreator. Constructor arguments are compared if they are given. The --json fields are
    forge's: bytecode_type, match_type and message.

    Exit status: 0 for full and partial matches, 1 for a mismatch, 2 if the code cannot be compared.

    Example: hypervisor verify-bytecode 0x5fbd... src/Vault.sol:Vault --rpc-url http://127.0.0.1:8545
    """
    from hypervisor_tools.cli.node_client import ethereum
    from hypervisor_tools.verification.creation_code import HASH
    from localnet.fork.node_client import NodeError

    if creation_transaction is not None and not HASH.fullmatch(creation_transaction):
        raise InvalidInput(
            f"--creation-transaction {creation_transaction!r:.80} is not the hash of a transaction: expected 0x and 64 "
            "hex digits"
        )
    ignored = set(ignore or ())
    if len(ignored) == len(CodePart):
        raise InvalidInput("--ignore creation and --ignore runtime leave nothing to compare: omit one of them")
    texts = constructor_texts(constructor_args, constructor_args_path)
    project, artifact = compiled_contract(context, root, contract, profile, use, url=rpc_url)
    if not artifact.runtime.object:
        raise InvalidInput(f"{artifact.file}:{artifact.name} has no code: it is an interface or abstract")
    url, number = node_url(project, rpc_url) or URL, _block(block)
    try:
        contract_address = ethereum(url)(address)
        arguments = _arguments(artifact, texts, encoded_constructor_args, ethereum(url))
        code = _code(url, contract_address, number)
        differs = f"{_DIFFERS}{_other_compiler(artifact, code)}"
        results: list[_Row] = []
        if CodePart.CREATION not in ignored:
            results.append(
                _creation(url, project.root, artifact, contract_address, creation_transaction, arguments, differs)
            )
    except NodeError as error:  # status 1 is reserved for mismatches
        raise InvalidInput(str(error)) from None
    if CodePart.RUNTIME not in ignored:
        results.append(_runtime(artifact, code, differs))
    _print(results, as_json)
    if any(matched is None for _, matched, _ in results):
        raise typer.Exit(1)


def _code(url: str, contract_address: str, block: str) -> bytes:
    from hypervisor_tools.cli.rpc_client import request_parsed
    from hypervisor_tools.verification.creation_code import hex_data
    from localnet.fork.node_client import NodeError
    from localnet.fork.urls import redacted_url

    code = request_parsed(url, hex_data, "eth_getCode", contract_address, block)
    if not code:
        raise NodeError(f"there is no code at {contract_address} on {redacted_url(url)}: there is nothing to compare")
    return code


def _other_compiler(artifact: ContractArtifact, code: bytes) -> str:
    """Return a hint if another release of solc, named in the metadata, compiled the code."""
    from hypervisor_tools.soltest.trace.bytecode_match import solc_release
    from hypervisor_tools.soltest.trace.known_code import Pattern

    here, there = solc_release(Pattern.of(artifact.runtime).code), solc_release(code)
    if here is None or there is None or here == there:
        return ""
    return f"; solc {there} compiled the code at this address and {here} the artifact: try --use {there}"


def _runtime(artifact: ContractArtifact, code: bytes, differs: str) -> _Row:
    from hypervisor_tools.soltest.trace.bytecode_match import match_runtime

    found = match_runtime(artifact.runtime, code)
    return "runtime", found, None if found else f"Runtime {differs}"


def _creation(
    url: str, root: Path, artifact: ContractArtifact, address: str, transaction: str | None, arguments: bytes | None,
    differs: str,
) -> _Row:  # fmt: skip
    from hypervisor_tools.soltest.trace.bytecode_match import match_creation
    from hypervisor_tools.verification.creation_code import are_arguments

    init_code = _init_code(url, root, address, transaction)
    found = match_creation(artifact.creation, init_code)
    if found is None:
        return "creation", None, f"Creation {differs}"
    matched, used = found
    if arguments is not None and arguments != used:
        return "creation", None, (
            f"Creation code was deployed with other constructor arguments: 0x{used.hex()}, not 0x{arguments.hex()}"
        )  # fmt: skip
    if arguments is None and not are_arguments(artifact.abi, used):
        return "creation", None, f"Creation {differs}: no constructor arguments follow it"
    return "creation", matched, None


def _init_code(url: str, root: Path, address: str, transaction: str | None) -> bytes:
    """Return the init code of the transaction that created a contract.

    Raises InvalidInput if it is not found, and NodeError.
    """
    from hypervisor_tools.cli.rpc_client import node_client
    from hypervisor_tools.verification.creation_code import CreationCode, NoCreationCode
    from localnet.fork.response_values import quantity

    with node_client(url) as node:
        search = CreationCode(node, address)
        try:
            if transaction is not None:
                return search.of_transaction(transaction)
            found = search.find(_hashes_from_records(root, node.read(quantity, "eth_chainId"), address))
        except NoCreationCode as error:
            raise InvalidInput(f"{error}: {_NOT_FOUND}") from None
    if found is None:
        raise InvalidInput(_NOT_FOUND)
    return found[1]


def _hashes_from_records(root: Path, chain: int, address: str) -> Iterator[str]:
    """Yield the hashes of transactions that created a contract according to the project's broadcast files."""
    for file in sorted(root.glob(_RECORDS.format(chain=chain))):
        for row in _rows(file):
            is_made = str(row.get("contractAddress")).lower() == address.lower()
            if is_made and row.get("transactionType") in _CREATIONS and isinstance(row.get("hash"), str):
                yield str(row["hash"])


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    from hypervisor.installation import read_bounded
    from store.untrusted import parse_json

    try:
        found = parse_json(read_bounded(file, _MAX_RECORD_BYTES, "the record"))
    except (InvalidInput, ValueError):
        return  # ignore other files
    rows = found.get("transactions") if isinstance(found, dict) else None
    yield from (row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()


def _arguments(artifact: ContractArtifact, texts: list[str] | None, encoded: str | None, read: Any) -> bytes | None:
    """Return the encoded constructor arguments; None if none are given.

    Raises InvalidInput.
    """
    from localnet.contracts.argument_texts import init_code_of, readable_interface

    if encoded is None:
        return None if texts is None else init_code_of(readable_interface(artifact.abi), b"", texts, read)
    if texts is not None:
        raise InvalidInput(
            "--constructor-args and --encoded-constructor-args cannot be used together: pass one of them"
        )
    try:
        return bytes.fromhex(encoded.removeprefix("0x"))
    except ValueError:
        raise InvalidInput(f"--encoded-constructor-args {encoded!r:.60} is not hex") from None


def _block(text: str) -> str:
    if text in ("latest", "earliest", "pending", "safe", "finalized"):
        return text
    try:
        return hex(int(text, 0))
    except ValueError:
        raise InvalidInput(f"--block {text!r:.60} is not a block: expected a number or latest") from None


def _print(results: list[_Row], as_json: bool) -> None:
    if as_json:
        rows = [
            {"bytecode_type": kind, "match_type": matched, **({} if message is None else {"message": message})}
            for kind, matched, message in results
        ]
        typer.echo(json.dumps(rows))
        return
    for kind, matched, message in results:
        if matched is None:
            typer.echo(message, err=True)
        else:
            typer.echo(f"{kind.capitalize()} code matched with status {matched}")
