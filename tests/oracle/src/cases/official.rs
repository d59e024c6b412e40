//! Official built-in actors at work: genesis, ticks, multisigs, channels, miners, markets, accounts.

use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use multihash_codetable::{Code, MultihashDigest};

use super::own::{ALL_GAS, call};
use crate::args;
use crate::cbor::{address, array, atto, bytes, fil, id, link, number};
use crate::guest::*;
use crate::keys::{self, bls_sign, secp_sign};
use crate::plan::{Plans, Versions};
use crate::scene::{ALICE, BOB, CAROL, CRON, DAVE, EAM, GUEST, INIT, NEXT_ID, REWARD, SYSTEM, Scene};

const POWER: u64 = 4;
const MARKET: u64 = 5;
const REGISTRY: u64 = 6;
const DATACAP: u64 = 7;

const CONSTRUCTOR: u64 = 1;
const EXEC: u64 = 2;
/// The number under which any actor may call it.
const EXEC_FOR_ALL: i64 = 81_225_168;

pub fn plans(plans: &mut Plans) {
    plans.group("official", Versions::All);
    genesis(plans);
    cron(plans);
    exec(plans);
    multisig(plans);
    channel(plans);
    account(plans);
    storage(plans);
}

/// The singletons, made by their constructors.
fn singletons(scene: &mut Scene) {
    for (actor, name) in [
        (CRON, "cron"),
        (POWER, "storagepower"),
        (MARKET, "storagemarket"),
        (REGISTRY, "verifiedregistry"),
        (DATACAP, "datacap"),
    ] {
        scene.official(actor, name);
    }
    scene.balance(REWARD, TokenAmount::from_whole(1_000_000));
    let entries = array(&[array(&[array(&[id(POWER), number(5)]), array(&[id(MARKET), number(9)])])]);
    scene
        .implicit(SYSTEM, REWARD, CONSTRUCTOR, &bytes(&[]))
        .implicit(SYSTEM, CRON, CONSTRUCTOR, &entries)
        .implicit(SYSTEM, POWER, CONSTRUCTOR, &[])
        .implicit(SYSTEM, MARKET, CONSTRUCTOR, &[])
        .implicit(SYSTEM, REGISTRY, CONSTRUCTOR, &id(BOB))
        .implicit(SYSTEM, DATACAP, CONSTRUCTOR, &id(REGISTRY))
        .implicit(SYSTEM, EAM, CONSTRUCTOR, &[]);
}

fn genesis(plans: &mut Plans) {
    plans.add("genesis", singletons);
    plans.add("genesis-constructed-twice", |scene| {
        singletons(scene);
        scene.settle();
        singletons(scene);
    });
    plans.add("genesis-by-others", |scene| {
        singletons(scene);
        for applied in &mut scene.messages {
            applied.message.from = Address::new_id(ALICE);
        }
    });
    plans.add("methods-nobody-has", |scene| {
        singletons(scene);
        scene.settle();
        for actor in [SYSTEM, INIT, REWARD, CRON, POWER, MARKET, REGISTRY, DATACAP, EAM, ALICE, CAROL, DAVE] {
            scene.call(actor, 999, &[]).call(actor, 1, b"\x80");
        }
    });
}

fn tick(scene: &mut Scene) {
    scene.implicit(SYSTEM, CRON, 2, &[]);
}

