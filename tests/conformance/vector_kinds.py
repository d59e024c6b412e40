"""Named messages to and from native actors, for test vectors (`Scenario`), and messages that fail.

`Scenario` submits and mines the messages. Each passes the network's mempool, except those of `refused`, which the
mempool would reject.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bridge.actors.binding import Call
from bridge.bindings import (
    account,
    datacap,
    eam,
    evm,
    init,
    multisig,
    paymentchannel,
    reward,
    storagemarket,
    storageminer,
    storagepower,
    verifiedregistry,
)
from bridge.ethereum.addresses import to_filecoin
from bridge.ethereum.transactions import DYNAMIC_FEE, LEGACY, Transaction
from hypervisor.bundles.bundle import Bundle
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.message import Message
from hypervisor.messages.signatures import sign_secp256k1
from hypervisor.types import (
    CRON_ACTOR,
    DATACAP_ACTOR,
    INIT_ACTOR,
    MARKET_ACTOR,
    POWER_ACTOR,
    REWARD_ACTOR,
    SYSTEM_ACTOR,
    VERIFIED_REGISTRY_ACTOR,
    ActorID,
    ChainEpoch,
    Gas,
    MethodNumber,
    TokenAmount,
)
from localnet import Account, Network
from localnet.accounts import BLS_ACCOUNT
from localnet.ledger.genesis import GenesisOptions
from localnet.miners import onboarding
from localnet.miners.miner import Miner, window_proof
from localnet.miners.onboarding import unsealed_cid
from localnet.miners.policy import DATACAP_PER_BYTE, PROVING_PERIOD
from store.codec import encode
from tests.localnet.conftest import ARTIFACTS, Clock

_INPUT: Final = "6020360360205f37"
"""Copy the calldata from byte 32 on to memory."""
_RETURN: Final = "3d5f5f3e3d5ff3"
"""Return the return data of the last call."""
_WORD: Final = "5f5260205ff3"
"""Return the top of the stack."""


def creation(runtime: str) -> bytes:
    """Return init code that deploys a runtime code in hex."""
    code = bytes.fromhex(runtime)
    return bytes.fromhex("61") + len(code).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3") + code


def word(value: int | bytes) -> bytes:
    """Return a value as 32 bytes of calldata."""
    number = int.from_bytes(value, "big") if isinstance(value, bytes) else value
    return number.to_bytes(32, "big")


CALL: Final = f"{_INPUT}5f5f602036035f345f355af1{_RETURN}"
"""Call the address in the first word with the rest of the calldata and the value."""
DELEGATECALL: Final = f"{_INPUT}5f5f602036035f5f355af4{_RETURN}"
STATICCALL: Final = f"{_INPUT}5f5f602036035f5f355afa{_RETURN}"
LOGS: Final = (
    "602a5f52"
    + "".join("".join(f"60{topic:02x}" for topic in range(1, topics + 1)) + f"60205fa{topics}" for topics in range(5))
    + "00"
)
"""Emit five events with 0 to 4 topics."""
STORE: Final = "6020355f355500"
"""Store the second word of the calldata in the slot of the first word."""
LOAD: Final = f"5f3554{_WORD}"
REVERT: Final = "602a5f5260205ffd"
INVALID: Final = "fe"
LOOP: Final = "5b5f56"
SELFDESTRUCT: Final = "5f35ff"
"""Send the balance to the address in the first word and delete the contract."""
CREATE: Final = f"365f5f37365f34f0{_WORD}"
"""Create a contract with the calldata as init code."""
CREATE2: Final = f"365f5f37602a365f34f5{_WORD}"
RECURSION: Final = f"5f5f5f5f5f305af1{_WORD}"
TRANSIENT: Final = f"602a5f5d5f5c{_WORD}"
"""TSTORE and TLOAD (nv25)."""
MCOPY: Final = f"602a5f5260205f60205e602051{_WORD}"
"""MCOPY (nv24)."""
CLZ: Final = f"5f351e{_WORD}"
"""CLZ (nv28)."""
_ENVIRONMENT: Final = ("30", "32", "33", "34", "36", "38", "3a", "41", "42", "43", "44", "45", "46", "47", "48")
ENVIRONMENT: Final = (
    "".join(f"{instruction}61{32 * place:04x}52" for place, instruction in enumerate(_ENVIRONMENT))
    + f"61{32 * len(_ENVIRONMENT):04x}5ff3"
)
"""Return the values of the instructions for message and block: ADDRESS to BASEFEE."""
BALANCE_AND_CODE: Final = f"5f353f5f35315f353b0101{_WORD}"
"""Return the sum of code hash, balance and code size of the address in the first word."""
BLOCKHASH: Final = f"6001430340{_WORD}"


GAS: Final = 400_000_000
VERIFIED: Final = 1 << 20
"""DataCap in bytes of the verified client of each scenario."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A named message on the chain: its hash, and the epoch of its tipset."""

    name: str
    hash: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A named message that no mempool accepts, to be executed in the place of the tipset's messages at `epoch`."""

    name: str
    epoch: int
    message: Message


