"""Named messages to and from native actors, for test vectors (`Scenario`), and messages that fail."""

from typing import Any, Final

from bridge.bindings import (
    account,
    datacap,
    init,
    multisig,
    paymentchannel,
    reward,
    storagemarket,
    storageminer,
    storagepower,
    verifiedregistry,
)
from hypervisor.messages.address import Address, Protocol
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
from localnet import Account
from localnet.accounts import BLS_ACCOUNT
from localnet.miners import onboarding
from localnet.miners.miner import window_proof
from localnet.miners.onboarding import unsealed_cid
from localnet.miners.policy import DATACAP_PER_BYTE, PROVING_PERIOD
from tests.conformance.evm_code import CALL, STORE, creation, word
from tests.conformance.vector_kinds_evm import contract_calls, contract_creations, ethereum_accounts, instructions
from tests.conformance.vector_scenario import Scenario

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
    """Transfers between accounts of each kind."""
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
    """Methods of accounts."""
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
    """Balances, and a deal."""
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