fn cron(plans: &mut Plans) {
    plans.add("tick", |scene| {
        singletons(scene);
        scene.settle();
        tick(scene);
        tick(scene);
    });
    plans.add("tick-by-others", |scene| {
        singletons(scene);
        scene.settle().call(CRON, 2, &[]).implicit(ALICE, CRON, 2, &[]);
    });
    plans.add("tick-without-gas", |scene| {
        singletons(scene);
        scene.settle();
        tick(scene);
        scene.messages.last_mut().expect("just sent").message.gas_limit = 500_000;
    });
    plans.add("tick-calls-guests", |scene| {
        // What fails in an entry is the entry's own.
        scene.official(CRON, "cron");
        let good = Guest::new().sys("vm.message_context", args![]);
        let rows: Vec<(u64, Guest)> = vec![
            (GUEST, good.clone()),
            (GUEST + 1, Guest::new().sys("vm.exit", args![40, 0, 0, 0])),
            (GUEST + 2, Guest::new().wat("unreachable")),
            (GUEST + 3, good.sys("event.emit_event", args![0, 0, 0, 0, 0, 0])),
        ];
        let mut entries: Vec<Vec<u8>> = rows.iter().map(|(actor, _)| array(&[id(*actor), number(7)])).collect();
        entries.push(array(&[id(777_777), number(7)]));
        for (actor, guest) in &rows {
            scene.guest(*actor, guest);
        }
        scene.implicit(SYSTEM, CRON, CONSTRUCTOR, &array(&[array(&entries)])).settle();
        tick(scene);
    });
    plans.add("reward", |scene| {
        singletons(scene);
        let miner = id(GUEST);
        let award = |miner: Vec<u8>, penalty: i128, reward: i128, wins: u64| {
            array(&[miner, atto(penalty), atto(reward), number(wins)])
        };
        scene.guest(GUEST, &Guest::new().sys("vm.message_context", args![])).settle();
        scene
            .implicit(SYSTEM, REWARD, 2, &award(miner.clone(), 0, 100, 1))
            .implicit(SYSTEM, REWARD, 2, &award(miner.clone(), 50, 0, 3))
            .implicit(SYSTEM, REWARD, 2, &award(miner.clone(), 0, 0, 0))
            .implicit(SYSTEM, REWARD, 2, &award(miner.clone(), -1, 0, 1))
            .implicit(SYSTEM, REWARD, 2, &award(id(777_777), 0, 0, 1))
            .implicit(SYSTEM, REWARD, 2, &award(miner.clone(), 0, i128::MAX, 1))
            .implicit(ALICE, REWARD, 2, &award(miner, 0, 0, 1))
            .call(REWARD, 3, &[]);
    });
    plans.add("reward-refused-by-the-miner", |scene| {
        singletons(scene);
        scene.guest(GUEST, &Guest::new().sys("vm.exit", args![50, 0, 0, 0])).settle();
        scene.implicit(SYSTEM, REWARD, 2, &array(&[id(GUEST), atto(0), atto(7), number(1)]));
    });
    plans.add("implicit-senders", |scene| {
        // Only that the sender can be named is asked for.
        scene.guest(GUEST, &Guest::new().sys("vm.message_context", args![]));
        scene.implicit(SYSTEM, GUEST, 2, &[]).implicit(DAVE, GUEST, 2, &[]).implicit(777_777, GUEST, 2, &[]);
        let mut message = scene.draft(ALICE, Address::new_id(GUEST), 2, &[]);
        message.from = keys::secp_address(9);
        scene.messages.push(crate::world::Applied::implicit(message.clone()));
        (message.from, message.sequence, message.value) = (keys::secp_address(1), 99, TokenAmount::from_atto(5));
        scene.messages.push(crate::world::Applied::implicit(message.clone()));
        (message.from, message.to) = (Address::new_id(777_777), keys::secp_address(9));
        scene.messages.push(crate::world::Applied::implicit(message));
    });
}

/// Create an actor through the init actor.
fn create(scene: &mut Scene, name: &str, params: &[u8], value: i64) {
    let params = array(&[link(&scene.bundle.code(name)), bytes(params)]);
    let mut message = scene.draft(ALICE, Address::new_id(INIT), EXEC, &params);
    message.value = TokenAmount::from_whole(value);
    scene.send(message);
}

fn signers(scene: &mut Scene, threshold: u64, unlock: u64) {
    let signers = array(&[id(ALICE), id(BOB)]);
    create(scene, "multisig", &array(&[signers, number(threshold), number(unlock), number(0)]), 10);
}

