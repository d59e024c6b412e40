"""Filecoin messages under Ethereum's rules: forbidden operations on contracts and accounts of others."""

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import EAM_ACTOR, METHOD_CONSTRUCTOR, Gas, MethodNumber
from runtimes.evm.ethereum.alloc import AllocAccount, install_alloc, read_alloc
from tests.runtimes.evm.assembler import assemble, deployer

MESSAGE_SENDER, TARGET, OWNED = (EthAddress(bytes([number]) * 20) for number in (0xAA, 0xBB, 0xCC))
RUNTIME = assemble("1 0 MSTORE 32 0 RETURN")
TO_THE_SENDER = assemble("CALLER SELFDESTRUCT")
PRE = {
    MESSAGE_SENDER: AllocAccount(10**20),
    TARGET: AllocAccount(10**18, 1, RUNTIME, {5: 7}),
    OWNED: AllocAccount(10**18),
}


@pytest.fixture
def message_machine() -> Hypervisor:
    machine = Hypervisor.open(rules="ethereum")
    install_alloc(machine, PRE)
    return machine


def send(machine: Hypervisor, to: Address, method: int, params: bytes) -> ApplyResult:
    message = Message(
        to=to, from_=to_filecoin(MESSAGE_SENDER), method=MethodNumber(method), params=params, gas_limit=Gas(1_000_000)
    )
    return machine.apply(message)


@pytest.mark.parametrize("init_code", [deployer(TO_THE_SENDER), TO_THE_SENDER], ids=["new code", "pays itself out"])
@pytest.mark.parametrize("by_number", [False, True], ids=["f410", "f0"])
@pytest.mark.parametrize("whose", [TARGET, OWNED], ids=["contract", "account"])
def test_message_cannot_construct_existing_actor(
    message_machine: Hypervisor, whose: EthAddress, by_number: bool, init_code: bytes
) -> None:
    to = to_filecoin(whose)
    if by_number:
        actor = message_machine.state_tree.lookup_id(to)
        assert actor is not None
        to = Address.id(actor)
    result = send(message_machine, to, METHOD_CONSTRUCTOR, init_code)
    if whose == TARGET:  # the official EVM actor's answer to everybody but the init actor
        assert result.exit_code == ExitCode.USR_FORBIDDEN
    after = dict(read_alloc(message_machine))
    assert {address: after[address] for address in (TARGET, OWNED)} == {
        address: PRE[address] for address in (TARGET, OWNED)
    }


def test_message_cannot_create_contract_at_chosen_address(message_machine: Hypervisor) -> None:
    free = EthAddress(bytes([0xDD]) * 20)
    send(message_machine, to_filecoin(free), METHOD_CONSTRUCTOR, deployer(RUNTIME))
    assert free not in dict(read_alloc(message_machine))


def test_a_message_to_the_address_manager_makes_a_contract(message_machine: Hypervisor) -> None:
    result = send(message_machine, Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, byte_string(deployer(RUNTIME)))
    assert result.exit_code == 0, result.message
    created = CreateReturn.decode(result.return_data).eth_address
    assert dict(read_alloc(message_machine))[created] == AllocAccount(0, 1, RUNTIME)
