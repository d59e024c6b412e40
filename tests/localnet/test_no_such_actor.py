"""A payment from a contract to a nonexistent actor ID: the call succeeds without moving value, as on the network."""

import pytest

from bridge.ethereum.addresses import masked_id
from localnet import Network
from tests.conftest import bundle_file, with_data
from tests.localnet.conftest import Clock
from tests.runtimes.evm.assembler import assemble, deployer

PAY = deployer(assemble("0 0 0 0 CALLVALUE 0 CALLDATALOAD GAS CALL 0 MSTORE RETURNDATASIZE 32 MSTORE 64 0 RETURN"))
"""Code that sends the value to the address in the first word; returns CALL's result and the return data size."""


@pytest.mark.parametrize(
    ("rules", "evm"),
    [
        *(("filecoin", evm) for evm in ("fast", "py-evm", *with_data("official"))),
        ("ethereum", "fast"),
        ("ethereum", "py-evm"),
    ],
)
def test_payment_to_missing_actor_succeeds_but_value_stays(rules: str, evm: str) -> None:
    """It holds under both rules, since tests under Ethereum's rules must not expect a revert that the network lacks."""
    bundle = bundle_file("bundles/v18-devnet.car") if evm == "official" else None
    with Network(bundle=bundle, evm=evm, rules=rules, clock=Clock()) as network:
        payer = network.send(None, 0, PAY).contract_address
        assert payer is not None
        nobody, somebody = (bytes(12) + masked_id(number) for number in (99_999, 100))
        held = network.balance("f0100")
        for value in (0, 7):
            assert network.call(payer, nobody, value=value) == (1).to_bytes(32, "big") + bytes(32)
        assert network.send(payer, 7, nobody, sender=network.accounts[1]).succeeded
        assert network.balance(payer) == 7
        assert network.send(payer, 5, somebody, sender=network.accounts[1]).succeeded
        assert (network.balance(payer), network.balance("f0100")) == (7, held + 5)