fn exec(plans: &mut Plans) {
    for name in ["account", "storageminer", "evm", "ethaccount", "placeholder", "init", "system", "paymentchannel"] {
        plans.add(format!("exec/{name}"), move |scene| create(scene, name, &id(ALICE), 0));
    }
    plans.add("exec/guest-code", |scene| {
        scene.guest(GUEST, &Guest::new());
        let code = super::ipld::blake(0x55, &Guest::new().build());
        scene.call(INIT, EXEC, &array(&[link(&code), bytes(&[])]));
    });
    plans.add("exec/bad-parameters", |scene| {
        scene.call(INIT, EXEC, &[]).call(INIT, EXEC, b"\x80").call(INIT, EXEC, b"\xff").call(
            INIT,
            EXEC,
            b"\x82\x01\x02",
        );
    });
    plans.add("exec/by-id", |scene| {
        // Exec4 is the address manager's alone.
        let params = array(&[link(&scene.bundle.code("evm")), bytes(&[]), bytes(&[1; 20])]);
        scene.call(INIT, 3, &params);
    });
    plans.add("exec/by-a-guest", |scene| {
        let params = array(&[
            link(&scene.bundle.code("multisig")),
            bytes(&array(&[array(&[id(ALICE)]), number(1), number(0), number(0)])),
        ]);
        let length = params.len() as i64;
        let guest = Guest::new()
            .data(DATA, &params)
            .data(0x240, Address::new_id(INIT).to_bytes())
            .sys("actor.next_actor_address", args![BUF, 100])
            .must("ipld.block_create", args![0x51, DATA, length])
            .sys("send.send", args![0x240, 2, EXEC_FOR_ALL, 1, 0, 1000, ALL_GAS, 0])
            .sys("actor.next_actor_address", args![BUF + 24, 100])
            .keep(BUF, 48)
            .sys("ipld.block_read", args![2, 0, 0x4000, 60])
            .keep(0x4000, 60);
        scene.guest(GUEST, &guest).balance(GUEST, TokenAmount::from_atto(5000)).invoke();
    });
    plans.add("exec/by-a-guest-as-built-in", |scene| {
        let params = array(&[
            link(&scene.bundle.code("multisig")),
            bytes(&array(&[array(&[id(ALICE)]), number(1), number(0), number(0)])),
        ]);
        let guest = Guest::new()
            .data(DATA, &params)
            .data(0x240, Address::new_id(INIT).to_bytes())
            .must("ipld.block_create", args![0x51, DATA, params.len() as i64])
            .sys("send.send", args![0x240, 2, EXEC as i64, 1, 0, 0, ALL_GAS, 0]);
        scene.guest(GUEST, &guest).invoke();
    });
}

fn multisig(plans: &mut Plans) {
    plans.add("multisig/created", |scene| signers(scene, 1, 0));
    plans.add("multisig/two-created", |scene| {
        signers(scene, 1, 0);
        signers(scene, 2, 0);
    });
    plans.add("multisig/locked", |scene| signers(scene, 1, 100));
    plans.add("multisig/refused", |scene| {
        signers(scene, 0, 0);
        signers(scene, 3, 0);
        create(scene, "multisig", &array(&[array(&[]), number(1), number(0), number(0)]), 1);
        create(scene, "multisig", &array(&[array(&[id(ALICE), id(ALICE)]), number(1), number(0), number(0)]), 1);
        create(scene, "multisig", b"\x80", 1);
    });
    plans.add("multisig/new-signers", |scene| {
        // Signers that nobody knows get accounts while the constructor runs.
        let signers = [keys::secp_address(9), keys::bls_address(9), keys::eth_address(0x99)].map(|key| address(&key));
        create(scene, "multisig", &array(&[array(&signers), number(2), number(0), number(0)]), 1);
    });
    let proposal = |to: u64, value: i128, method: u64| array(&[id(to), atto(value), number(method), bytes(&[])]);
    plans.add("multisig/proposed-and-done", move |scene| {
        signers(scene, 1, 0);
        scene.settle();
        scene.call(NEXT_ID, 2, &proposal(BOB, 1234, 0)).call(NEXT_ID, 2, &proposal(777_777, 1, 0));
        scene.call(NEXT_ID, 2, &proposal(CAROL, 0, 99)).call(NEXT_ID, 2, &proposal(BOB, i128::MAX, 0));
    });
    plans.add("multisig/approved", move |scene| {
        signers(scene, 2, 0);
        scene.settle().call(NEXT_ID, 2, &proposal(BOB, 1234, 0));
        let approval = array(&[number(0), bytes(&[])]);
        let approve = scene.draft(BOB, Address::new_id(NEXT_ID), 3, &approval);
        scene.send(approve);
        let again = scene.draft(BOB, Address::new_id(NEXT_ID), 3, &approval);
        scene.send(again);
    });
    plans.add("multisig/cancelled", move |scene| {
        signers(scene, 2, 0);
        scene.settle().call(NEXT_ID, 2, &proposal(BOB, 1234, 0));
        scene.call(NEXT_ID, 4, &array(&[number(0), bytes(&[])])).call(NEXT_ID, 4, &array(&[number(0), bytes(&[])]));
    });
    plans.add("multisig/by-strangers", move |scene| {
        signers(scene, 1, 0);
        scene.settle();
        let message = scene.draft(CAROL, Address::new_id(NEXT_ID), 2, &proposal(BOB, 1, 0));
        scene.send(message);
    });
    plans.add("multisig/of-itself", |scene| {
        signers(scene, 1, 0);
        scene.settle();
        let add = array(&[id(CAROL), vec![0xf5]]);
        scene.call(NEXT_ID, 2, &array(&[id(NEXT_ID), atto(0), number(5), bytes(&add)])).call(NEXT_ID, 5, &add);
    });
    plans
        .add("multisig/created-swept", |scene| {
            signers(scene, 1, 0);
            scene.sweep = true;
        })
        .versions(&[21, 25, 28]);
    plans
        .add("multisig/proposed-swept", move |scene| {
            signers(scene, 1, 0);
            scene.settle().call(NEXT_ID, 2, &proposal(BOB, 1234, 0));
            scene.sweep = true;
        })
        .versions(&[24, 28]);
}

