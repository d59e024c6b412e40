//! Before and after execution: who may send, what is checked first, and where the gas money goes.

use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::message::Message;

use crate::args;
use crate::guest::*;
use crate::keys;
use crate::plan::{Plans, Versions};
use crate::scene::{ALICE, BOB, BURNT, CAROL, DAVE, GUEST, REWARD, Scene};
use crate::world::Applied;

pub fn plans(plans: &mut Plans) {
    plans.group("fees", Versions::Two);
    senders(plans);
    refusals(plans);
    outputs(plans);
    transfers(plans);
}

fn atto(amount: i128) -> TokenAmount {
    TokenAmount::from_atto(amount)
}

/// Alice gives one attoFIL to Bob, with something changed.
fn gift(scene: &mut Scene, change: impl FnOnce(&mut Message)) {
    let mut message = scene.draft(ALICE, Address::new_id(BOB), 0, &[]);
    message.value = atto(1);
    message.gas_limit = 2_000_000;
    change(&mut message);
    scene.send(message);
}

fn from(scene: &mut Scene, sender: Address) {
    gift(scene, |message| message.from = sender);
}

fn senders(plans: &mut Plans) {
    for (name, id) in [("secp", ALICE), ("bls", BOB), ("ethaccount", CAROL), ("placeholder", DAVE)] {
        plans.add(format!("sender/{name}"), move |scene| {
            let mut message = scene.draft(id, Address::new_id(GUEST), 2, &[]);
            message.value = atto(3);
            scene.guest(GUEST, &Guest::new().sys("vm.message_context", args![])).send(message);
            let again = scene.draft(id, Address::new_id(GUEST), 2, &[]);
            scene.send(again);
        });
        plans.add(format!("sender/{name}-by-id"), move |scene| from(scene, Address::new_id(id)));
    }
    plans.add("sender/unknown-key", |scene| from(scene, keys::secp_address(9)));
    plans.add("sender/unknown-id", |scene| from(scene, Address::new_id(98765)));
    plans.add("sender/unknown-delegated", |scene| from(scene, keys::eth_address(0x99)));
    plans.add("sender/guest", |scene| {
        scene.guest(GUEST, &Guest::new()).balance(GUEST, TokenAmount::from_whole(10));
        from(scene, Address::new_id(GUEST));
    });
    plans.add("sender/system", |scene| from(scene, Address::new_id(0)));
    plans.add("sender/multisig", |scene| {
        scene.official(5000, "multisig").balance(5000, TokenAmount::from_whole(10));
        from(scene, Address::new_id(5000));
    });
    plans.add("sender/contract", |scene| {
        scene.delegated(5000, "evm", keys::eth_address(0x50), 10);
        from(scene, keys::eth_address(0x50));
    });
    plans.add("sender/placeholder-with-nonce", |scene| {
        scene.change(DAVE, |actor| actor.sequence = 1);
        gift(scene, |message| (message.from, message.sequence) = (keys::eth_address(0xDA), 1));
    });
    plans.add("sender/placeholder-of-other-namespace", |scene| {
        let address = Address::new_delegated(77, &[1; 20]).expect("it fits");
        scene.delegated(5000, "placeholder", address, 10);
        from(scene, address);
    });
    plans.add("sender/placeholder-of-odd-length", |scene| {
        let address = Address::new_delegated(10, &[1; 5]).expect("it fits");
        scene.delegated(5000, "placeholder", address, 10);
        from(scene, address);
    });
    plans.add("sender/placeholder-without-address", |scene| {
        scene.official(5000, "placeholder").balance(5000, TokenAmount::from_whole(10));
        from(scene, Address::new_id(5000));
    });
    plans.add("sender/placeholder-too-poor", |scene| {
        // The promotion to an Ethereum account is not kept.
        scene.balance(DAVE, atto(5));
        from(scene, keys::eth_address(0xDA));
    });
    plans.add("sender/placeholder-message-fails", |scene| {
        // The promotion is kept although the message fails.
        gift(scene, |message| (message.from, message.to) = (keys::eth_address(0xDA), Address::new_id(777)));
    });
    plans.add("sender/placeholder-to-itself", |scene| {
        gift(scene, |message| (message.from, message.to) = (keys::eth_address(0xDA), keys::eth_address(0xDA)));
    });
}

