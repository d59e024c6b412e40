//! The actor's own side: root, balance, self-destruction, and what is left of an actor that deleted itself.

use fvm_ipld_encoding::DAG_CBOR;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;

use super::ipld::blake;
use crate::args;
use crate::cbor::{array, link};
use crate::guest::*;
use crate::plan::{Plans, Versions};
use crate::scene::{ALICE, GUEST, Scene, empty};

const RAW: i64 = 0x55;
const BLAKE2B: i64 = 0xb220;
pub const READ_ONLY: i64 = 1;
pub const ALL_GAS: i64 = -1;

/// A call of another actor by ID: method, value in attoFIL, gas limit, flags; error number, result and answer are kept.
pub fn call(guest: Guest, to: u64, method: i64, value: i64, gas: i64, flags: i64) -> Guest {
    let address = Address::new_id(to).to_bytes();
    guest.data(0x200, &address).sys("send.send", args![0x200, address.len() as i64, method, 0, 0, value, gas, flags])
}

/// A guest that calls `GUEST + 1`, method 2, with flags.
pub fn forwarding(flags: i64) -> Guest {
    call(Guest::new(), GUEST + 1, 2, 0, ALL_GAS, flags)
        .sys("ipld.block_read", args![1, 0, 0x4000, 128])
        .keep(0x4000, 128)
}

/// The guest's actions run in an actor that was called read-only.
pub fn read_only(scene: &mut Scene, guest: &Guest) {
    scene.guest(GUEST, &forwarding(READ_ONLY)).guest(GUEST + 1, guest).invoke();
}

pub fn plans(plans: &mut Plans) {
    plans.group("self", Versions::Two);
    root(plans);
    balance(plans);
    destroy(plans);
}