fn channel(plans: &mut Plans) {
    let open = |scene: &mut Scene| create(scene, "paymentchannel", &array(&[id(ALICE), id(BOB)]), 5);
    plans.add("channel/opened", open);
    plans.add("channel/opened-to-new-account", |scene| {
        create(scene, "paymentchannel", &array(&[id(ALICE), address(&keys::secp_address(9))]), 5);
    });
    plans.add("channel/opened-to-an-actor", |scene| {
        create(scene, "paymentchannel", &array(&[id(ALICE), id(REWARD)]), 5);
    });
    plans.add("channel/settled", move |scene| {
        open(scene);
        scene.settle().call(NEXT_ID, 3, &[]).call(NEXT_ID, 3, &[]).call(NEXT_ID, 4, &[]);
    });
    plans.add("channel/collected", move |scene| {
        // Settled at an earlier epoch, collected at this one: the channel deletes itself.
        let epoch = scene.world.epoch;
        open(scene);
        scene.call(NEXT_ID, 3, &[]).settle();
        scene.setup_epoch = Some(epoch - 2000);
        scene.call(NEXT_ID, 4, &[]).call(NEXT_ID, 4, &[]);
    });
}

const AUTHENTICATE: u64 = 2_643_134_072;

fn account(plans: &mut Plans) {
    plans.add("account/address", |scene| {
        scene.call(ALICE, 2, &[]).call(BOB, 2, &[]).call(ALICE, 2, b"\x80");
    });
    plans.add("account/authenticate", |scene| {
        let text = b"signed by the account";
        let ask = |signature: Vec<u8>| array(&[bytes(&signature), bytes(text)]);
        scene
            .call(ALICE, AUTHENTICATE, &ask(secp_sign(1, text)))
            .call(BOB, AUTHENTICATE, &ask(bls_sign(1, text)))
            .call(ALICE, AUTHENTICATE, &ask(secp_sign(2, text)))
            .call(BOB, AUTHENTICATE, &ask(bls_sign(2, text)))
            .call(BOB, AUTHENTICATE, &ask(secp_sign(1, text)))
            .call(ALICE, AUTHENTICATE, &ask(vec![]))
            .call(CAROL, AUTHENTICATE, &ask(secp_sign(1, text)));
    });
    plans.add("account/others", |scene| {
        scene.call(CAROL, 0, &[]).call(CAROL, 2, &[]).call(CAROL, 1 << 24, &[]).call(DAVE, 5, b"\x01");
        scene.call(ALICE, 1 << 24, &[]).call(ALICE, 1 << 24, b"\x41\x01");
    });
}

/// A miner of Alice's: needs a deposit from actors version 17 on.
fn miner(scene: &mut Scene, proof: u64) {
    let params = array(&[id(ALICE), id(BOB), number(proof), bytes(b"peer"), array(&[])]);
    let mut message = scene.draft(ALICE, Address::new_id(POWER), 2, &params);
    message.value = TokenAmount::from_whole(100_000);
    scene.send(message);
}

const WINDOW_32_GIB: u64 = 13;

