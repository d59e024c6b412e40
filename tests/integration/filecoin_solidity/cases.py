"""A machine and cases for each function of the Solidity libraries.

- A machine with miners, deals, claims and allowances for every function of the libraries.
- Cases for each function of the libraries: at least one success, and one that the actor rejects.

The callers are deployed and funded; each gets what its API needs, such as its own miner. State for a single case is
made before that case.

A case gives the function's arguments and, independently of the library, the equivalent native call with parameters in
CBOR according to the actors' specification. Expected exit codes are the documented ones of the built-in actors.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.abi.abi import ContractInterface
from bridge.ethereum.addresses import EthAddress, create_address, to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM, method_number
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn, invoke_params
from hypervisor import Address, Hypervisor, Message
from hypervisor.bundles.bundle import Bundle
from hypervisor.exit_codes import ErrorNumber, ExitCode
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
from tests.hypervisor.builtin_actors.people import (
    ALICE,
    BOB,
    DAVE,
    ETHEL,
    FIL,
    GENESIS,
    OTHER_WORKER,
    STRANGER,
    WORKER,
    amount,
    packed,
    raw,
    signature,
)
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


OK, ILLEGAL, NOT_FOUND = ExitCode.OK, ExitCode.USR_ILLEGAL_ARGUMENT, ExitCode.USR_NOT_FOUND
FORBIDDEN, NO_FUNDS, GARBLED = ExitCode.USR_FORBIDDEN, ExitCode.USR_INSUFFICIENT_FUNDS, ExitCode.USR_SERIALIZATION
NOBODY_THERE: Final = -ErrorNumber.NOT_FOUND
NOBODY: Final = 99_999
BROKEN: Final = b"\x09broken"
"""Bytes that are not an address."""


@dataclass(frozen=True, slots=True)
class NativeCall:
    """The native equivalent of a call. `params` in CBOR, value in attoFIL."""

    to: Address
    method: int
    params: bytes = b""
    value: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """A call of a function.

    `arguments` are those of the Solidity function; `exit_code` is the reported one (negative for a refused send), or
    the name of the error with which the library reverts before a call. `refused` are the exit codes of single items if
    only those are refused. `wrapped`: the actor returns a tuple of one, the library its content. `new_actor`: the
    result is an address that depends on the message's origin. `caller`: a caller of the stage other than that of the
    API. `hidden_behind`: the library fails with these words on the empty return value before it checks the exit code.
    `misread`: the library decodes negative numbers incorrectly (-1 for 0).
    """

    api: str
    function: str
    arguments: tuple[Any, ...]
    native: NativeCall | None
    exit_code: int | str = OK
    refused: tuple[int, ...] = ()
    wrapped: bool = False
    new_actor: bool = False
    before: Callable[[Stage], object] | None = None
    caller: str = ""
    hidden_behind: str = ""
    misread: bool = False

    @property
    def by(self) -> str:
        """Name of the used caller of the stage."""
        return self.caller or self.api

    @property
    def succeeds(self) -> bool:
        return self.exit_code == OK and not self.refused

    @property
    def method(self) -> str:
        return f"{self.api}.{self.function}"


def fil(address: Address | bytes) -> tuple[bytes]:
    return (address.to_bytes() if isinstance(address, Address) else address,)


def big(number: int) -> tuple[bytes, bool]:
    magnitude = abs(number)
    return magnitude.to_bytes((magnitude.bit_length() + 7) // 8 or 1, "big"), number < 0


def cases(stage: Stage) -> list[Case]:
    """Return all cases; IDs are those of a stage, equal on every bundle."""
    made = (
        account,
        datacap,
        market_money,
        deals,
        miner_facts,
        miner_changes,
        miner_refusals,
        power,
        registry,
        addresses,
    )
    return [case for part in made for case in part(stage)]


def account(stage: Stage) -> Iterable[Case]:
    bob, message = stage.id_of(BOB), b"pay me"
    for signer, exit_code in ((BOB, OK), (DAVE, ILLEGAL)):
        sealed = signature(signer, message)
        native = NativeCall(Address.id(bob), method_number("AuthenticateMessage"), packed(sealed, message))
        arguments = (bob, (sealed, message))
        yield Case(
            "AccountAPI", "authenticateMessage", arguments, native, exit_code, hidden_behind="slicing out of range"
        )


def datacap(stage: Stage) -> Iterable[Case]:
    me = stage.address("DataCapAPI")

    def case(function: str, arguments: Any, params: bytes, exit_code: int = OK, wrapped: bool = False) -> Case:
        native = NativeCall(DATACAP, _number(function), params)
        return Case("DataCapAPI", function, arguments, native, exit_code, wrapped=wrapped)

    for function in ("name", "symbol", "totalSupply"):
        yield case(function, (), b"")
    for holder, exit_code in ((raw(BOB), OK), (raw(STRANGER), OK), (BROKEN, GARBLED)):
        yield case("balance", ((holder,),), encode(holder), exit_code)
        yield case("allowance", ((fil(BOB), (holder,)),), packed(raw(BOB), holder), exit_code)
    yield case("allowance", ((fil(BOB), fil(me)),), packed(raw(BOB), raw(me)))
    request = packed([stage.allocation(9)], [])
    for to, tokens, data, exit_code in (
        (REGISTRY, KIB * BYTE, request, OK), (DAVE, KIB * BYTE, b"", FORBIDDEN), (REGISTRY, BYTE + 1, request, ILLEGAL),
        (REGISTRY, 10**9 * BYTE, request, NO_FUNDS), (REGISTRY, KIB * BYTE, b"", GARBLED),
    ):  # fmt: skip
        yield case("transfer", ((fil(to), big(tokens), data),), packed(raw(to), amount(tokens), data), exit_code)
    for of, exit_code in ((BOB, OK), (stage.address("VerifRegAPI"), NO_FUNDS)):
        params = packed(raw(of), raw(REGISTRY), amount(KIB * BYTE), request)
        arguments = ((fil(of), fil(REGISTRY), big(KIB * BYTE), request),)
        yield case("transferFrom", arguments, params, exit_code)
        burned = packed(raw(of), amount(KIB * BYTE))
        yield case("burnFrom", ((fil(of), big(KIB * BYTE)),), burned, exit_code)
    for function in ("increaseAllowance", "decreaseAllowance"):
        for tokens, exit_code in ((7 * BYTE, OK), (-BYTE, ILLEGAL)):
            yield case(function, ((fil(DAVE), big(tokens)),), packed(raw(DAVE), amount(tokens)), exit_code)
    for operator, exit_code in ((raw(DAVE), OK), (BROKEN, GARBLED)):
        yield case("revokeAllowance", ((operator,),), packed(operator), exit_code)
    for tokens, exit_code in ((KIB * BYTE, OK), (10**9 * BYTE, NO_FUNDS), (1, ILLEGAL)):
        yield case("burn", (big(tokens),), packed(amount(tokens)), exit_code, wrapped=True)


def market_money(stage: Stage) -> Iterable[Case]:
    me = stage.address("MarketAPI")

    def case(function: str, arguments: Any, params: bytes, value: int = 0, exit_code: int | str = OK) -> Case:
        return Case("MarketAPI", function, arguments, NativeCall(MARKET, _number(function), params, value), exit_code)

    for to, value, exit_code in (
        (BOB, 5 * FIL, OK), (Address.id(stage.theirs), 1, OK), (BOB, 0, ILLEGAL), (STRANGER, 5, ILLEGAL),
    ):  # fmt: skip
        yield case("addBalance", (fil(to), value), encode(raw(to)), value, exit_code)
    yield case("addBalance", (fil(BOB), 5000 * FIL), encode(raw(BOB)), 5000 * FIL, "NotEnoughBalance")
    for of, value, exit_code in (
        (me, 10**8, OK), (me, 10**12, OK), (Address.id(stage.seller), 5, OK), (BOB, 5, FORBIDDEN), (me, -1, ILLEGAL),
    ):  # fmt: skip
        yield case("withdrawBalance", ((fil(of), big(value)),), packed(raw(of), amount(value)), 0, exit_code)
    for of, exit_code in ((BOB, OK), (Address.id(stage.theirs), OK), (DAVE, OK), (STRANGER, ILLEGAL)):
        yield case("getBalance", (fil(of),), encode(raw(of)), 0, exit_code)


def deals(stage: Stage) -> Iterable[Case]:
    for function in (
        "getDealDataCommitment", "getDealClient", "getDealProvider", "getDealLabel", "getDealTerm", "getDealTotalPrice",
        "getDealClientCollateral", "getDealProviderCollateral", "getDealVerified", "getDealActivation",
    ):  # fmt: skip
        for deal, exit_code in ((0, OK), (1, NOT_FOUND), (2**64 - 1, ExitCode.USR_ILLEGAL_STATE)):
            native = NativeCall(MARKET, _number(function), encode(deal))
            misread = function == "getDealActivation"
            yield Case("MarketAPI", function, (deal,), native, exit_code, misread=misread)
    seller, theirs = Address.id(stage.seller), Address.id(stage.theirs)
    labels: tuple[str | bytes, ...] = ("another", b"\xff\xfe")
    offers = [Deal(seller, label=label) for label in labels]
    for offered, exit_code in ((offers, OK), (offers[:1], OK), ([], ILLEGAL), ([Deal(theirs)], FORBIDDEN)):
        native = NativeCall(MARKET, _number("publishStorageDeals"), packed([deal.signed() for deal in offered]))
        yield Case("MarketAPI", "publishStorageDeals", (([_offer(deal) for deal in offered],),), native, exit_code)


def _offer(deal: Deal) -> Any:
    """Return a MarketTypes.ClientDealProposal."""
    label = deal.label.encode() if isinstance(deal.label, str) else deal.label
    fields, sealed = deal.signed()
    proposal = (
        (fields[0].value[1:],), deal.size, deal.verified, fil(deal.client), fil(deal.provider),
        (label, isinstance(deal.label, str)), deal.start, deal.end, big(deal.price), big(deal.provider_collateral),
        big(deal.client_collateral),
    )  # fmt: skip
    return proposal, sealed


def miner_facts(stage: Stage) -> Iterable[Case]:
    for function, wrapped in (
        ("getOwner", False), ("getSectorSize", False), ("getAvailableBalance", False), ("getVestingFunds", True),
        ("getBeneficiary", False), ("getPeerId", True), ("getMultiaddresses", True),
    ):  # fmt: skip
        for miner, exit_code in ((stage.mine, OK), (NOBODY, NOBODY_THERE)):
            native = NativeCall(Address.id(miner), _number(function))
            yield Case("MinerAPI", function, (miner,), native, exit_code, wrapped=wrapped)
        yield Case("MinerAPI", function, (5,), None, "InvalidActorID")
    for controller, exit_code in ((raw(WORKER), OK), (raw(DAVE), OK), (BROKEN, GARBLED)):
        native = NativeCall(Address.id(stage.mine), _number("isControllingAddress"), encode(controller))
        yield Case("MinerAPI", "isControllingAddress", (stage.mine, (controller,)), native, exit_code)


def miner_changes(stage: Stage) -> Iterable[Case]:
    dave = Address.id(stage.id_of(DAVE))
    changed = packed(raw(WORKER), [raw(dave)])

    def ask_for_another_worker(stage: Stage) -> None:
        params = packed(raw(OTHER_WORKER), [])
        stage.send_as(stage.callers["MinerAPI"].id, Address.id(stage.mine), _number("changeWorkerAddress"), params)
        stage.at(DAY)

    def fund(stage: Stage) -> None:
        stage.send(Address.id(stage.mine), 0, value=5 * FIL)

    for function, arguments, params, before, wrong in (
        ("changeOwnerAddress", (fil(dave),), encode(raw(dave)), None, FORBIDDEN),
        ("changeBeneficiary", ((fil(dave), big(FIL), 9000),), packed(raw(dave), amount(FIL), 9000), None, FORBIDDEN),
        ("changeWorkerAddress", ((fil(WORKER), [fil(dave)]),), changed, None, FORBIDDEN),
        ("changePeerId", ((b"new peer",),), packed(b"new peer"), None, FORBIDDEN),
        ("changeMultiaddresses", ([(b"here",), (b"there",)],), packed([b"here", b"there"]), None, FORBIDDEN),
        ("repayDebt", (), b"", Stage.owe, FORBIDDEN),
        ("confirmChangeWorkerAddress", (), b"", ask_for_another_worker, FORBIDDEN),
        ("withdrawBalance", (big(FIL),), packed(amount(FIL)), fund, FORBIDDEN),
    ):
        for miner, exit_code in ((stage.mine, OK), (stage.theirs, wrong), (NOBODY, NOBODY_THERE)):
            native = NativeCall(Address.id(miner), _number(function), params)
            first = before if miner == stage.mine else None
            yield Case("MinerAPI", function, (miner, *arguments), native, exit_code, before=first)


def miner_refusals(stage: Stage) -> Iterable[Case]:
    me = Address.id(stage.callers["MinerAPI"].id)
    for function, arguments, params in (
        ("changePeerId", ((bytes(129),),), packed(bytes(129))),
        ("withdrawBalance", (big(-1),), packed(amount(-1))),
        ("changeBeneficiary", ((fil(me), big(1), 0),), packed(raw(me), amount(1), 0)),
    ):
        native = NativeCall(Address.id(stage.mine), _number(function), params)
        yield Case("MinerAPI", function, (stage.mine, *arguments), native, ILLEGAL)


def power(stage: Stage) -> Iterable[Case]:
    for function in ("minerCount", "minerConsensusCount", "networkRawPower"):
        yield Case("PowerAPI", function, (), NativeCall(POWER, _number(function)))
    for miner, exit_code in ((stage.theirs, OK), (stage.mine, OK), (NOBODY, ILLEGAL)):
        yield Case(
            "PowerAPI", "minerRawPower", (miner,), NativeCall(POWER, _number("minerRawPower"), encode(miner)), exit_code
        )
    for worker, proof, value, exit_code in (
        (WORKER, WINDOW_2K, FIL, OK), (WORKER, 5, FIL, ILLEGAL), (ALICE, WINDOW_2K, FIL, ILLEGAL),
        (WORKER, WINDOW_2K, 5, NO_FUNDS),
    ):  # fmt: skip
        params = packed(raw(ALICE), raw(worker), proof, b"peer", [b"one"])
        arguments = ((fil(ALICE), fil(worker), proof, (b"peer",), [(b"one",)]), value)
        native = NativeCall(POWER, _number("createMiner"), params, value)
        yield Case("PowerAPI", "createMiner", arguments, native, exit_code, new_actor=exit_code == OK)


def registry(stage: Stage) -> Iterable[Case]:
    theirs, bob = stage.theirs, stage.id_of(BOB)

    def case(function: str, arguments: Any, params: bytes, exit_code: int = OK, **more: Any) -> Case:
        return Case(
            "VerifRegAPI", function, (arguments,), NativeCall(REGISTRY, _number(function), params), exit_code, **more
        )

    for claims, refused in (([1], ()), ([1, 4], ()), ([], ()), ([1, 77], (NOT_FOUND,)), ([77, 78], (NOT_FOUND,) * 2)):
        yield case("getClaims", (theirs, claims), packed(theirs, claims), refused=refused)
    for tokens, caller, exit_code in ((KIB, VERIFIER, OK), (255, VERIFIER, ILLEGAL), (KIB, "", NOT_FOUND)):
        params = packed(raw(DAVE), amount(tokens))
        yield case("addVerifiedClient", (fil(DAVE), big(tokens)), params, exit_code, caller=caller)
    for epoch, ids, refused in (
        (61 * DAY, [2, 3], ()), (61 * DAY, [], ()), (61 * DAY, [2, 77], (NOT_FOUND,)), (0, [2], (FORBIDDEN,)),
    ):  # fmt: skip
        yield case("removeExpiredAllocations", (bob, ids), packed(bob, ids), refused=refused, before=_at(epoch))
    for epoch, ids, refused in (
        (TERM_MIN + 2 * DAY, [1, 4], ()), (TERM_MIN + 2 * DAY, [77], (NOT_FOUND,)), (0, [1, 4], (FORBIDDEN,) * 2),
    ):  # fmt: skip
        yield case("removeExpiredClaims", (theirs, ids), packed(theirs, ids), refused=refused, before=_at(epoch))
    longer = TERM_MIN + 9 * DAY
    for terms, refused in (
        ([(theirs, 4, longer)], ()), ([(theirs, 4, longer), (theirs, 1, longer)], (FORBIDDEN,)),
        ([(theirs, 4, 5)], (ILLEGAL,)), ([(theirs, 77, longer)], (NOT_FOUND,)),
    ):  # fmt: skip
        yield case("extendClaimTerms", terms, packed([list(term) for term in terms]), refused=refused)


def _at(epoch: int) -> Callable[[Stage], object]:
    return lambda stage: stage.at(epoch)


def addresses(stage: Stage) -> Iterable[Case]:
    """Return cases without a native call; the expected results come from the state tree."""
    for address in (BOB, WORKER, ETHEL, Address.id(7), Address.id(NOBODY)):
        yield Case("PrecompilesAPI", "resolveAddress", (fil(address),), None)
    yield Case("PrecompilesAPI", "resolveAddress", (fil(STRANGER),), None, "none")
    yield Case("PrecompilesAPI", "resolveAddress", ((BROKEN,),), None, "FailToCallActor")
    yield Case("PrecompilesAPI", "resolveEthAddress", (ETHEL.subaddress(),), None)
    yield Case("PrecompilesAPI", "resolveEthAddress", (bytes(19) + b"\x77",), None, "none")
    for actor in (stage.id_of(ETHEL), stage.id_of(BOB), NOBODY):
        yield Case("PrecompilesAPI", "lookupDelegatedAddress", (actor,), None)
    for target, value, exit_code in (
        (Address.id(stage.mine), 3 * FIL, OK), (ETHEL, FIL, OK), (STRANGER, FIL, OK),
        (Address.id(NOBODY), 1, NOBODY_THERE), (Address.id(5), 1, OK), (DAVE, 2000 * FIL, "NotEnoughBalance"),
    ):  # fmt: skip
        native = NativeCall(target, 0, b"", value)
        yield Case("SendAPI", "send((bytes),uint256)", (fil(target), value), native, exit_code)
        number = target.actor_id()
        if number is not None:
            yield Case("SendAPI", "send(uint64,uint256)", (number, value), native, exit_code)


_NAMES: Final = {"changePeerId": "ChangePeerID", "getPeerId": "GetPeerID", "changeMultiaddresses": "ChangeMultiaddrs",
                 "getMultiaddresses": "GetMultiaddrs"}  # fmt: skip


def _number(function: str) -> int:
    return method_number(_NAMES.get(function, function[0].upper() + function[1:]))