fn refusals(plans: &mut Plans) {
    for (name, nonce) in [("too-low", 4), ("right", 5), ("too-high", 6), ("largest", u64::MAX)] {
        plans.add(format!("nonce/{name}"), move |scene| {
            scene.change(ALICE, |actor| actor.sequence = 5);
            gift(scene, |message| message.sequence = nonce);
        });
    }
    plans.add("nonce/over-the-end", |scene| {
        scene.change(ALICE, |actor| actor.sequence = u64::MAX - 1);
        gift(scene, |message| message.sequence = u64::MAX - 1);
    });
    for (name, balance) in
        [("exact", 2_000_000_001i128), ("gas-only", 2_000_000_000), ("one-less", 1_999_999_999), ("nothing", 0)]
    {
        plans.add(format!("balance/{name}"), move |scene| {
            scene.balance(ALICE, atto(balance));
            gift(scene, |_| ());
        });
    }
    for limit in [1u64, 702_362, 702_363, 702_364, 5_000_000_000, i64::MAX as u64] {
        plans.add(format!("gas-limit/{limit}"), move |scene| {
            gift(scene, |message| {
                (message.gas_limit, message.gas_fee_cap, message.gas_premium) = (limit, atto(0), atto(0));
            })
        });
    }
    for limit in [0u64, i64::MAX as u64 + 1, u64::MAX] {
        plans.add(format!("gas-limit/none-{limit}"), move |scene| gift(scene, |message| message.gas_limit = limit));
    }
    plans.add("gas-limit/implicit-none", |scene| {
        let mut message = scene.draft(ALICE, Address::new_id(BOB), 0, &[]);
        message.gas_limit = 0;
        scene.messages.push(Applied::implicit(message));
    });
    plans.add("gas-limit/more-milligas-than-63-bits", |scene| {
        let guest = Guest::new().sys("gas.available", args![]);
        scene.guest(GUEST, &guest).invoke();
        let mut message = scene.messages.pop().expect("just sent").message;
        (message.gas_limit, message.gas_fee_cap, message.gas_premium) = (i64::MAX as u64, atto(0), atto(0));
        scene.send(message);
    });
    for (name, order) in [("inclusion-before-sender", 0), ("sender-before-nonce", 1), ("nonce-before-balance", 2)] {
        plans.add(format!("order/{name}"), move |scene| {
            scene.balance(ALICE, atto(0));
            gift(scene, |message| {
                message.sequence = 9;
                if order < 2 {
                    message.from = keys::secp_address(9);
                }
                if order == 0 {
                    message.gas_limit = 10;
                }
            });
        });
    }
    plans.add("length/parameters", |scene| {
        // What a message costs before it starts grows with its length on chain.
        for length in [0usize, 1, 23, 24, 255, 256, 5000] {
            let mut message = scene.draft(ALICE, Address::new_id(BOB), 0, &vec![1; length]);
            message.value = atto(1);
            scene.send(message);
        }
    });
    plans.add("length/given", |scene| {
        for length in [0usize, 1, 100, 100_000] {
            gift(scene, |_| ());
            scene.messages.last_mut().expect("just sent").raw_length = length;
        }
    });
    plans.add("version/other", |scene| gift(scene, |message| message.version = 3));
}

