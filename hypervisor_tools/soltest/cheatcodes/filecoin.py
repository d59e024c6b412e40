"""Filecoin's cheatcodes: epochs with cron, balances of any address, built-in actors, miners, DataCap, state, gas.

They share the address of forge's cheatcodes; the interface is `FilecoinVm.sol` in this package. Messages that they send
are implicit ones outside the current message: they cost no gas and are ignored by pranks and expectations. Modules of
single cheatcodes are imported on use, since every worker whose tests call any cheatcode loads this module.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from bridge.ethereum.addresses import EthAddress, address_of_actor, masked_id, to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor.errors import AddressError, Fatal, HypervisorError, InvalidInput, OutOfGas, SyscallError
from hypervisor.installation import FILECOIN
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Call
from hypervisor.machine.machine import CreationFailed, Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import NO_BLOCK, POWER_ACTOR, REWARD_ACTOR, ActorID, ChainEpoch, Gas, MethodNumber, TokenAmount
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from localnet.accounts import BLS_ACCOUNT
from localnet.addresses import filecoin_address
from localnet.rules.facts import BLOCK_GAS_LIMIT
from localnet.state.controls import set_balance
from runtimes.evm import CodeLimit
from runtimes.evm.revm import block_of
from store.blockstore import get_object, put_object
from store.cid import CBOR, Cid

EPOCH_SECONDS: Final = 30
MAX_EPOCHS: Final = 100_000
"""Maximum number of epochs per call; each runs cron."""
_MAX_TIMELOCK: Final = 1 << 40
_IMPLICIT_GAS: Final = Gas(BLOCK_GAS_LIMIT * 1_000)


@contextmanager
def _separate_messages(context: Context) -> Iterator[Hypervisor]:
    """Yield the machine for messages outside the current one. Actors' errors become cheatcode failures."""
    try:
        with context.cheats.outside_test():
            yield context.machine
    except (InvalidInput, CreationFailed, AddressError, Fatal) as error:
        raise CheatcodeFailure(str(error)) from None


def _address(text: str) -> Address:
    try:
        return filecoin_address(text)
    except AddressError as error:
        raise CheatcodeFailure(f"{error}") from None


# --- time -----------------------------------------------------------------------------------------------------------


@cheatcode("advanceEpochs(uint256)", "nullRounds(uint256)", "advanceEpochs(uint256,uint64)", filecoin=True)
def _advance(context: Context, count: int, miner: int | None = None) -> None:
    """End epochs, each with a block of the miner if one is given, whose reward is paid; then cron runs."""
    from localnet.rules.filecoin import FilecoinBlocks

    if count > MAX_EPOCHS:
        raise CheatcodeFailure(f"{count} epochs exceed the limit of {MAX_EPOCHS} per call")
    blocks = FilecoinBlocks()
    with _separate_messages(context) as machine:
        for _ in range(count):
            if miner is None:
                blocks.null_round(machine)
            else:
                blocks.end_block(machine, Address.id(miner), 0)
            now = machine.context
            machine.advance(epoch=ChainEpoch(now.epoch + 1), timestamp=now.timestamp + EPOCH_SECONDS)
    context.renew()


# --- money and addresses --------------------------------------------------------------------------------------------


@cheatcode("mintFil(string,uint256)", filecoin=True)
def _mint(context: Context, to: str, amount: int) -> None:
    """Add attoFIL to the balance of an address (f0 to f4, 0x); accounts are created."""
    address, machine = _address(to), context.machine
    try:
        set_balance(machine, address, TokenAmount(machine.balance(address) + amount))
    except (AddressError, InvalidInput) as error:
        raise CheatcodeFailure(str(error)) from None


@cheatcode("filBalance(string)", returns="uint256", filecoin=True)
def _balance(context: Context, of: str) -> int:
    return context.machine.balance(_address(of))


@cheatcode("actorId(string)", returns="uint64", filecoin=True)
def _actor_id(context: Context, of: str) -> int:
    actor = context.machine.state_tree.lookup_id(_address(of))
    if actor is None or context.machine.state_tree.get_actor(actor) is None:
        raise CheatcodeFailure(f"there is no actor {of}")
    return actor