class Scenario:
    """A network and its named messages so far."""

    def __init__(
        self, folder: Path, version: int, bundle: Path, upgrades: Mapping[int, tuple[int, Bundle]] | None = None
    ) -> None:
        """Begin a chain with a miner, and with an account that has DataCap. `upgrades` are by epoch."""
        verified = Account.from_key(bytes(31) + b"\x77")
        genesis = GenesisOptions(
            name="vectors",
            verified={verified.native: VERIFIED},
            balances={verified.native: TokenAmount(10**21), BLS_ACCOUNT: TokenAmount(10**21)},
        )
        self.version, self.client = version, verified
        self.clock = Clock(1_700_000_000 + version)
        self.network = Network(
            folder,
            bundle=bundle,
            network=version,
            evm="official",
            clock=self.clock,
            genesis=genesis,
            upgrades=upgrades or {},
        )
        self.alice, self.bob, self.carol, self.dave = self.network.accounts[:4]
        self.found: list[Sent | Refused] = []
        self.miner: Miner = self.network.create_miner(self.network.accounts[9], 0)
        self.network.set_producer(self.miner.address)
        self.network.automine = False
        self.mine()

    def mine(self) -> None:
        """Mine a tipset 30 seconds after the last one."""
        self.clock.now += 30
        self.network.mine()

    def message(
        self,
        to: Address,
        call: Call[Any] | int = 0,
        params: bytes = b"",
        *,
        value: int = 0,
        gas: int = GAS,
        sender: Address | None = None,
    ) -> Message:
        """Return a message with the sender's next nonce (default: alice's f1 address)."""
        sender = self.alice.native if sender is None else sender
        return Message(
            to,
            sender,
            nonce=self.network.pending_nonce(sender),
            value=TokenAmount(value),
            method=MethodNumber(call if isinstance(call, int) else call.method),
            params=params if isinstance(call, int) else call.params,
            gas_limit=Gas(gas),
            gas_fee_cap=TokenAmount(10**6),
            gas_premium=TokenAmount(10**5),
        )

    def send(self, name: str, message: Message) -> Any:
        hash_ = self.network.submit_unsigned(message)
        return self._mined(name, hash_)

    def native(
        self,
        name: str,
        to: Address,
        call: Call[Any] | int = 0,
        params: bytes = b"",
        *,
        value: int = 0,
        gas: int = GAS,
        sender: Account | None = None,
    ) -> Any:
        """Mine a message with a secp256k1 signature and return its receipt."""
        account = self.alice if sender is None else sender
        message = self.message(to, call, params, value=value, gas=gas, sender=account.native)
        return self._mined(name, self.network.submit_native(account.sign_native(message)))

    def eth(
        self,
        name: str,
        to: Any,
        data: bytes = b"",
        *,
        value: int = 0,
        gas: int = GAS,
        sender: Account | None = None,
        type: int = DYNAMIC_FEE,
    ) -> Any:
        """Mine a transaction with a delegated signature and return its receipt."""
        account = self.alice if sender is None else sender
        transaction = Transaction(
            type=type,
            chain_id=self.network.chain_id,
            nonce=self.network.pending_nonce(account.delegated),
            to=to,
            value=value,
            data=data,
            gas_limit=gas,
            max_fee=10**6,
            max_priority_fee=10**6 if type != DYNAMIC_FEE else 10**5,
        )
        return self._mined(name, self.network.submit(account.sign(transaction).raw()))

    def deploy(self, name: str, runtime: str, *, value: int = 0) -> Any:
        """Deploy a runtime code in hex and return its Ethereum address."""
        receipt = self.eth(name, None, creation(runtime), value=value)
        assert receipt.succeeded, (name, receipt)
        return receipt.contract_address

    def refused(self, name: str, message: Message, **changes: Any) -> None:
        """Add a message with other fields than those of a valid one. Its state is that before the last tipset."""
        self.found.append(Refused(name, self.network.block_number, replace(message, **changes)))

    def _mined(self, name: str, hash_: bytes) -> Any:
        self.mine()
        self.found.append(Sent(name, f"0x{hash_.hex()}", self.network.block_number))
        return self.network.receipt(hash_)


