"""Methods of the built-in actors by number, and the interpretation of byte strings by schema."""

import re

import pytest

from bridge.actors.schemas import ANY, FIXED_NUMBERS, actor_method, actor_schema, meaning, term_below
from bridge.method_numbers import FIRST_EXPORTED_METHOD
from fvm_hypervisor.builtin_actors.schemas import NAMES, schema_text
from hypervisor.messages.address import Address


# Numbers of exported methods from the list of the official actors v18.
@pytest.mark.parametrize(
    ("actor", "number", "name"),
    [
        ("datacap", 48890204, "Name"),
        ("datacap", 80475954, "Transfer"),
        ("datacap", 1777121560, "IncreaseAllowance"),
        ("storagepower", 1173380165, "CreateMiner"),
        ("storagepower", 3753401894, "MinerRawPower"),
        ("storageminer", 3275365574, "GetOwner"),
        ("storageminer", 2280458852, "WithdrawBalance"),
        ("storageminer", 3665352697, "RepayDebt"),
        ("storageminer", 2354970453, "ConfirmChangeWorkerAddress"),
        ("storagemarket", 726108461, "GetBalance"),
        ("verifiedregistry", 3916220144, "AddVerifiedClient"),
        ("account", 2643134072, "AuthenticateMessage"),
        ("evm", 3844450837, "InvokeEVM"),
        ("evm", 3, "GetBytecode"),
        ("eam", 4, "CreateExternal"),
        ("init", 3, "Exec4"),
        ("reward", 2, "AwardBlockReward"),
        ("cron", 2, "EpochTick"),
        ("multisig", 2, "Propose"),
        ("multisig", 3726118371, "Receive"),
        ("anything", 3726118371, "Receive"),
        ("anything", 0, "Send"),
        ("anything", 1, "Constructor"),
    ],
)
def test_a_number_has_its_name(actor: str, number: int, name: str) -> None:
    method = actor_method(actor, number)
    assert method is not None
    assert method.name == name


def test_an_unknown_number_has_none() -> None:
    assert actor_method("datacap", 5) is None
    assert actor_method("nobody", 48890204) is None


def test_parameters_and_answers_have_their_types() -> None:
    transfer, name, tick = (
        actor_method(*which) for which in (("datacap", 80475954), ("datacap", 48890204), ("cron", 2))
    )
    assert transfer is not None
    assert name is not None
    assert tick is not None
    assert (transfer.params, transfer.returns) == ("TransferParams", "TransferReturn")
    assert (name.params, name.returns) == (None, "NameReturn")
    assert (tick.params, tick.returns) == (None, None)


_NUMBERED = re.compile(r"# method (\d+)\b[^\n]*\n(?:#[^\n]*\n)*type (\w+?)(?:Params|Return)\b")


@pytest.mark.parametrize("actor", NAMES)
def test_the_actors_fixed_numbers_are_those_of_the_schemas(actor: str) -> None:
    rows = [row.split() for row in FIXED_NUMBERS.get(actor, "").split(", ") if row]
    numbered = {int(number): name for number, name in _NUMBERED.findall(schema_text(actor))}
    own = {number: name for number, name in numbered.items() if 1 < number < FIRST_EXPORTED_METHOD}
    assert own.items() <= {int(number): name for number, name in rows}.items()
    for number, name in rows:
        method = actor_method(actor, int(number))
        assert method is not None
        assert method.name == name
        assert (method.params or method.returns) or f" {number}" in schema_text(actor)


def test_byte_strings_mean_amounts_addresses_or_themselves() -> None:
    schema = actor_schema("datacap")
    assert meaning(schema, "TokenAmount", b"\x00\x05") == 5
    assert meaning(schema, "TotalSupplyReturn", b"\x01\x05") == -5
    assert meaning(schema, "ConstructorParams", b"\x00\x64") == Address.id(100)
    assert meaning(schema, "RawBytes", b"\x00\x64") == b"\x00\x64"
    for torn in ("TokenAmount", "Address"):
        assert meaning(schema, torn, b"\x09") == b"\x09"


def test_value_fields_have_declared_types() -> None:
    miner = actor_schema("storageminer")
    assert term_below(miner, "GetOwnerReturn", "owner") == "Address"
    assert term_below(miner, term_below(miner, "ChangeWorkerAddressParams", "new_control_addresses"), "") == "Address"
    assert term_below(miner, "Address", "") == ANY