@cheatcode("actorAddress(string)", returns="address", filecoin=True)
def _actor_address(context: Context, of: str) -> EthAddress:
    """Return the address under which contracts see an actor."""
    return address_of_actor(context.machine.state_tree, ActorID(_actor_id(context, of)))


@cheatcode("filAddress(address)", returns="string", filecoin=True)
def _fil_address(_context: Context, account: EthAddress) -> str:
    return str(to_filecoin(account))


# --- built-in actors ------------------------------------------------------------------------------------------------


@cheatcode("callActorAs(uint64,uint64,uint64,uint64,bytes,uint256)", returns="int256,uint64,bytes", filecoin=True)
def _call_as(
    context: Context, from_: int, to: int, method: int, codec: int, params: bytes, value: int
) -> tuple[int, int, bytes]:
    """Call an actor's method as another actor; return exit code (or negative error number), codec and data."""
    send = context.calls.send if context.run is None else context.run.send_as
    block = Block(codec or CBOR, params) if params else None
    call = Call(ActorID(from_), Address.id(to), MethodNumber(method), block, TokenAmount(value))
    try:
        with context.cheats.outside_test():
            result = send(call)
    except SyscallError as error:
        return -error.number, NO_BLOCK, b""
    except OutOfGas as error:
        raise CheatcodeFailure(str(error)) from None
    answer = result.block or Block(0, b"")
    return result.exit_code, answer.codec, answer.data


@cheatcode("deployActor(string,bytes)", returns="uint64", filecoin=True)
def _deploy_actor(context: Context, path: str, params: bytes) -> int:
    """Create an actor with a module of the project's files, and run its constructor; return its ID.

    `FILE.sol:NAME@COMPILER` is the code of a contract by another compiler, whose parameters are calldata.
    """
    from hypervisor_tools.soltest.cheatcodes.files import creation_code, read_bytes

    is_contract = ".sol:" in path
    module = creation_code(context, path) if is_contract else read_bytes(context, path)
    params = invoke_params(params) if is_contract else params
    with _separate_messages(context) as machine:
        return machine.create(machine.install(module), params).id


@cheatcode("prankActor(uint64)", filecoin=True)
def _prank_actor(context: Context, actor: int) -> None:
    """Make the next call as an actor of the network."""
    from hypervisor_tools.soltest.cheatcodes.pranks import begin_prank

    if context.machine.state_tree.get_actor(ActorID(actor)) is None:
        raise CheatcodeFailure(f"there is no actor f0{actor}")
    begin_prank(context, masked_id(actor), None, once=True)


@cheatcode("createMiner(address,uint256,uint256)", returns="uint64", filecoin=True)
def _create_miner(context: Context, owner: EthAddress, raw: int, adjusted: int) -> int:
    """Create a storage miner of an account with this power (bytes, raw and quality-adjusted) and no sectors."""
    from bridge.bindings import storagepower
    from localnet.miners.miner import FUNDS, WINDOW_PROOF, report_deposit

    context.ledger.touch(owner)
    with _separate_messages(context) as machine:
        sender = to_filecoin(owner)
        for address, amount in ((BLS_ACCOUNT, 0), (sender, FUNDS)):
            set_balance(machine, address, TokenAmount(machine.balance(address) + amount))
        creation = storagepower.create_miner(sender, BLS_ACCOUNT, WINDOW_PROOF, b"", [])
        power = Address.id(POWER_ACTOR)
        created = creation.decode_return(_send_message(machine, sender, power, creation.method, creation.params, FUNDS))
        report_deposit(machine, created.id_address)
        claim = storagepower.update_claimed_power(raw, adjusted)
        _send_message(machine, created.id_address, power, claim.method, claim.params)
        actor = created.id_address.actor_id()
    assert actor is not None, "the power actor answers an f0 address"
    return actor


@cheatcode("grantDataCap(string,uint256)", "grantDataCap(address,uint256)", filecoin=True)
def _grant(context: Context, client: str | EthAddress, size: int) -> None:
    """Make an account a verified client, or add to its DataCap (bytes)."""
    from localnet.miners.onboarding import grant_on

    if not isinstance(client, str):
        context.ledger.touch(client)
    address = _address(client) if isinstance(client, str) else to_filecoin(client)
    with _separate_messages(context) as machine:
        grant_on(machine, address, size)