EAM: Final = Address.id(10)
INVOKE: Final = 3_844_450_837
"""Method InvokeContract (FRC-42)."""
INCREMENT: Final = bytes.fromhex("d09de08a")
_CALL_ACTOR_BY_ID: Final = 0xFE << 152 | 5
_PRECOMPILE_INPUTS: Final = {
    5: word(1) + word(1) + word(1) + b"\x03\x05\x07",
    6: word(1) + word(2) + word(1) + word(2),
    7: word(1) + word(2) + word(3),
    8: b"",
    9: bytes(3) + b"\x0c" + bytes(208) + b"\x01",
    11: bytes(256),
}
"""Valid inputs by the number of a precompile: modexp, BN254 addition, multiplication and pairing, BLAKE2, BLS12-381."""
NUMBER: Final = bytes.fromhex("8381f58a")


def ethereum_accounts(s: Scenario) -> None:
    """Placeholders that become Ethereum accounts, and transactions of every type."""
    fresh = Account.from_key(bytes(31) + b"\x55")
    s.native("ethaccount/placeholder-funded", fresh.delegated, value=10**20)
    s.eth("ethaccount/created-by-first-transaction", s.bob.address, sender=fresh, value=1)
    s.eth("ethaccount/transfer-to-new-placeholder", bytes.fromhex("11" * 20), value=5)
    s.eth("ethaccount/transfer-to-native-id", bytes.fromhex("ff" + "00" * 11 + f"{s.miner.id:016x}"), value=5)
    s.eth("ethaccount/transfer-to-precompile", bytes(19) + b"\x01", value=5)
    s.eth("ethaccount/legacy-transaction", s.bob.address, value=2, type=LEGACY)
    s.native("ethaccount/called-natively", s.bob.delegated, INVOKE, encode(b"\x01\x02"))
    s.native("ethaccount/method-below-frc42", s.bob.delegated, 5)


def contract_creations(s: Scenario) -> None:
    """Contracts created by transactions, by the EAM, and by contracts; failures of creations."""
    artifact = json.loads((ARTIFACTS / "Counter.json").read_text())["bytecode"]
    text = artifact["object"] if isinstance(artifact, dict) else artifact
    initcode = bytes.fromhex(text.removeprefix("0x"))
    counter = s.eth("create/counter", None, initcode).contract_address
    s.eth("evm/counter-increment", counter, INCREMENT)
    s.eth("evm/counter-increment-again", counter, INCREMENT)
    s.eth("evm/counter-number", counter, NUMBER)
    s.eth("evm/counter-unknown-selector", counter, b"\x12\x34\x56\x78")
    s.eth("evm/counter-not-payable", counter, INCREMENT, value=1)
    s.native("evm/called-natively", to_filecoin(counter), INVOKE, encode(INCREMENT))
    s.native("evm/called-natively-without-parameters", to_filecoin(counter), INVOKE)
    s.native("evm/get-bytecode", to_filecoin(counter), evm.get_bytecode())
    s.native("evm/get-bytecode-hash", to_filecoin(counter), evm.get_bytecode_hash())
    s.native("evm/get-storage-forbidden", to_filecoin(counter), evm.get_storage_at(bytes(32)))
    s.native("create/external-by-secp256k1-account", EAM, eam.create_external(initcode))
    s.native("create/create2-by-account-forbidden", EAM, eam.create2(initcode, bytes(32)))
    s.native(
        "create/exec-of-evm-forbidden", Address.id(INIT_ACTOR), init.exec(s.network.machine.manifest.code("evm"), b"")
    )
    s.eth("create/empty-code", None, b"", value=7)
    s.eth("create/reverts", None, bytes.fromhex(REVERT))
    s.eth("create/invalid-instruction", None, b"\xfe")
    s.eth("create/code-starts-with-ef", None, bytes.fromhex("60ef5f5360015ff3"))
    s.eth("create/larger-than-limit", None, bytes.fromhex("6160015ff3"))
    s.eth("create/out-of-gas", None, initcode, gas=5_000_000)
    maker = s.deploy("create/factory", CREATE)
    s.eth("create/by-contract", maker, creation(STORE))
    s.eth("create/by-contract-reverts", maker, bytes.fromhex(REVERT))
    again = s.deploy("create/factory-create2", CREATE2)
    s.eth("create/create2-by-contract", again, creation(STORE))
    s.eth("create/create2-collision", again, creation(STORE))