fn outputs(plans: &mut Plans) {
    let rows: Vec<(&str, i128, i128, i128)> = vec![
        // base fee, fee cap, premium
        ("usual", 100, 1000, 200),
        ("no-premium", 100, 1000, 0),
        ("premium-cut", 100, 150, 100),
        ("premium-above-cap", 100, 150, 400),
        ("cap-is-base-fee", 100, 100, 50),
        ("cap-below-base-fee", 100, 60, 50),
        ("cap-of-zero", 100, 0, 0),
        ("cap-of-zero-with-premium", 100, 0, 10),
        ("no-base-fee", 0, 100, 30),
        ("no-base-fee-premium-is-cap", 0, 100, 100),
        ("everything-zero", 0, 0, 0),
        ("large", 5_000_000_000, 20_000_000_000, 100_000_000),
    ];
    for (name, base, cap, premium) in rows {
        for (kind, limit) in [
            ("exact", 1_183_363u64),
            ("one-more", 1_183_364),
            ("ten-percent", 1_301_699),
            ("over", 1_301_710),
            ("double", 2_366_726),
            ("far-over", 100_000_000),
            ("too-little", 1_000_000),
        ] {
            plans.add(format!("outputs/{name}-{kind}"), move |scene| {
                scene.world.base_fee = atto(base);
                gift(scene, |message| {
                    message.to = Address::new_id(99);
                    (message.gas_limit, message.gas_fee_cap, message.gas_premium) = (limit, atto(cap), atto(premium));
                });
            });
        }
    }
    plans.add("outputs/fatal-takes-all", |scene| {
        scene.guest(GUEST, &Guest::new().sys("vm.exit", args![40, 9, 0, 0])).invoke().gas_limit(3_000_000);
    });
    plans.add("outputs/reward-actor-missing", |scene| {
        scene.remove(REWARD);
        gift(scene, |message| message.gas_premium = atto(0));
    });
    plans.add("outputs/burnt-actor-is-receiver", |scene| gift(scene, |message| message.to = Address::new_id(BURNT)));
    plans.add("outputs/reward-actor-is-receiver", |scene| gift(scene, |message| message.to = Address::new_id(REWARD)));
    plans.add("outputs/sender-deletes-nothing", |scene| {
        scene.guest(GUEST, &Guest::new().sys("self.self_destruct", args![1])).invoke();
    });
}

fn transfers(plans: &mut Plans) {
    for (name, to) in [
        ("known-secp", keys::secp_address(1)),
        ("known-bls", keys::bls_address(1)),
        ("ethaccount", keys::eth_address(0xCA)),
        ("placeholder", keys::eth_address(0xDA)),
        ("missing-id", Address::new_id(98765)),
        ("missing-actor", Address::new_actor(b"nobody")),
        ("missing-other-namespace", Address::new_delegated(77, b"someone").expect("it fits")),
        ("new-secp", keys::secp_address(9)),
        ("new-bls", keys::bls_address(9)),
        ("new-delegated", keys::eth_address(0x99)),
        ("new-delegated-odd", Address::new_delegated(10, b"odd").expect("it fits")),
        ("bls-infinity", Address::new_bls(&[&[0xc0], [0u8; 47].as_slice()].concat()).expect("48 bytes")),
    ] {
        for (kind, value, method) in
            [("value", 1i128, 0u64), ("nothing", 0, 0), ("too-much", i128::MAX, 0), ("method", 1, 2)]
        {
            plans.add(format!("to/{name}-{kind}"), move |scene| {
                gift(scene, |message| {
                    message.gas_limit = 20_000_000;
                    (message.to, message.value, message.method_num) = (to, atto(value), method);
                });
            });
        }
    }
    plans.add("to/negative-value", |scene| gift(scene, |message| message.value = atto(-1)));
    plans.add("to/negative-value-to-new-account", |scene| {
        gift(scene, |message| {
            (message.to, message.value, message.gas_limit) = (keys::secp_address(9), atto(-1), 9_000_000)
        });
    });
    plans.add("to/same-new-account-twice", |scene| {
        for _ in 0..2 {
            gift(scene, |message| (message.to, message.gas_limit) = (keys::secp_address(9), 9_000_000));
        }
    });
    plans.add("to/several-new-accounts", |scene| {
        for seed in [9, 10, 11] {
            gift(scene, |message| (message.to, message.gas_limit) = (keys::secp_address(seed), 9_000_000));
            gift(scene, |message| (message.to, message.gas_limit) = (keys::eth_address(seed), 9_000_000));
        }
    });
    plans.add("to/new-account-then-from-it", |scene| {
        gift(scene, |message| {
            (message.to, message.gas_limit, message.value) =
                (keys::eth_address(0x99), 9_000_000, TokenAmount::from_whole(5));
        });
        let mut message = scene.draft(ALICE, Address::new_id(ALICE), 0, &[]);
        (message.from, message.sequence, message.value) = (keys::eth_address(0x99), 0, atto(17));
        scene.messages.push(Applied::explicit(message));
    });
    for (name, to) in [
        ("new-secp", keys::secp_address(9)),
        ("new-bls", keys::bls_address(9)),
        ("new-delegated", keys::eth_address(0x99)),
        ("known", keys::bls_address(1)),
    ] {
        plans
            .add(format!("swept/{name}"), move |scene| {
                gift(scene, |message| (message.to, message.gas_limit) = (to, 20_000_000));
                scene.sweep = true;
            })
            .versions(&[21, 28]);
    }
}
