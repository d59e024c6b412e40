"""`hypervisor create`: deploy a contract of a Foundry project, as `forge create` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fvm_hypervisor.cli.keystores import KeystoreAccounts, Keystores, PasswordFiles, Passwords, one_key
from fvm_hypervisor.cli.options import URL, AsJson, GasLimit, Key, Timeout, Value
from fvm_hypervisor.cli.project_options import (
    ConstructorArgs,
    ConstructorArgsFile,
    ProjectContract,
    ProjectNode,
    ProjectProfile,
    ProjectRoot,
    ProjectSolc,
    SolcFromProject,
)

if TYPE_CHECKING:
    from fvm_hypervisor.soltest.artifact import ContractArtifact


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
    solc_from_project: SolcFromProject = False,
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
    from fvm_hypervisor.cli.deploy import deploy_contract
    from fvm_hypervisor.cli.foundry.project import compiled_contract, constructor_texts, node_url
    from fvm_hypervisor.cli.node_client import SendOptions, ethereum, prepared_transaction, request_of
    from localnet.contracts.abi_entries import readable_interface
    from localnet.contracts.amounts import payment
    from localnet.contracts.argument_texts import init_code_of
    from localnet.contracts.named_interface import NamedInterface

    private_key = one_key(private_key, keystore or (), account or (), password or (), password_file or ())
    payer, amount = _sender(private_key, unlocked, sender), payment(value)
    texts = constructor_texts(constructor_args, constructor_args_path) or ()
    project, artifact = compiled_contract(
        context, root, contract, profile, use, url=rpc_url, solc_from_project=solc_from_project
    )
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
    from fvm_hypervisor.cli.node_client import explain_revert
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
    """Return the sender of the deployment. Raises InvalidInput if none or several are given."""
    from bridge.ethereum.addresses import from_delegated
    from fvm_hypervisor.cli.node_client import account_of
    from hypervisor.errors import InvalidInput
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
    """Return a contract's creation code. Raises InvalidInput if it has none or needs libraries."""
    from hypervisor.errors import InvalidInput

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
    from hypervisor.errors import InvalidInput

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