def contract_calls(s: Scenario) -> None:
    """Calls between contracts, and to native actors through precompiles."""
    store = s.deploy("evm/deploy-storage", STORE)
    failing = s.deploy("evm/deploy-reverting", REVERT)
    deployed = {
        "call": s.deploy("evm/deploy-call", CALL),
        "delegatecall": s.deploy("evm/deploy-delegatecall", DELEGATECALL),
    }
    deployed["staticcall"] = s.deploy("evm/deploy-staticcall", STATICCALL)
    for name, address in deployed.items():
        s.eth(f"evm/{name}-writes-storage", address, word(store) + word(1) + word(42))
        s.eth(f"evm/{name}-to-reverting", address, word(failing))
        s.eth(f"evm/{name}-to-nothing", address, word(0xDEADBEEF))
        s.eth(f"evm/{name}-identity", address, word(4) + b"some data")
        s.eth(f"evm/{name}-resolve-address", address, word(0xFE << 152 | 1) + s.alice.native.to_bytes())
        s.eth(f"evm/{name}-lookup-delegated", address, word(0xFE << 152 | 2) + word(s.miner.id))
    forward = deployed["call"]
    s.eth("evm/call-with-value", forward, word(s.bob.address), value=3)
    s.eth("evm/call-with-value-to-new-account", forward, word(bytes.fromhex("22" * 20)), value=3)
    for number in (1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 0x100):
        s.eth(f"precompile/{number:03x}", forward, word(number) + _PRECOMPILE_INPUTS.get(number, b"abc"))
        s.eth(f"precompile/{number:03x}-malformed", forward, word(number) + bytes(range(1, 130)))
    by_id = word(storageminer.get_owner().method) + word(0) * 3 + word(0xC0) + word(s.miner.id) + word(0)
    s.eth("precompile/call-actor-by-id", deployed["delegatecall"], word(_CALL_ACTOR_BY_ID) + by_id)
    s.eth("precompile/call-actor-by-id-not-delegated", forward, word(_CALL_ACTOR_BY_ID) + by_id)


def instructions(s: Scenario) -> None:
    """Reverts, loops, events, deletion, and instructions that some network versions lack."""
    store = s.deploy("evm/deploy-reader", LOAD)
    s.eth("evm/reads-empty-slot", store, word(9))
    logs = s.deploy("events/deploy", LOGS)
    s.eth("events/zero-to-four-topics", logs)
    s.native("events/called-natively", to_filecoin(logs), INVOKE, encode(b""))
    s.eth("events/out-of-gas", logs, gas=2_300_000)
    for name, program in (
        ("revert", REVERT), ("invalid", INVALID), ("transient", TRANSIENT), ("mcopy", MCOPY),
        ("clz", CLZ), ("environment", ENVIRONMENT), ("blockhash", BLOCKHASH),
    ):  # fmt: skip
        s.eth(f"evm/{name}", s.deploy(f"evm/deploy-for-{name}", program), word(0xFFFF))
    loop = s.deploy("evm/deploy-loop", LOOP)
    s.eth("fail/out-of-gas-in-loop", loop, gas=20_000_000)
    deep = s.deploy("evm/deploy-recursion", RECURSION)
    s.eth("evm/recursion-until-out-of-gas", deep, gas=300_000_000)
    facts = s.deploy("evm/deploy-account-facts", BALANCE_AND_CODE)
    for name, target in (("contract", facts), ("account", s.bob.address), ("nothing", word(7)[12:])):
        s.eth(f"evm/code-and-balance-of-{name}", facts, word(target))
    mortal = s.deploy("evm/deploy-selfdestruct", SELFDESTRUCT, value=0)
    s.eth("evm/selfdestruct", mortal, word(s.bob.address), value=9)
    s.eth("evm/call-deleted-contract", mortal, word(s.bob.address), value=1)


INIT, POWER, MARKET = Address.id(INIT_ACTOR), Address.id(POWER_ACTOR), Address.id(MARKET_ACTOR)
REGISTRY, DATACAP = Address.id(VERIFIED_REGISTRY_ACTOR), Address.id(DATACAP_ACTOR)
_FIL: Final = 10**18
_SIZE: Final = 2048
_TERM: Final = 180 * PROVING_PERIOD


def run(s: Scenario) -> None:
    """Send all named messages."""
    for area in (
        transfers,
        accounts,
        multisigs,
        channels,
        inits,
        miners,
        market,
        datacaps,
        registry,
        singletons,
        ethereum_accounts,
        contract_creations,
        contract_calls,
        instructions,
        failures,
    ):
        area(s)


def run_upgraded(s: Scenario, epoch: int) -> None:
    """Create actors, upgrade the network at `epoch`, and use the actors. Only the latter messages are named."""
    for area in (multisigs, channels, market, datacaps, contract_creations):
        area(s)
    counter = s.deploy("", CALL)
    s.native("", POWER, _creation(s), value=100 * _FIL, sender=s.bob)
    s.found.clear()
    s.network.mine(null_rounds=epoch - s.network.block_number)
    s.mine()
    s.eth("upgraded/call-contract", counter, word(4) + b"data")
    s.eth("upgraded/create-contract", None, creation(STORE))
    s.native("upgraded/add-balance", MARKET, storagemarket.add_balance(s.client.native), value=7, sender=s.client)
    s.native("upgraded/get-deal-term", MARKET, storagemarket.get_deal_term(0))
    s.native("upgraded/create-miner", POWER, _creation(s), value=100 * _FIL, sender=s.bob)
    s.native("upgraded/change-peer-id", s.miner.address, storageminer.change_peer_id(b"new"), sender=s.miner.owner)
    s.native("upgraded/datacap-balance", DATACAP, datacap.balance(s.client.native))
    s.native("upgraded/transfer", s.carol.native, value=1)