fn storage(plans: &mut Plans) {
    plans.add("miner/created", |scene| {
        singletons(scene);
        scene.settle();
        miner(scene, WINDOW_32_GIB);
        miner(scene, WINDOW_32_GIB);
    });
    plans.add("miner/refused", |scene| {
        singletons(scene);
        scene.settle();
        miner(scene, 8);
        miner(scene, 99);
        scene.call(POWER, 2, b"\x80");
    });
    plans.add("miner/asked-and-changed", |scene| {
        singletons(scene);
        miner(scene, WINDOW_32_GIB);
        scene.settle().call(NEXT_ID, 2, &[]).call(NEXT_ID, 4, &array(&[bytes(b"another peer")]));
        scene.call(NEXT_ID, 18, &array(&[array(&[bytes(b"address")])])).call(NEXT_ID, 23, &id(CAROL));
        scene.call(NEXT_ID, 3, &array(&[id(BOB), array(&[id(CAROL)])])).call(NEXT_ID, 16, &array(&[atto(1000)]));
        let stranger = scene.draft(CAROL, Address::new_id(NEXT_ID), 4, &array(&[bytes(b"a third peer")]));
        scene.send(stranger);
    });
    plans.add("miner/rewarded-and-ticked", |scene| {
        singletons(scene);
        miner(scene, WINDOW_32_GIB);
        scene.settle().implicit(SYSTEM, REWARD, 2, &array(&[id(NEXT_ID), atto(5), atto(1000), number(2)]));
        tick(scene);
    });
    plans.add("market/money", |scene| {
        singletons(scene);
        scene.settle();
        let mut deposit = scene.draft(ALICE, Address::new_id(MARKET), 2, &id(BOB));
        deposit.value = TokenAmount::from_whole(3);
        scene.send(deposit);
        scene.call(MARKET, 2, &id(BOB)).call(MARKET, 726_108_461, &id(BOB));
        scene.call(MARKET, 3, &array(&[id(BOB), fil(1)]));
        let withdrawal = scene.draft(BOB, Address::new_id(MARKET), 3, &array(&[id(BOB), fil(1)]));
        scene.send(withdrawal);
        scene.call(MARKET, 4, &array(&[array(&[])])).call(MARKET, 128_053_329, &number(0));
    });
    plans.add("registry/verifier-and-client", |scene| {
        singletons(scene);
        scene.settle();
        let allowance = fvm_ipld_encoding::to_vec(&fvm_shared::bigint::bigint_ser::BigIntSer(&(1u64 << 40).into()));
        let allowance = allowance.expect("a number can be encoded");
        let verifier = scene.draft(BOB, Address::new_id(REGISTRY), 2, &array(&[id(ALICE), allowance.clone()]));
        scene.send(verifier).call(REGISTRY, 2, &array(&[id(CAROL), allowance.clone()]));
        scene.call(REGISTRY, 4, &array(&[id(CAROL), allowance]));
        scene.call(DATACAP, 3_261_979_605, &id(CAROL)).call(DATACAP, 48_890_204, &[]).call(DATACAP, 114_981_429, &[]);
        let transfer = array(&[id(REGISTRY), fil(1), bytes(b"\x82\x80\x80")]);
        let transfer = scene.draft(CAROL, Address::new_id(DATACAP), 80_475_954, &transfer);
        scene.send(transfer);
    });
    plans.add("power/asked", |scene| {
        singletons(scene);
        scene.settle();
        for method in [931_722_534u64, 1_987_646_258, 196_739_875] {
            scene.call(POWER, method, &[]);
        }
        scene.call(POWER, 3_753_401_894, &number(ALICE)).call(POWER, 9, &[]).call(
            POWER,
            3,
            &array(&[atto(1), atto(1)]),
        );
    });
    plans.add("power/asked-by-a-guest", |scene| {
        // Numbers below 2^24 are for built-in callers.
        singletons(scene);
        let guest = call(call(Guest::new(), POWER, 9, 0, ALL_GAS, 0), POWER, 931_722_534, 0, ALL_GAS, 0)
            .sys("ipld.block_read", args![2, 0, 0x4000, 40])
            .keep(0x4000, 40);
        scene.guest(GUEST, &guest).settle().invoke();
    });
    plans.add("proofs/of-a-miner", |scene| {
        // The parameters are hopeless, but each fails in its own place.
        singletons(scene);
        miner(scene, WINDOW_32_GIB);
        scene.settle();
        for method in [5u64, 6, 7, 9, 12, 25, 26, 28, 33, 34] {
            scene.call(NEXT_ID, method, b"\x80");
        }
        let digest = Code::Blake2b256.digest(b"x").digest().to_vec();
        scene.call(NEXT_ID, 5, &array(&[number(0), array(&[]), array(&[]), number(5), bytes(&digest)]));
    });
}
