//! What an actor can ask about its message, the network and the chain; gas, logs and exits.

use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;

use super::ipld::blake;
use super::own::{ALL_GAS, READ_ONLY, call, forwarding, read_only};
use crate::args;
use crate::guest::*;
use crate::plan::{Plans, Versions};
use crate::scene::{ALICE, BOB, CAROL, DAVE, EPOCH, GUEST};

pub fn plans(plans: &mut Plans) {
    plans.group("surroundings", Versions::Two);
    context(plans);
    tipsets(plans);
    randomness(plans);
    gas(plans);
    debug(plans);
    exits(plans);
}

fn atto(amount: u128) -> TokenAmount {
    TokenAmount::from_atto(amount)
}

fn context(plans: &mut Plans) {
    let network = plans.add("context/network", |scene| {
        scene.guest(GUEST, &Guest::new().sys("network.context", args![])).invoke();
    });
    network.versions(&[21, 22, 23, 24, 25, 26, 27, 28, 29]);
    plans.add("context/network-large", |scene| {
        scene.world.base_fee = atto(1 << 100);
        scene.world.chain_id = u64::MAX;
        scene.world.timestamp = u64::MAX;
        scene.world.epoch = i64::MAX;
        scene.guest(GUEST, &Guest::new().sys("network.context", args![])).implicit(ALICE, GUEST, 2, &[]);
    });
    for (name, fee) in [("largest", atto(u128::MAX)), ("too-large", atto(u128::MAX) + atto(1))] {
        plans.add(format!("context/base-fee-{name}"), move |scene| {
            scene.world.base_fee = fee.clone();
            scene.guest(GUEST, &Guest::new().sys("network.context", args![])).implicit(ALICE, GUEST, 2, &[]);
        });
        let supply = if name == "largest" { atto(u128::MAX) } else { atto(u128::MAX) + atto(1) };
        plans.add(format!("context/supply-{name}"), move |scene| {
            scene.world.circulating_supply = supply.clone();
            scene.guest(GUEST, &Guest::new().sys("network.total_fil_circ_supply", args![])).invoke();
        });
    }
    plans.add("context/supply", |scene| {
        scene.guest(GUEST, &Guest::new().sys("network.total_fil_circ_supply", args![])).invoke();
    });
    for (name, from) in [("secp", ALICE), ("bls", BOB), ("ethaccount", CAROL), ("placeholder", DAVE)] {
        plans.add(format!("context/message-{name}"), move |scene| {
            scene.guest(GUEST, &Guest::new().sys("vm.message_context", args![]));
            let mut message = scene.draft(from, Address::new_id(GUEST), 0xffff_ffff_ffff_ffff, &[]);
            message.value = atto((1 << 70) + 5);
            scene.send(message);
        });
    }
    for (name, from, method) in [("system", 0, 2), ("guest", GUEST, 2), ("constructor", ALICE, 1)] {
        plans.add(format!("context/implicit-{name}"), move |scene| {
            let guest = Guest::new().sys("vm.message_context", args![]);
            scene.guest(GUEST, &guest).implicit(from, GUEST, method, &[]);
        });
    }
    plans.add("context/premium", |scene| {
        // The premium that an actor sees is what the fee cap leaves of it.
        scene.guest(GUEST, &Guest::new().sys("vm.message_context", args![]));
        for (cap, premium) in
            [(1000u128, 0u128), (1000, 900), (1000, 950), (150, 100), (100, 100), (50, 50), (1 << 40, 1 << 39)]
        {
            let mut message = scene.draft(ALICE, Address::new_id(GUEST), 2, &[]);
            (message.gas_fee_cap, message.gas_premium) = (atto(cap), atto(premium));
            scene.send(message);
        }
    });
    for (name, value) in [("largest", atto(u128::MAX)), ("too-large", atto(u128::MAX) + atto(1))] {
        plans.add(format!("context/value-{name}"), move |scene| {
            scene.guest(GUEST, &Guest::new().sys("vm.message_context", args![]));
            scene.balance(ALICE, value.clone() + TokenAmount::from_whole(1000));
            let mut message = scene.draft(ALICE, Address::new_id(GUEST), 2, &[]);
            message.value = value.clone();
            scene.send(message);
        });
    }
    plans.add("context/called", |scene| {
        let inner = Guest::new().sys("vm.message_context", args![]);
        let caller = call(Guest::new(), GUEST + 1, 7, 3, ALL_GAS, 0)
            .sys("ipld.block_read", args![1, 0, 0x4000, 100])
            .keep(0x4000, 100);
        scene.guest(GUEST, &caller).guest(GUEST + 1, &inner).balance(GUEST, atto(5)).invoke();
    });
    plans.add("context/read-only", |scene| {
        // Read-only goes all the way down.
        let last = Guest::new().sys("vm.message_context", args![]);
        let middle = call(Guest::new().sys("vm.message_context", args![]), GUEST + 2, 2, 0, ALL_GAS, 0)
            .sys("ipld.block_read", args![1, 0, 0x4000, 100])
            .keep(0x4000, 100);
        let outer = call(Guest::new(), GUEST + 1, 2, 0, ALL_GAS, READ_ONLY)
            .sys("ipld.block_read", args![1, 0, 0x4000, 400])
            .keep(0x4000, 400);
        scene.guest(GUEST, &outer).guest(GUEST + 1, &middle).guest(GUEST + 2, &last).invoke();
    });
    plans
        .add("context/result-outside", |scene| {
            let guest = Guest::new()
                .sys_ret("vm.message_context", 65457, args![])
                .sys_ret("network.context", 65493, args![])
                .sys_ret("network.total_fil_circ_supply", 65521, args![])
                .sys_ret("vm.message_context", 65456, args![])
                .sys_ret("network.context", 65492, args![])
                .sys_ret("network.total_fil_circ_supply", 65520, args![]);
            scene.guest(GUEST, &guest).invoke();
        })
        .covers("vm.message_context", 1)
        .covers("network.context", 1)
        .covers("network.total_fil_circ_supply", 1);
}