def _creation(s: Scenario) -> Any:
    return storagepower.create_miner(s.bob.native, BLS_ACCOUNT, window_proof(s.network, _SIZE), b"peer", [])


def transfers(s: Scenario) -> None:
    s.native("transfer/to-secp256k1-account", s.bob.native, value=5)
    s.native("transfer/to-new-secp256k1-account", Address.secp256k1(b"\x04" + bytes(range(64))), value=5)
    s.native("transfer/to-new-bls-account", Address(Protocol.BLS, bytes(range(48))), value=5)
    s.native("transfer/to-new-placeholder", Address.delegated(10, bytes(range(1, 21))), value=5)
    s.native("transfer/to-itself", s.alice.native, value=5)
    s.native("transfer/zero", s.bob.native)
    s.native("transfer/to-id-address", Address.id(99), value=5)
    s.native("transfer/with-parameters", s.bob.native, 0, b"\x81\x01", value=5)
    s.send("transfer/from-bls-account", s.message(s.bob.native, value=7, sender=BLS_ACCOUNT))
    s.eth("transfer/from-ethereum-account", s.bob.address, value=5)
    s.native("transfer/to-miner", s.miner.address, value=_FIL)


def accounts(s: Scenario) -> None:
    signature = sign_secp256k1(s.bob.private_key, b"a message")
    s.native("account/pubkey-address", s.bob.native, account.pubkey_address())
    s.native("account/authenticate", s.bob.native, account.authenticate_message(signature, b"a message"))
    s.native("account/authenticate-other-message", s.bob.native, account.authenticate_message(signature, b"another"))
    s.native("account/method-unknown", s.bob.native, 99)
    s.native("account/method-frc42-accepted", s.bob.native, 1 << 30, b"\x80")


def multisigs(s: Scenario) -> None:
    """A wallet of three: proposals to send and to change itself, approvals and cancellations."""
    signers = [s.alice.native, s.bob.native, s.carol.native]
    wanted = multisig.constructor(signers, 2, 0, 0).params
    code = s.network.machine.manifest.code("multisig")
    wallet = _made(s.native("multisig/create", INIT, init.exec(code, wanted), value=_FIL))
    s.native("multisig/create-without-signers", INIT, init.exec(code, multisig.constructor([], 1, 0, 0).params))
    s.native("multisig/propose", wallet, multisig.propose(s.dave.native, 1000, 0, b""))
    s.native("multisig/approve-and-send", wallet, multisig.approve(0, b""), sender=s.bob)
    s.native("multisig/approve-done", wallet, multisig.approve(0, b""), sender=s.carol)
    s.native("multisig/propose-by-stranger", wallet, multisig.propose(s.dave.native, 1, 0, b""), sender=s.dave)
    s.native("multisig/propose-second", wallet, multisig.propose(s.dave.native, 10**20, 0, b""))
    s.native("multisig/cancel-by-other-signer", wallet, multisig.cancel(1, b""), sender=s.bob)
    s.native("multisig/approve-more-than-balance", wallet, multisig.approve(1, b""), sender=s.bob)
    s.native("multisig/propose-third", wallet, multisig.propose(s.dave.native, 5, 0, b""))
    s.native("multisig/cancel", wallet, multisig.cancel(2, b""))
    changes: list[tuple[str, Any]] = [
        ("add-signer", multisig.add_signer(s.dave.native, False)),
        ("swap-signer", multisig.swap_signer(s.carol.native, s.client.native)),
        ("remove-signer", multisig.remove_signer(s.client.native, False)),
        ("lock-balance", multisig.lock_balance(10, 1000, 5)),
        ("change-threshold", multisig.change_num_approvals_threshold(1)),
    ]
    for number, (name, call) in enumerate(changes, 3):
        s.native(f"multisig/{name}-directly", wallet, call)
        s.native(f"multisig/{name}-proposed", wallet, multisig.propose(wallet, 0, call.method, call.params))
        s.native(f"multisig/{name}", wallet, multisig.approve(number, b""), sender=s.bob)
    s.native("multisig/propose-and-send-alone", wallet, multisig.propose(s.dave.native, 1, 0, b""))