@cheatcode("governStreams(address,uint64)", filecoin=True)
def _govern(context: Context, authority: EthAddress, timelock: int) -> None:
    """Let an address govern the streams of the block reward; its changes take effect after `timelock` epochs."""
    from bridge.actors.schemas import actor_schema
    from store.schema import SchemaError

    context.ledger.touch(authority)
    schema = actor_schema("reward")
    if timelock > _MAX_TIMELOCK:
        raise CheatcodeFailure(f"timelock {timelock} exceeds the limit of {_MAX_TIMELOCK} epochs")
    with _separate_messages(context) as machine:
        actor, tree = machine.state_tree.lookup_id(to_filecoin(authority)), machine.state_tree
        state = tree.get_actor(REWARD_ACTOR)
        assert actor is not None, "a touched address has an actor"
        assert state is not None, "a genesis has a reward actor"
        try:
            fields = schema.read("StateV19", get_object(machine.store, state.head))
        except SchemaError:
            raise CheatcodeFailure("streams of the block reward require network version 29 or newer") from None
        fields |= {"swa_actor": Address.id(actor).to_bytes(), "swa_timelock_epochs": timelock}
        tree.set_actor(REWARD_ACTOR, state.with_head(put_object(machine.store, schema.write("StateV19", fields))))


def _send_message(
    machine: Hypervisor, from_: Address, to: Address, method: int, params: bytes, value: TokenAmount = TokenAmount(0)
) -> bytes:
    message = Message(to, from_, value=value, method=MethodNumber(method), params=params, gas_limit=_IMPLICIT_GAS)
    result = machine.apply_implicit(message)
    if result.fatal is not None:
        raise result.fatal
    if result.exit_code:
        raise CheatcodeFailure(f"{to} refuses method {method} with exit code {result.exit_code}: {result.message}")
    return result.return_data


# --- queries --------------------------------------------------------------------------------------------------------


@cheatcode("readActorState(string)", returns="string", filecoin=True)
def _read_state(context: Context, path: str) -> str:
    """Return the state at a path as JSON, like `hypervisor inspect`."""
    from localnet.state.actor_interfaces import StoredSchemas
    from localnet.state.inspection import StateInspector

    machine = context.machine
    try:
        found = StateInspector(machine.store, _root_now(context), StoredSchemas.of_machine(machine)).read_path(path)
    except HypervisorError as error:
        raise CheatcodeFailure(str(error)) from None
    return found if isinstance(found, str) else json.dumps(found, separators=(",", ":"), ensure_ascii=False)


@cheatcode("filecoinGas(address,address,uint256,bytes)", returns="uint64,int256,bytes", filecoin=True)
def _filecoin_gas(
    context: Context, sender: EthAddress, to: EthAddress, value: int, data: bytes
) -> tuple[int, int, bytes]:
    """Return Filecoin gas, exit code and return data of a message to a contract in the current state.

    It is executed under Filecoin's rules on a copy of the state, which is discarded.
    """
    machine = context.machine
    context.ledger.touch(sender)
    root = _root_now(context)
    with context.cheats.outside_test():
        limit = CodeLimit(block_of(machine).code_limit)
        copy = machine.fork(root, context=replace(machine.context, rules=FILECOIN, block=limit))
        copy.tracer = None  # not a call of the test, and its gas is in other units
        message = Message(
            to_filecoin(to),
            to_filecoin(sender),
            value=TokenAmount(value),
            method=INVOKE_EVM,
            params=invoke_params(data),
            gas_limit=Gas(BLOCK_GAS_LIMIT),
        )
        result = copy.apply_implicit(message)
        copy.stacks.dismiss()
    if result.fatal is not None:
        raise CheatcodeFailure(str(result.fatal))
    return result.gas_used, result.exit_code, result.return_data


def _root_now(context: Context) -> Cid:
    """Return the state root including the changes of the current message."""
    tree = context.machine.state_tree
    mark = tree.begin()
    try:
        return tree.current_root()
    finally:
        tree.rollback(mark)