fn root(plans: &mut Plans) {
    plans.add("root/read", |scene| {
        scene.guest(GUEST, &Guest::new().sys("self.root", args![BUF, 100]).keep(BUF, 40)).invoke();
    });
    for (name, at, length) in [
        ("exact", BUF, 38),
        ("short", BUF, 37),
        ("nothing", BUF, 0),
        ("outside", 65536, 1),
        ("crossing", 65520, 38),
        ("wrapping", 0xffff_fff0, 0x20),
    ] {
        plans.add(format!("root/buffer-{name}"), move |scene| {
            scene.guest(GUEST, &Guest::new().sys("self.root", args![at, length])).invoke();
        });
    }
    plans.add("root/too-short-still-reaches", |scene| {
        let guest = Guest::new()
            .data(DATA, empty().to_bytes())
            .sys("ipld.block_open", args![DATA])
            .sys("self.root", args![BUF, 10])
            .sys("ipld.block_open", args![DATA]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans
        .add("root/result-outside", |scene| {
            let guest = Guest::new()
                .data(DATA, empty().to_bytes())
                .sys_ret("self.root", 65533, args![BUF, 100])
                .sys("ipld.block_open", args![DATA]);
            scene.guest(GUEST, &guest).invoke();
        })
        .covers("self.root", 1);
    plans.add("set-root/same", |scene| {
        let guest = Guest::new().sys("self.root", args![BUF, 100]).sys("self.set_root", args![BUF]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("set-root/new", |scene| {
        let guest = Guest::new()
            .data(DATA, b"new state")
            .must("ipld.block_create", args![RAW, DATA, 9])
            .must("ipld.block_link", args![1, BLAKE2B, 32, BUF, 100])
            .sys("self.set_root", args![BUF])
            .sys("self.root", args![BUF + 100, 100])
            .keep(BUF + 100, 40)
            .sys("self.set_root", args![BUF]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("set-root/then-abort", |scene| {
        let guest = Guest::new()
            .data(DATA, b"new state")
            .must("ipld.block_create", args![RAW, DATA, 9])
            .must("ipld.block_link", args![1, BLAKE2B, 32, BUF, 100])
            .must("self.set_root", args![BUF])
            .sys("vm.exit", args![40, 0, 0, 0]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("set-root/unreachable", |scene| {
        let state = scene.block(&("never seen",));
        let guest = Guest::new().data(DATA, state.to_bytes()).sys("self.set_root", args![DATA]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("set-root/link-of-the-state", |scene| {
        let inner = scene.block(&("inner",));
        let guest = Guest::new()
            .data(DATA, inner.to_bytes())
            .sys("self.root", args![BUF, 100])
            .sys("self.set_root", args![DATA])
            .sys("ipld.block_open", args![BUF])
            .sys("self.set_root", args![DATA]);
        scene.guest(GUEST, &guest).state(GUEST, &array(&[link(&inner)]));
        scene.invoke();
    });
    plans.add("set-root/bad-cid", |scene| {
        let guest = Guest::new()
            .sys("self.set_root", args![DATA])
            .sys("self.set_root", args![65536])
            .sys("self.set_root", args![0xffff_ffff]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("set-root/read-only", |scene| {
        let guest = Guest::new()
            .sys("self.root", args![BUF, 100])
            .sys("self.set_root", args![BUF])
            .sys("self.set_root", args![DATA]);
        read_only(scene, &guest);
    });
    plans.add("set-root/missing-block", |scene| {
        // Nothing checks that the root's block exists: it is reachable, so it must.
        let nowhere = blake(DAG_CBOR, b"nobody stored this");
        let guest = Guest::new().sys("self.root", args![BUF, 100]).sys("self.set_root", args![BUF]);
        scene.guest(GUEST, &guest).change(GUEST, |actor| actor.state = nowhere);
        scene.invoke();
    });
}

fn balance(plans: &mut Plans) {
    let amounts: [(&str, u128); 5] =
        [("zero", 0), ("one", 1), ("64-bits", u64::MAX as u128 + 1), ("127-bits", 1 << 127), ("128-bits", u128::MAX)];
    for (name, amount) in amounts {
        plans.add(format!("balance/{name}"), move |scene| {
            let guest = Guest::new().sys("self.current_balance", args![]).sys("actor.balance_of", args![GUEST as i64]);
            scene.guest(GUEST, &guest).balance(GUEST, TokenAmount::from_atto(amount)).invoke();
        });
    }
    for name in ["self.current_balance", "actor.balance_of"] {
        plans.add(format!("balance/129-bits-{name}"), move |scene| {
            let args = [Arg::from(GUEST as i64)];
            let guest = Guest::new().sys(name, if name == "actor.balance_of" { &args } else { &[] });
            let amount = TokenAmount::from_atto(u128::MAX) + TokenAmount::from_atto(1);
            scene.guest(GUEST, &guest).balance(GUEST, amount).invoke();
        });
    }
    plans.add("balance/received", |scene| {
        scene.guest(GUEST, &Guest::new().sys("self.current_balance", args![]));
        let mut message = scene.draft(ALICE, Address::new_id(GUEST), 2, &[]);
        message.value = TokenAmount::from_atto(12345);
        scene.send(message);
    });
    plans
        .add("balance/result-outside", |scene| {
            let guest = Guest::new()
                .sys_ret("self.current_balance", 65521, args![])
                .sys_ret("actor.balance_of", 65521, args![77])
                .sys_ret("self.current_balance", 65520, args![]);
            scene.guest(GUEST, &guest).invoke();
        })
        .covers("self.current_balance", 1)
        .covers("actor.balance_of", 1);
}

fn destroy(plans: &mut Plans) {
    plans.add("destroy/empty", |scene| {
        let guest = Guest::new().sys("self.self_destruct", args![0]).sys("self.self_destruct", args![1]);
        scene.guest(GUEST, &guest).invoke().invoke();
    });
    for (name, burn) in [("keep", 0), ("burn", 1), ("burn-2", 2), ("burn-negative", -1)] {
        plans.add(format!("destroy/with-money-{name}"), move |scene| {
            let guest = Guest::new().sys("self.self_destruct", args![burn]).sys("self.current_balance", args![]);
            scene.guest(GUEST, &guest).balance(GUEST, TokenAmount::from_atto(1000)).invoke().invoke();
        });
    }
    plans.add("destroy/what-is-left", |scene| {
        let state = scene.block(&("state",));
        let mut guest = Guest::new()
            .data(DATA, b"\x81\x01")
            .sys("self.root", args![BUF, 100])
            .must("ipld.block_create", args![0x71, DATA, 2])
            .must("ipld.block_link", args![1, BLAKE2B, 32, BUF + 100, 100])
            .sys("self.self_destruct", args![1])
            .sys("self.root", args![BUF, 100])
            .sys("self.set_root", args![BUF + 100])
            .sys("self.set_root", args![DATA + 50])
            .sys("self.current_balance", args![])
            .sys("actor.balance_of", args![GUEST as i64])
            .sys("actor.get_actor_code_cid", args![GUEST as i64, BUF, 100])
            .sys("actor.lookup_delegated_address", args![GUEST as i64, BUF, 100])
            .data(0x220, Address::new_id(GUEST).to_bytes())
            .sys("actor.resolve_address", args![0x220, 3])
            .sys("ipld.block_open", args![BUF + 100])
            .sys("event.emit_event", args![0, 0, 0, 0, 0, 0])
            .sys("vm.message_context", args![])
            .sys("actor.next_actor_address", args![BUF, 100]);
        guest = call(guest, ALICE, 0, 0, ALL_GAS, 0);
        guest = call(guest, ALICE, 0, 1, ALL_GAS, 0);
        scene.guest(GUEST, &guest).change(GUEST, |actor| actor.state = state);
        scene.balance(GUEST, TokenAmount::from_atto(55)).invoke();
    });
    plans.add("destroy/send-to-self", |scene| {
        let guest = call(Guest::new().sys("self.self_destruct", args![0]), GUEST, 0, 0, ALL_GAS, 0)
            .sys("send.send", args![0x200, 3, 5, 0, 0, 0, ALL_GAS, 0]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("destroy/read-only", |scene| {
        read_only(scene, &Guest::new().sys("self.self_destruct", args![0]));
    });
    plans.add("destroy/then-abort", |scene| {
        let guest = Guest::new().sys("self.self_destruct", args![1]).sys("vm.exit", args![30, 0, 0, 0]);
        scene.guest(GUEST, &guest).balance(GUEST, TokenAmount::from_atto(9)).invoke().invoke();
    });
    for (name, exit) in [("kept", 0i64), ("reverted-by-caller", 50)] {
        plans.add(format!("destroy/callee-{name}"), move |scene| {
            let caller = call(Guest::new(), GUEST + 1, 2, 7, ALL_GAS, 0);
            let caller = call(caller, GUEST + 1, 2, 0, ALL_GAS, 0)
                .sys("actor.balance_of", args![GUEST as i64 + 1])
                .sys("actor.balance_of", args![99]);
            let caller = if exit > 0 { caller.sys("vm.exit", args![exit, 0, 0, 0]) } else { caller };
            let callee = Guest::new().sys("self.self_destruct", args![1]);
            scene.guest(GUEST, &caller).guest(GUEST + 1, &callee);
            scene.balance(GUEST, TokenAmount::from_atto(100)).invoke();
        });
    }
    plans.add("destroy/out-of-gas-while-burning", |scene| {
        // The burn's access charges end the message: no Fatal error comes of it.
        let guest = Guest::new().import(&["gas.available"]).sys("self.self_destruct", args![1]);
        scene.guest(GUEST, &guest).balance(GUEST, TokenAmount::from_atto(9)).invoke();
        scene.sweep = true;
    });
    for count in [3u64, 10, 60] {
        plans.add(format!("destroy/many-{count}"), move |scene| {
            // So many actors go that the state tree's nodes collapse.
            let mut caller = Guest::new();
            for index in 0..count {
                let address = Address::new_id(3000 + index).to_bytes();
                caller = caller
                    .data(0x200 + 8 * index as i64, &address)
                    .must("send.send", args![0x200 + 8 * index as i64, address.len() as i64, 2, 0, 0, 0, ALL_GAS, 0]);
            }
            let callee = Guest::new().sys("self.self_destruct", args![1]);
            scene.guest(GUEST, &caller);
            for index in 0..count + 20 {
                scene.guest(3000 + index, &callee);
            }
            scene.invoke();
        });
    }
}