def channels(s: Scenario) -> None:
    """A payment channel: vouchers, settlement, and an early collection."""
    ends = paymentchannel.constructor(s.alice.native, s.bob.native)
    code = s.network.machine.manifest.code("paymentchannel")
    channel = _made(s.native("channel/create", INIT, init.exec(code, ends.params), value=10**6))
    s.native("channel/voucher", channel, _voucher(s.bob, channel, 0, 1, 1000), sender=s.alice)
    s.native("channel/voucher-larger", channel, _voucher(s.bob, channel, 0, 2, 2000), sender=s.alice)
    s.native("channel/voucher-old-nonce", channel, _voucher(s.bob, channel, 0, 1, 3000), sender=s.alice)
    s.native("channel/voucher-wrong-signer", channel, _voucher(s.carol, channel, 1, 1, 1000), sender=s.alice)
    s.native("channel/voucher-by-stranger", channel, _voucher(s.bob, channel, 1, 1, 1000), sender=s.dave)
    s.native("channel/voucher-more-than-balance", channel, _voucher(s.bob, channel, 1, 1, 10**9), sender=s.alice)
    s.native("channel/collect-before-settled", channel, paymentchannel.collect())
    s.native("channel/settle-by-stranger", channel, paymentchannel.settle(), sender=s.dave)
    s.native("channel/settle", channel, paymentchannel.settle())
    s.native("channel/settle-twice", channel, paymentchannel.settle())
    s.native("channel/collect-too-early", channel, paymentchannel.collect())


def _voucher(signer: Account, channel: Address, lane: int, nonce: int, amount: int) -> Any:
    def of(signature: bytes | None) -> paymentchannel.SignedVoucher:
        zero = ChainEpoch(0)
        return paymentchannel.SignedVoucher(
            channel, zero, zero, b"", None, lane, nonce, TokenAmount(amount), zero, (), signature
        )

    signature = b"\x01" + sign_secp256k1(signer.private_key, of(None).encode())
    return paymentchannel.update_channel_state(of(signature), b"")


def inits(s: Scenario) -> None:
    """Creations that the init actor refuses."""
    for name in ("account", "evm", "ethaccount", "storageminer", "system", "init", "placeholder"):
        s.native(f"init/exec-{name}", INIT, init.exec(s.network.machine.manifest.code(name), b""))
    s.native("init/exec-unknown-code", INIT, init.exec(unsealed_cid(b"code"), b""))
    s.native("init/exec-malformed", INIT, 2, b"\xff")
    s.native("init/exec4-by-account", INIT, init.exec4(s.network.machine.manifest.code("evm"), b"", bytes(20)))


def miners(s: Scenario) -> None:
    """A miner's creation, its settings, and its first sectors."""
    owner, proof = s.bob, window_proof(s.network, _SIZE)
    create = storagepower.create_miner(owner.native, BLS_ACCOUNT, proof, b"peer", [b"\x04\x7f\x00\x00\x01"])
    made = s.native("miner/create", POWER, create, value=100 * _FIL, sender=owner)
    miner = storagepower.CreateMinerReturn.decode(made.execution.receipt.return_data).robust_address
    bad = storagepower.create_miner(owner.native, BLS_ACCOUNT, 99, b"peer", [])
    s.native("miner/create-unknown-proof", POWER, bad, sender=owner)
    worker = storagepower.create_miner(owner.native, Address.id(99), proof, b"peer", [])
    s.native("miner/create-worker-without-key", POWER, worker, sender=owner)
    questions = {
        "get-owner": storageminer.get_owner(),
        "get-available-balance": storageminer.get_available_balance(),
        "get-vesting-funds": storageminer.get_vesting_funds(),
        "get-peer-id": storageminer.get_peer_id(),
        "get-sector-size": storageminer.get_sector_size(),
        "control-addresses": storageminer.control_addresses(),
        "is-controlling-address": storageminer.is_controlling_address(owner.native),
        "get-beneficiary": storageminer.get_beneficiary(),
        "initial-pledge": storageminer.initial_pledge(),
        "max-termination-fee": storageminer.max_termination_fee(1 << 30, _FIL),
        "generate-sector-location": storageminer.generate_sector_location(0),
        "get-nominal-sector-expiration": storageminer.get_nominal_sector_expiration(0),
        "change-peer-id": storageminer.change_peer_id(b"another peer"),
        "change-multiaddrs": storageminer.change_multiaddrs([b"\x04\x7f\x00\x00\x02"]),
        "change-worker": storageminer.change_worker_address(BLS_ACCOUNT, [s.carol.native]),
        "change-owner": storageminer.change_owner_address(s.dave.native),
        "change-beneficiary": storageminer.change_beneficiary(s.carol.native, _FIL, 10_000),
        "withdraw": storageminer.withdraw_balance(_FIL),
        "terminate-nothing": storageminer.terminate_sectors([]),
        "repay-debt": storageminer.repay_debt(),
        "confirm-change-worker": storageminer.confirm_change_worker_address(),
        "report-consensus-fault": storageminer.report_consensus_fault(b"\x01", b"\x02", b""),
    }
    for name, call in questions.items():
        s.native(f"miner/{name}", miner, call, sender=owner)
    s.native("miner/withdraw-by-stranger", miner, storageminer.withdraw_balance(1), sender=s.dave)
    s.native("miner/confirm-owner", miner, storageminer.change_owner_address(s.dave.native), sender=s.dave)
    sectors = [onboarding.NewSector(number, None) for number in range(2)]
    until = s.network.block_number + 540 * 2880
    commit = onboarding.pre_commit(s.miner.id, proof, sectors, s.network.block_number, until)
    s.native("miner/pre-commit-by-stranger", s.miner.address, commit, sender=s.dave)
    s.native("miner/pre-commit", s.miner.address, commit, sender=s.miner.owner)
    s.native("miner/pre-commit-twice", s.miner.address, commit, sender=s.miner.owner)
    s.native("miner/prove-commit-too-early", s.miner.address, onboarding.prove_commit(sectors), sender=s.miner.owner)
    s.network.mine(null_rounds=onboarding.PROVE_COMMIT_DELAY)
    s.native("miner/prove-commit", s.miner.address, onboarding.prove_commit(sectors), sender=s.miner.owner)