fn tipsets(plans: &mut Plans) {
    for (name, epoch) in [
        ("previous", EPOCH - 1),
        ("finality", EPOCH - 900),
        ("beyond-finality", EPOCH - 901),
        ("genesis", 0),
        ("negative", -1),
        ("most-negative", i64::MIN),
        ("current", EPOCH),
        ("future", EPOCH + 1),
        ("largest", i64::MAX),
        ("unknown", 77),
    ] {
        plans.add(format!("tipset/{name}"), move |scene| {
            for known in [EPOCH - 1, EPOCH - 900, EPOCH - 901, 0] {
                scene.world.tipsets.insert(known, blake(0x71, &known.to_le_bytes()));
            }
            let guest = Guest::new().sys("network.tipset_cid", args![epoch, BUF, 100]).keep(BUF, 40);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    for (name, at, length) in [("exact", BUF, 38), ("short", BUF, 37), ("outside", 65536, 1), ("crossing", 65530, 38)] {
        plans.add(format!("tipset/buffer-{name}"), move |scene| {
            scene.world.tipsets.insert(EPOCH - 1, blake(0x71, b"tipset"));
            let guest = Guest::new()
                .sys("network.tipset_cid", args![EPOCH - 1, at, length])
                .sys("network.tipset_cid", args![EPOCH, at, length]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    plans
        .add("tipset/result-outside", |scene| {
            scene.guest(GUEST, &Guest::new().sys_ret("network.tipset_cid", 65533, args![1, BUF, 100])).invoke();
        })
        .covers("network.tipset_cid", 1);
}

fn randomness(plans: &mut Plans) {
    for (kind, name) in [("chain", "rand.get_chain_randomness"), ("beacon", "rand.get_beacon_randomness")] {
        for (when, epoch) in [
            ("now", EPOCH),
            ("previous", EPOCH - 1),
            ("genesis", 0),
            ("negative", -1),
            ("very-negative", -1_000_000_000),
            ("overflowing", i64::MIN),
            ("future", EPOCH + 1),
            ("largest", i64::MAX),
            ("no-answer", 55),
        ] {
            plans.add(format!("randomness/{kind}-{when}"), move |scene| {
                scene.world.randomness.insert((kind.to_owned(), EPOCH), Some([0xab; 32]));
                scene.world.randomness.insert((kind.to_owned(), 55), None);
                scene.guest(GUEST, &Guest::new().sys(name, args![epoch])).invoke();
            });
        }
        plans
            .add(format!("randomness/{kind}-result-outside"), move |scene| {
                let guest = Guest::new().sys_ret(name, 65505, args![EPOCH]).sys_ret(name, 65504, args![EPOCH]);
                scene.guest(GUEST, &guest).invoke();
            })
            .covers(name, 1);
    }
}

fn gas(plans: &mut Plans) {
    for (name, amount) in [
        ("zero", 0),
        ("some", 12345),
        ("nearly-all", 9_990_000_000),
        ("too-much", 10_000_000_000i64),
        ("largest", -1),
        ("half", i64::MIN),
    ] {
        plans.add(format!("gas/charge-{name}"), move |scene| {
            let guest = Guest::new()
                .data(DATA, b"a name")
                .sys("gas.charge", args![DATA, 6, amount])
                .sys("gas.available", args![]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    for (name, at, length) in [
        ("outside", 65536, 1),
        ("crossing", 65530, 10),
        ("bad-utf8", DATA, 2),
        ("empty", 65536, 0),
        ("half-character", DATA + 4, 1),
    ] {
        plans.add(format!("gas/name-{name}"), move |scene| {
            let guest = Guest::new().data(DATA, b"\xff\xfe\0\0\xc3\xa4").sys("gas.charge", args![at, length, 1000]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    plans
        .add("gas/available", |scene| {
            let guest = Guest::new()
                .sys("gas.available", args![])
                .sys("gas.available", args![])
                .sys_ret("gas.available", 65529, args![])
                .sys("gas.available", args![]);
            scene.guest(GUEST, &guest).invoke();
        })
        .covers("gas.available", 1);
    plans.add("gas/available-in-limited-calls", |scene| {
        let inner = Guest::new().sys("gas.available", args![]);
        let limits = [1_000_000i64, 800_000, 5_000_000_000, i64::MAX, -2, ALL_GAS];
        let outer = limits.iter().fold(Guest::new(), |guest, limit| {
            let number = 1 + limits.iter().position(|known| known == limit).expect("it is there") as i64;
            call(guest, GUEST + 1, 2, 0, *limit, 0)
                .sys("ipld.block_read", args![number, 0, 0x4000, 12])
                .keep(0x4000, 12)
        });
        scene.guest(GUEST, &outer).guest(GUEST + 1, &inner).invoke();
    });
}

fn debug(plans: &mut Plans) {
    plans.add("debug/disabled", |scene| {
        let guest = Guest::new()
            .data(DATA, b"a line")
            .sys("debug.enabled", args![])
            .sys("debug.log", args![DATA, 6])
            .sys("debug.log", args![65536, 100])
            .sys("debug.log", args![0xffff_ffff, 0xffff_ffff])
            .sys("debug.store_artifact", args![DATA, 6, DATA, 6])
            .sys("debug.store_artifact", args![65536, 100, 65536, 100])
            .sys("debug.store_artifact", args![DATA, 0, DATA, 0]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans
        .add("debug/result-outside", |scene| {
            scene.guest(GUEST, &Guest::new().sys_ret("debug.enabled", 65533, args![])).invoke();
        })
        .covers("debug.enabled", 1);
}

/// An exit with an answer of four bytes as block 1, and words.
fn exit(code: i64, block: i64, at: i64, length: i64) -> Guest {
    Guest::new()
        .data(DATA, b"words of the exit")
        .must("ipld.block_create", args![0x55, DATA, 4])
        .sys("vm.exit", args![code, block, at, length])
}

fn exits(plans: &mut Plans) {
    for code in (0..=33).chain([100, 0x7fff_ffff, 0xffff_ffff]) {
        plans
            .add(format!("exit/code-{code}"), move |scene| {
                scene.guest(GUEST, &exit(code, 1, DATA, 5)).invoke();
            })
            .covers("vm.exit", 0);
    }
    for code in [0, 9, 33] {
        plans.add(format!("exit/called-code-{code}"), move |scene| {
            scene.guest(GUEST, &forwarding(0)).guest(GUEST + 1, &exit(code, 1, DATA, 5)).invoke();
        });
    }
    for (name, block, at, length) in [
        ("nothing", 0, 0, 0),
        ("no-such-block", 2, 0, 0),
        ("negative-block", -1, 0, 0),
        ("words-outside", 1, 65536, 10),
        ("words-crossing", 1, 65530, 10),
        ("words-long", 1, 0, 5000),
        ("words-bad-utf8", 1, DATA + 100, 4),
        ("words-huge", 1, 0, 0xffff_ffff),
    ] {
        for code in [0, 7, 40] {
            plans.add(format!("exit/{name}-{code}"), move |scene| {
                let guest = exit(code, block, at, length).data(DATA + 100, [0xff; 4]);
                scene.guest(GUEST, &guest).invoke();
            });
        }
    }
    plans.add("exit/no-such-block-in-a-call", |scene| {
        scene.guest(GUEST, &forwarding(0)).guest(GUEST + 1, &exit(40, 9, 0, 0)).invoke();
    });
    for handle in [0, 1, 2, -1] {
        plans.add(format!("exit/returned-handle-{handle}"), move |scene| {
            let guest = Guest::new()
                .must("ipld.block_create", args![0x55, DATA, 4])
                .wat(format!("(return (i32.const {handle}))"));
            scene.guest(GUEST, &guest).invoke();
        });
        plans.add(format!("exit/called-returned-handle-{handle}"), move |scene| {
            let guest = Guest::new()
                .must("ipld.block_create", args![0x55, DATA, 5])
                .wat(format!("(return (i32.const {handle}))"));
            scene.guest(GUEST, &forwarding(0)).guest(GUEST + 1, &guest).invoke();
        });
    }
    plans.add("exit/parameters-as-answer", |scene| {
        let guest = Guest::new().wat("(return (local.get $params))");
        scene.guest(GUEST, &guest).call(GUEST, 2, b"\x83\x01\x02\x03");
    });
    plans.add("exit/read-only", |scene| read_only(scene, &exit(40, 1, DATA, 5)));
    for length in [0, 1, 1000, 1 << 20] {
        plans.add(format!("exit/answer-of-{length}"), move |scene| {
            let guest = Guest::new()
                .memory("18")
                .must("ipld.block_create", args![0x55, 0x1000, length])
                .wat("(return (i32.const 1))");
            scene.guest(GUEST, &guest).invoke();
        });
    }
}
