"""A machine with miners, deals, claims and allowances for every function of the libraries.

The callers are deployed and funded; each gets what its API needs, such as its own miner. State for a single case is
made before that case.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.abi.abi import ContractInterface
from bridge.ethereum.addresses import EthAddress, create_address, to_filecoin
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, INVOKE_EVM, CreateReturn, invoke_params, method_number
from hypervisor import Address, Hypervisor, Message
from hypervisor.bundles.bundle import Bundle
from hypervisor.machine.executor import ApplyResult
from hypervisor.proofs.verifier import AcceptProofs
from hypervisor.types import (
    DATACAP_ACTOR,
    EAM_ACTOR,
    MARKET_ACTOR,
    POWER_ACTOR,
    REWARD_ACTOR,
    VERIFIED_REGISTRY_ACTOR,
    ActorID,
    ChainEpoch,
    Gas,
    MethodNumber,
    TokenAmount,
)
from store.codec import decode, encode
from tests.hypervisor.builtin_actors.people import ALICE, BOB, ETHEL, FIL, GENESIS, WORKER, amount, packed, raw
from tests.hypervisor.builtin_actors.test_same_market import ACTIVATE, ADD, PUBLISH, SEAL_2K, Deal
from tests.hypervisor.builtin_actors.test_same_power import CREATE_MINER, UPDATE_CLAIM, UPDATE_PLEDGE, WINDOW_2K
from tests.hypervisor.builtin_actors.test_same_registry import (
    ADD_CLIENT,
    ADD_VERIFIER,
    BYTE,
    CLAIM,
    DAY,
    KIB,
    ROOT,
    TERM_MIN,
    piece,
)

GAS_LIMIT: Final = Gas(10**13)
APIS: Final = (
    "AccountAPI", "DataCapAPI", "MarketAPI", "MinerAPI", "PowerAPI", "PrecompilesAPI", "SendAPI", "VerifRegAPI",
)  # fmt: skip
VERIFIER: Final = "verifier"
"""A second caller of VerifRegAPI, since a verifier may not hold DataCap itself."""
APPLY_REWARDS: Final = 14
MARKET, POWER = Address.id(MARKET_ACTOR), Address.id(POWER_ACTOR)
REGISTRY, DATACAP = Address.id(VERIFIED_REGISTRY_ACTOR), Address.id(DATACAP_ACTOR)


@dataclass(frozen=True, slots=True)
class Caller:
    """A contract that forwards calls to one API."""

    address: Address
    id: ActorID
    interface: ContractInterface
    code: bytes

    def function(self, name: str) -> str:
        """Return the contract's own name of an API's function: test contracts write get_owner for getOwner."""
        names = {entry.get("name") for entry in self.interface.abi}
        plain, bracket, types = name.partition("(")
        snake = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", plain)
        return name if plain in names else snake + bracket + types


class Stage:
    """The machine and its actors. `mine` belongs to the caller of MinerAPI, `seller` to MarketAPI's, `theirs` to ALICE;
    `theirs` provides deal 0, claims 1 (BOB's) and 4 (of VerifRegAPI's caller).
    """

    def __init__(self, bundle: Bundle, artifacts: Path, evm: str = "py-evm") -> None:
        self.machine = Hypervisor.open(bundle=bundle, genesis=GENESIS, evm=evm, proofs=AcceptProofs())
        files = {**{api: f"{api}.json" for api in APIS}, VERIFIER: "VerifRegAPI.json"}
        self.callers = {
            name: self._reserve(artifacts / file, place) for place, (name, file) in enumerate(files.items())
        }
        self.mine, self.seller, self.theirs = (
            self._create_miner(owner) for owner in (self.address("MinerAPI"), self.address("MarketAPI"), ALICE)
        )
        self._give_datacap()
        self._make_claims()
        self._publish_deal()
        for caller in self.callers.values():
            self._deploy(caller)
        self.send_as(self.theirs, POWER, UPDATE_CLAIM, packed(amount(1 << 40), amount(10 << 40)))

    def address(self, api: str) -> Address:
        return self.callers[api].address

    def id_of(self, address: Address) -> int:
        actor = self.machine.state_tree.lookup_id(address)
        assert actor is not None, f"nobody is at {address}"
        return actor

    # --- messages ---------------------------------------------------------------------------------------------

    def apply(self, to: Address, method: int, params: bytes, value: int, sender: Address) -> ApplyResult:
        """Send a chain message from an account, without fees."""
        account = self.machine.actor(sender)
        nonce = account.nonce if account else 0
        message = Message(to, sender, nonce, TokenAmount(value), MethodNumber(method), params, gas_limit=GAS_LIMIT)
        return self.machine.apply(message)

    def call(self, caller: Caller, function: str, arguments: tuple[Any, ...]) -> ApplyResult:
        """Call a function of a caller in a transaction of ETHEL."""
        calldata = caller.interface.encode_call(caller.function(function), *arguments)
        return self.apply(caller.address, INVOKE_EVM, invoke_params(calldata), 0, ETHEL)

    def implicit(self, sender: int, to: Address, method: int, params: bytes = b"", value: int = 0) -> ApplyResult:
        """Send the call as an implicit message of any actor."""
        message = Message(
            to, Address.id(sender), 0, TokenAmount(value), MethodNumber(method), params, gas_limit=GAS_LIMIT
        )
        return self.machine.apply_implicit(message)

    # Preparations must succeed.

    def send(self, to: Address, method: int, params: bytes = b"", value: int = 0, sender: Address = ALICE) -> Any:
        return _answer(self.apply(to, method, params, value, sender))

    def send_as(self, sender: int, to: Address, method: int, params: bytes = b"", value: int = 0) -> Any:
        return _answer(self.implicit(sender, to, method, params, value))

    # --- preparations -----------------------------------------------------------------------------------------

    def _reserve(self, artifact: Path, nonce: int) -> Caller:
        """Pay to the address of a future contract, since a placeholder accepts what the contract would refuse.

        A contract without code replaces a caller that is not compiled.
        """
        content: dict[str, Any] = {"abi": [], "bytecode": "0x"}
        if artifact.exists():
            content = json.loads(artifact.read_text())
        address = to_filecoin(create_address(EthAddress(ETHEL.subaddress()), nonce))
        self.send(address, 0, value=1000 * FIL)
        code = bytes.fromhex(content["bytecode"].removeprefix("0x"))
        return Caller(address, ActorID(self.id_of(address)), ContractInterface(content["abi"]), code)

    def _deploy(self, caller: Caller) -> None:
        result = self.apply(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, encode(caller.code), 0, ETHEL)
        assert result.exit_code == 0, result.message
        assert CreateReturn.decode(result.return_data).actor == caller.id

    def _create_miner(self, owner: Address) -> int:
        params = packed(raw(owner), raw(WORKER), WINDOW_2K, b"peer", [b"one", b"two"])
        address, _ = self.send(POWER, CREATE_MINER, params, 10 * FIL)
        return int(self.id_of(Address.from_bytes(address)))

    def _give_datacap(self) -> None:
        for verifier in (ALICE, self.address(VERIFIER)):
            self.send_as(ROOT, REGISTRY, ADD_VERIFIER, packed(raw(verifier), amount(10**9)))
        for client in (BOB, self.address("DataCapAPI"), self.address("VerifRegAPI")):
            self.send(REGISTRY, ADD_CLIENT, packed(raw(client), amount(10**6)))
        allowed = packed(raw(self.address("DataCapAPI")), amount(5 * KIB * BYTE))
        self.send(DATACAP, method_number("IncreaseAllowance"), allowed, sender=BOB)

    def allocation(self, number: int) -> list[Any]:
        """Return a request that expires after 60 days, to store a piece of a KiB for 180 days at `theirs`."""
        return [self.theirs, piece(number), KIB, TERM_MIN, TERM_MIN + DAY, 60 * DAY]

    def _make_claims(self) -> None:
        """Create allocations 1 to 3 of BOB, 4 and 5 of VerifRegAPI's caller; claim 1 and 4."""
        bob, client = self.id_of(BOB), self.callers["VerifRegAPI"].id
        for holder, numbers in ((bob, (1, 2, 3)), (client, (4, 5))):
            wanted = packed([self.allocation(number) for number in numbers], [])
            params = packed(raw(REGISTRY), amount(len(numbers) * KIB * BYTE), wanted)
            self.send_as(holder, DATACAP, method_number("Transfer"), params)
        stored = [[bob, 1, piece(1), KIB], [client, 4, piece(4), KIB]]
        sectors = [[7, TERM_MIN + 100, stored]]
        self.send_as(self.theirs, REGISTRY, CLAIM, packed(sectors, True))

    def _publish_deal(self) -> None:
        for whose in (BOB, Address.id(self.theirs), Address.id(self.seller), self.address("MarketAPI")):
            self.send(MARKET, ADD, encode(raw(whose)), 10**9)
        self.send(MARKET, PUBLISH, packed([Deal(Address.id(self.theirs)).signed()]))
        self.send_as(self.theirs, MARKET, ACTIVATE, packed([[7, SEAL_2K, 1300 * DAY, [0]]], False))

    def owe(self) -> None:
        """Give `mine` a debt that it could pay from the value sent to it."""
        # What a miner locks at its creation is in no total of pledges, but is taken out of it when it is slashed.
        self.send_as(self.mine, POWER, UPDATE_PLEDGE, encode(amount(100 * FIL)))
        self.send_as(REWARD_ACTOR, Address.id(self.mine), APPLY_REWARDS, packed(amount(0), amount(1000 * FIL)))
        self.send(Address.id(self.mine), 0, value=2000 * FIL)

    def at(self, epoch: int) -> None:
        self.machine.advance(epoch=ChainEpoch(epoch))


def _answer(result: ApplyResult) -> Any:
    assert result.exit_code == 0, f"exit {result.exit_code}: {result.message}"
    return decode(result.return_data) if result.return_data else None