def market(s: Scenario) -> None:
    owner = s.miner.owner
    s.native("market/add-balance", MARKET, storagemarket.add_balance(s.client.native), value=2 * _FIL, sender=s.client)
    s.native(
        "market/add-balance-of-miner", MARKET, storagemarket.add_balance(s.miner.address), value=_FIL, sender=owner
    )
    s.native("market/add-nothing", MARKET, storagemarket.add_balance(s.client.native), sender=s.client)
    s.native("market/get-balance", MARKET, storagemarket.get_balance(s.client.native))
    publish = storagemarket.publish_storage_deals([_deal(s, s.client)])
    s.native("market/publish-deal", MARKET, publish, sender=owner)
    s.native("market/publish-deal-twice", MARKET, publish, sender=owner)
    s.native("market/publish-by-stranger", MARKET, publish, sender=s.dave)
    wrong = storagemarket.publish_storage_deals([_deal(s, s.dave)])
    s.native("market/publish-wrong-signature", MARKET, wrong, sender=owner)
    for name in ("client", "provider", "term", "label", "total_price", "verified", "activation", "data_commitment"):
        s.native(f"market/get-deal-{name.replace('_', '-')}", MARKET, getattr(storagemarket, f"get_deal_{name}")(0))
    s.native("market/get-deal-unknown", MARKET, storagemarket.get_deal_client(77))
    withdraw = storagemarket.withdraw_balance(s.client.native, _FIL // 2)
    s.native("market/withdraw", MARKET, withdraw, sender=s.client)
    s.native("market/withdraw-by-stranger", MARKET, withdraw, sender=s.dave)
    s.native("market/cron-by-account", MARKET, storagemarket.cron_tick())


def _deal(s: Scenario, signer: Account) -> storagemarket.ClientDealProposal:
    start = s.network.block_number + 20_000
    wanted = storagemarket.DealProposal(
        unsealed_cid(b"a file"), _SIZE, False, s.client.native, s.miner.address, "a file", ChainEpoch(start),
        ChainEpoch(start + _TERM), TokenAmount(1000), TokenAmount(_FIL // 2), TokenAmount(0),
    )  # fmt: skip
    signature = b"\x01" + sign_secp256k1(signer.private_key, wanted.encode())
    return storagemarket.ClientDealProposal(wanted, signature)


def datacaps(s: Scenario) -> None:
    """The DataCap token: its facts, allowances, and transfers, which only the registry may receive."""
    me, some = s.client.native, 256 * DATACAP_PER_BYTE
    calls: dict[str, Any] = {
        "name": datacap.name(),
        "symbol": datacap.symbol(),
        "granularity": datacap.granularity(),
        "total-supply": datacap.total_supply(),
        "balance": datacap.balance(me),
        "increase-allowance": datacap.increase_allowance(s.bob.native, some),
        "allowance": datacap.allowance(me, s.bob.native),
        "decrease-allowance": datacap.decrease_allowance(s.bob.native, some // 2),
        "revoke-allowance": datacap.revoke_allowance(s.bob.native),
        "transfer-to-account": datacap.transfer(s.bob.native, some, b""),
        "transfer-without-request": datacap.transfer(REGISTRY, some, b""),
        "burn": datacap.burn(some),
        "burn-fraction": datacap.burn(some // 2 + 1),
        "burn-more-than-balance": datacap.burn(10**40),
        "mint-forbidden": datacap.mint(me, some, []),
        "destroy-forbidden": datacap.destroy(me, some),
    }
    for name, call in calls.items():
        s.native(f"datacap/{name}", DATACAP, call, sender=s.client)
    s.native("datacap/burn-from-without-allowance", DATACAP, datacap.burn_from(me, some), sender=s.dave)


def registry(s: Scenario) -> None:
    """The verified registry: allocations, and what only its root and verifiers may do."""
    client = s.network.machine.state_tree.lookup_id(s.client.native)
    assert client is not None
    terms = (ChainEpoch(_TERM), ChainEpoch(2 * _TERM), ChainEpoch(s.network.block_number + 10_000))
    request = verifiedregistry.AllocationRequest(ActorID(s.miner.id), unsealed_cid(b"piece"), _SIZE, *terms)
    wanted = verifiedregistry.AllocationRequests((request,), ()).encode()
    some = _SIZE * DATACAP_PER_BYTE
    s.native("registry/allocate", DATACAP, datacap.transfer(REGISTRY, some, wanted), sender=s.client)
    s.native("registry/allocate-wrong-amount", DATACAP, datacap.transfer(REGISTRY, 2 * some, wanted), sender=s.client)
    calls: dict[str, Any] = {
        "add-verifier-forbidden": verifiedregistry.add_verifier(s.bob.native, 1 << 20),
        "remove-verifier-forbidden": verifiedregistry.remove_verifier(s.bob.native),
        "add-client-by-no-verifier": verifiedregistry.add_verified_client(s.bob.native, 1 << 20),
        "get-claims": verifiedregistry.get_claims(s.miner.id, [1]),
        "remove-allocation-not-expired": verifiedregistry.remove_expired_allocations(client, [1]),
        "remove-expired-claims": verifiedregistry.remove_expired_claims(s.miner.id, []),
        "claim-by-account": verifiedregistry.claim_allocations([], True),
        "extend-claims-nothing": verifiedregistry.extend_claim_terms([]),
    }
    for name, call in calls.items():
        s.native(f"registry/{name}", REGISTRY, call)


def singletons(s: Scenario) -> None:
    """Methods of the power and reward actors, and those that only the system may call."""
    power = {
        "current-total-power": storagepower.current_total_power(),
        "miner-power": storagepower.miner_power(s.miner.id),
        "miner-raw-power": storagepower.miner_raw_power(s.miner.id),
        "miner-count": storagepower.miner_count(),
        "miner-consensus-count": storagepower.miner_consensus_count(),
        "network-raw-power": storagepower.network_raw_power(),
        "update-claimed-power-forbidden": storagepower.update_claimed_power(1, 1),
        "update-pledge-forbidden": storagepower.update_pledge_total(1),
    }
    for name, call in power.items():
        s.native(f"power/{name}", POWER, call)
    s.native("reward/this-epoch-reward", Address.id(REWARD_ACTOR), reward.this_epoch_reward())
    award = reward.award_block_reward(s.miner.address, 0, 0, 1)
    s.native("reward/award-forbidden", Address.id(REWARD_ACTOR), award)
    s.native("cron/tick-forbidden", Address.id(CRON_ACTOR), 2)
    s.native("system/constructor-forbidden", Address.id(SYSTEM_ACTOR), 1)


def failures(s: Scenario) -> None:
    """Messages that fail before, at and after their start, and those that cost their block's producer a penalty."""
    s.native("fail/missing-actor", Address.id(77_777), value=1)
    s.native("fail/missing-actor-address", Address.actor(b"no such actor"), value=1)
    s.native("fail/method-unknown", INIT, 999)
    s.native("fail/constructor-called", MARKET, 1)
    s.native("fail/parameters-malformed", POWER, storagepower.miner_power(1).method, b"\xff\xff")
    s.native("fail/parameters-missing", POWER, storagepower.miner_power(1).method)
    for gas in (720_000, 900_000, 1_400_000, 1_700_000):
        s.native(f"fail/out-of-gas-{gas}", POWER, storagepower.current_total_power(), gas=gas)
    s.mine()
    plain = s.message(s.bob.native, value=1)
    s.refused("refused/nonce-too-high", plain, nonce=plain.nonce + 5)
    s.refused("refused/nonce-too-low", plain, nonce=0)
    s.refused("refused/gas-limit-below-inclusion", plain, gas_limit=Gas(1000))
    s.refused("refused/fee-cap-below-base-fee", plain, gas_fee_cap=TokenAmount(0), gas_premium=TokenAmount(0))
    s.refused("refused/balance-below-gas-fee", plain, gas_fee_cap=TokenAmount(10**25), gas_premium=TokenAmount(1))
    s.refused("refused/sender-missing", plain, from_=Address.secp256k1(b"\x04" + bytes(64)))
    s.refused("refused/sender-is-an-actor", plain, from_=MARKET, nonce=0)
    s.refused("refused/sender-is-a-contract", plain, from_=s.miner.address, nonce=0)
    s.refused("refused/value-above-balance", plain, value=TokenAmount(10**30))
    s.refused("refused/method-of-account", plain, method=MethodNumber(7))


def _made(receipt: Any) -> Address:
    return init.ExecReturn.decode(receipt.execution.receipt.return_data).robust_address
