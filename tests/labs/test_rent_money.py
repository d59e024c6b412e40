"""Failing refunds (lab `rent`): the debt stays with the rent actor."""

from collections.abc import Callable

import pytest

from fvm_hypervisor.laboratory.profiles.rent import collect
from fvm_hypervisor.laboratory.profiles.rent_actor import OPT_OUT, PAY, RENT
from hypervisor.errors import Fatal
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import CallManager
from hypervisor.messages.events import StampedEvent
from hypervisor.types import METHOD_SEND
from localnet import Network
from tests.labs.test_rent import GRACE, PERIOD, RATE, RENT_ADDRESS, Stage


class Lost:
    """A machine in which the rent actor's payments fail."""

    is_armed, watched = True, frozenset[bytes]()

    def send(self, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        lost = call.from_ == RENT and call.method == METHOD_SEND
        return CallResult(ExitCode.SYS_OUT_OF_GAS) if lost else proceed(call)

    def on_event(self, calls: CallManager, event: StampedEvent) -> None: ...


def test_a_deposit_that_does_not_arrive_stays_where_it_is() -> None:
    with Network(rules=f"lab:rent=own/{RATE}/{PERIOD}/{GRACE}") as network:
        network.mine()
        stage = Stage(network)
        assert stage.by_tenant(PAY, b"", value=5) == 0
        collect(stage.machine)
        before = stage.tenancy()
        stage.next_epoch(GRACE)  # now it is archived, and what it has goes to its own balance
        stage.machine.interceptor = Lost()
        assert stage.by_tenant(OPT_OUT) == ExitCode.USR_ILLEGAL_STATE
        with pytest.raises(Fatal, match=f"the transfer of 5 attoFIL to f0{stage.tenant} failed with exit code 7"):
            collect(stage.machine)
        stage.machine.interceptor = None
        assert stage.tenancy() == before
        assert stage.machine.balance(RENT_ADDRESS) == 5
        assert stage.by_tenant(OPT_OUT) == 0
        assert stage.machine.balance(RENT_ADDRESS) == 0
