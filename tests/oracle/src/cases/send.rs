//! Calls between actors: recipients, value, gas limits, flags, depth, and what comes back.

use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;

use super::own::{ALL_GAS, READ_ONLY, call, forwarding, read_only};
use crate::args;
use crate::guest::*;
use crate::keys;
use crate::plan::{Plans, Versions};
use crate::scene::{ALICE, BOB, CAROL, DAVE, GUEST, Scene};

pub fn plans(plans: &mut Plans) {
    plans.group("send", Versions::Two);
    recipients(plans);
    value(plans);
    answers(plans);
    flags(plans);
    limits(plans);
    depth(plans);
}

/// A call of any address: method, parameters' handle, value, gas limit, flags.
fn send(guest: Guest, to: &[u8], method: i64, params: i64, value: i64, gas: i64, flags: i64) -> Guest {
    guest.data(0x240, to).sys("send.send", args![0x240, to.len() as i64, method, params, 0, value, gas, flags])
}

fn run(scene: &mut Scene, guest: &Guest) {
    scene.guest(GUEST, guest).balance(GUEST, TokenAmount::from_atto(1000)).invoke();
}

fn recipients(plans: &mut Plans) {
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("id", Address::new_id(ALICE).to_bytes()),
        ("secp", keys::secp_address(1).to_bytes()),
        ("bls", keys::bls_address(1).to_bytes()),
        ("delegated", keys::eth_address(0xCA).to_bytes()),
        ("placeholder", keys::eth_address(0xDA).to_bytes()),
        ("burnt", Address::new_id(99).to_bytes()),
        ("missing-id", Address::new_id(777_777).to_bytes()),
        ("missing-actor", Address::new_actor(b"nobody").to_bytes()),
        ("missing-other-namespace", Address::new_delegated(77, b"someone").unwrap().to_bytes()),
        ("new-secp", keys::secp_address(8).to_bytes()),
        ("new-bls", keys::bls_address(8).to_bytes()),
        ("new-bls-no-point", [&[3], [1; 48].as_slice()].concat()),
        ("new-bls-infinity", [&[3, 0xc0], [0; 47].as_slice()].concat()),
        ("new-bls-zeros", [&[3], [0; 48].as_slice()].concat()),
        ("new-delegated", keys::eth_address(0x44).to_bytes()),
        ("new-delegated-short", Address::new_delegated(10, b"abc").unwrap().to_bytes()),
        ("new-delegated-longest", Address::new_delegated(10, &[9; 54]).unwrap().to_bytes()),
        (
            "new-delegated-masked-id",
            Address::new_delegated(10, &[&[0xff], [0u8; 18].as_slice(), &[100]].concat()).unwrap().to_bytes(),
        ),
        ("bad-address", vec![7, 7, 7]),
        ("no-address", vec![]),
    ];
    for (name, to) in rows {
        for (kind, method, value) in
            [("bare", 0i64, 0i64), ("value", 0, 7), ("method", 2, 0), ("value-and-method", 3, 7)]
        {
            let to = to.clone();
            plans.add(format!("to/{name}-{kind}"), move |scene| {
                run(scene, &send(Guest::new(), &to, method, 0, value, ALL_GAS, 0).sys("self.current_balance", args![]));
            });
        }
    }
    plans.add("to/self", |scene| {
        // A call of oneself is another invocation of the same actor.
        let guest = Guest::new()
            .import(&["send.send", "vm.message_context"])
            .data(0x240, Address::new_id(GUEST).to_bytes())
            .sys("vm.message_context", args![])
            .wat(format!(
                "(if (i64.gt_u (i64.load (i32.const {})) (i64.const 2)) (then (return (call $finish))))",
                RET + 32
            ))
            .sys("send.send", args![0x240, 3, 5, 0, 0, 9, ALL_GAS, 0])
            .sys("ipld.block_read", args![1, 0, 0x4000, 100])
            .keep(0x4000, 100);
        run(scene, &guest);
    });
    for (name, at, length) in [("outside", 65536, 3), ("crossing", 65534, 3), ("huge", 0, 0xffff_ffff)] {
        plans.add(format!("to/memory-{name}"), move |scene| {
            run(scene, &Guest::new().sys("send.send", args![at, length, 0, 0, 0, 0, ALL_GAS, 0]));
        });
    }
    plans
        .add("to/result-outside", |scene| {
            let guest = Guest::new()
                .data(0x240, [0, 100])
                .sys_ret("send.send", 65517, args![0x240, 2, 0, 0, 0, 5, ALL_GAS, 0])
                .sys("self.current_balance", args![]);
            run(scene, &guest);
        })
        .covers("send.send", 1);
}

fn value(plans: &mut Plans) {
    for (name, hi, lo) in [("all", 0, 1000), ("too-much", 0, 1001), ("huge", 1, 0), ("largest", -1, -1)] {
        plans.add(format!("value/{name}"), move |scene| {
            let guest = Guest::new()
                .data(0x240, [0, 100])
                .sys("send.send", args![0x240, 2, 0, 0, hi, lo, ALL_GAS, 0])
                .sys("self.current_balance", args![]);
            run(scene, &guest);
        });
        plans.add(format!("value/{name}-to-self"), move |scene| {
            let guest = Guest::new()
                .data(0x240, Address::new_id(GUEST).to_bytes())
                .sys("send.send", args![0x240, 3, 0, 0, hi, lo, ALL_GAS, 0])
                .sys("self.current_balance", args![]);
            run(scene, &guest);
        });
    }
    plans.add("value/to-missing", |scene| {
        let guest = send(Guest::new(), &Address::new_id(777_777).to_bytes(), 0, 0, 1001, ALL_GAS, 0);
        run(scene, &guest);
    });
    plans.add("value/back-and-forth", |scene| {
        let caller = call(Guest::new(), GUEST + 1, 2, 500, ALL_GAS, 0).sys("self.current_balance", args![]);
        let callee = call(Guest::new(), GUEST, 0, 200, ALL_GAS, 0).sys("self.current_balance", args![]);
        scene.guest(GUEST + 1, &callee);
        run(scene, &caller);
    });
    plans.add("value/to-an-actor-that-aborts", |scene| {
        let caller = call(Guest::new(), GUEST + 1, 2, 500, ALL_GAS, 0).sys("self.current_balance", args![]);
        scene.guest(GUEST + 1, &Guest::new().sys("vm.exit", args![33, 0, 0, 0]));
        run(scene, &caller);
    });
    plans.add("value/balance-over-128-bits", |scene| {
        let guest = send(Guest::new(), &[0, 100], 0, 0, 5, ALL_GAS, 0);
        scene.guest(GUEST, &guest);
        let large = TokenAmount::from_atto(u128::MAX) + TokenAmount::from_atto(u128::MAX);
        scene.balance(GUEST, large).invoke();
    });
}

fn answers(plans: &mut Plans) {
    let blocks: [(&str, i64, &[u8]); 4] = [
        ("raw", 0x55, b"some bytes"),
        ("cbor", 0x51, b"\x82\x01\x02"),
        ("dag-cbor", 0x71, b"\x82\x01\x02"),
        ("empty", 0x55, b""),
    ];
    for (name, codec, data) in blocks {
        let data = data.to_vec();
        plans.add(format!("answer/{name}"), move |scene| {
            let callee = Guest::new()
                .data(DATA, &data)
                .must("ipld.block_create", args![codec, DATA, data.len() as i64])
                .wat("(return (i32.const 1))");
            scene.guest(GUEST, &forwarding(0)).guest(GUEST + 1, &callee).invoke();
        });
    }
    let traps = [
        ("unreachable", "unreachable"),
        ("division", "(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
        ("memory", "(drop (i32.load (i32.const -4)))"),
        ("nothing", "(return (i32.const 0))"),
        ("unknown-handle", "(return (i32.const 5))"),
    ];
    for (name, text) in traps {
        plans.add(format!("answer/callee-{name}"), move |scene| {
            scene.guest(GUEST, &forwarding(0)).guest(GUEST + 1, &Guest::new().wat(text)).invoke();
        });
    }
    plans.add("answer/callee-has-no-code", |scene| {
        let nowhere = super::ipld::blake(0x55, b"no such code");
        scene.guest(GUEST, &forwarding(0)).actor(GUEST + 1, nowhere, crate::scene::empty(), 0).invoke();
    });
    plans.add("answer/callee-has-no-invoke", |scene| {
        let module = module("(module (memory (export \"memory\") 1))");
        scene.guest(GUEST, &forwarding(0)).code(GUEST + 1, &module).invoke();
    });
    plans.add("answer/callee-has-another-export", |scene| {
        let module = module(
            "(module (memory (export \"memory\") 1) (func (export \"Invoke\") (param i32) (result i32) (i32.const 0)))",
        );
        scene.guest(GUEST, &forwarding(0)).code(GUEST + 1, &module).invoke();
    });
    plans.add("answer/callee-has-no-memory", |scene| {
        let module = module("(module (func (export \"invoke\") (param i32) (result i32) (i32.const 0)))");
        scene.guest(GUEST, &forwarding(0)).code(GUEST + 1, &module).invoke();
    });
    plans.add("answer/parameters", |scene| {
        let callee = Guest::new()
            .sys("ipld.block_stat", args!["(local.get $params)"])
            .sys("ipld.block_read", args!["(local.get $params)", 0, 0x4000, 20])
            .keep(0x4000, 20);
        let caller = send(
            Guest::new().data(DATA, b"parameters").must("ipld.block_create", args![0x55, DATA, 10]),
            &Address::new_id(GUEST + 1).to_bytes(),
            2,
            1,
            0,
            ALL_GAS,
            0,
        );
        let caller = caller.sys("ipld.block_read", args![2, 0, 0x4000, 60]).keep(0x4000, 60);
        scene.guest(GUEST, &caller).guest(GUEST + 1, &callee).invoke();
    });
    for handle in [1, 5, -1] {
        plans.add(format!("answer/no-such-parameters-{handle}"), move |scene| {
            let guest = send(Guest::new(), &[0, 100], 0, handle, 0, ALL_GAS, 0);
            run(scene, &send(guest, &[0, 100], 0, handle, 2000, ALL_GAS, READ_ONLY));
        });
    }
    plans.add("answer/of-official-actors", |scene| {
        // Methods that read only: the account's address, the placeholder's nothing, an unknown method.
        let mut guest = Guest::new();
        for (number, (to, method)) in [(ALICE, 2), (BOB, 2), (DAVE, 9), (CAROL, 2), (ALICE, 77)].into_iter().enumerate()
        {
            guest = call(guest, to, method, 0, ALL_GAS, 0)
                .sys("ipld.block_read", args![number as i64 + 1, 0, 0x4000, 60])
                .keep(0x4000, 60);
        }
        scene.guest(GUEST, &guest).invoke();
    });
}

fn flags(plans: &mut Plans) {
    for flags in [0i64, 1, 2, 3, 4, 1 << 62, -1] {
        plans.add(format!("flags/{flags}"), move |scene| {
            run(scene, &send(Guest::new(), &[0, 100], 0, 0, 0, ALL_GAS, flags));
        });
    }
    plans.add("flags/read-only-with-value", |scene| {
        run(
            scene,
            &send(send(Guest::new(), &[0, 100], 0, 0, 1, ALL_GAS, READ_ONLY), &[9], 0, 0, 1, ALL_GAS, READ_ONLY),
        );
    });
    plans.add("flags/value-inside-read-only", |scene| {
        let guest = send(Guest::new(), &[0, 100], 0, 0, 1, ALL_GAS, 0);
        read_only(scene, &send(guest, &[0, 100], 0, 0, 0, ALL_GAS, 0));
    });
    for (name, address) in
        [("secp", keys::secp_address(8)), ("bls", keys::bls_address(8)), ("delegated", keys::eth_address(0x44))]
    {
        plans.add(format!("flags/read-only-creates-{name}"), move |scene| {
            run(scene, &send(Guest::new(), &address.to_bytes(), 0, 0, 0, ALL_GAS, READ_ONLY));
        });
    }
    plans.add("flags/blocks-while-read-only", |scene| {
        let guest = Guest::new()
            .data(DATA, b"block")
            .sys("ipld.block_create", args![0x55, DATA, 5])
            .sys("ipld.block_link", args![1, 0xb220, 32, BUF, 100])
            .sys("ipld.block_open", args![BUF])
            .sys("self.root", args![BUF, 100])
            .sys("gas.charge", args![DATA, 5, 10])
            .sys("network.context", args![]);
        read_only(scene, &guest);
    });
}

/// A guest that spends a lot: a charge of the amount, then an answer.
fn spender(amount: i64) -> Guest {
    Guest::new().sys("gas.charge", args![DATA, 0, amount])
}

fn limits(plans: &mut Plans) {
    for limit in [
        0i64,
        1,
        74_999,
        75_000,
        500_000,
        590_000,
        700_000,
        1_500_000,
        1_650_000,
        1_700_000,
        2_000_000,
        i64::MAX,
        -2,
        -1,
    ] {
        plans.add(format!("limit/{limit}"), move |scene| {
            let caller = call(Guest::new().sys("gas.available", args![]), GUEST + 1, 2, 0, limit, 0)
                .sys("gas.available", args![]);
            scene.guest(GUEST, &caller).guest(GUEST + 1, &spender(1_000_000)).invoke();
        });
    }
    plans.add("limit/more-than-there-is", |scene| {
        // The callee uses up everything: no exit code is left to tell of, the caller ends too.
        let caller = call(Guest::new(), GUEST + 1, 2, 0, 4_000_000_000, 0);
        scene.guest(GUEST, &caller).guest(GUEST + 1, &spender(3_000_000_000)).invoke();
        scene.gas_limit(2_000_000_000);
    });
    plans.add("limit/nested", |scene| {
        // The inner limit is cut to what the outer one leaves.
        let outer = call(Guest::new(), GUEST + 1, 2, 0, 3_000_000, 0).sys("gas.available", args![]);
        let outer = outer.sys("ipld.block_read", args![1, 0, 0x4000, 60]).keep(0x4000, 60);
        let middle =
            call(Guest::new().sys("gas.available", args![]), GUEST + 2, 2, 0, 1 << 40, 0).sys("gas.available", args![]);
        scene.guest(GUEST, &outer).guest(GUEST + 1, &middle).guest(GUEST + 2, &spender(5_000_000)).invoke();
    });
    plans.add("limit/nested-inner-smaller", |scene| {
        let outer = call(Guest::new(), GUEST + 1, 2, 0, 9_000_000, 0).sys("gas.available", args![]);
        let outer = outer.sys("ipld.block_read", args![1, 0, 0x4000, 60]).keep(0x4000, 60);
        let middle = call(Guest::new().sys("gas.available", args![]), GUEST + 2, 2, 0, 2_000_000, 0)
            .sys("gas.available", args![]);
        scene.guest(GUEST, &outer).guest(GUEST + 1, &middle).guest(GUEST + 2, &spender(5_000_000)).invoke();
    });
    plans.add("limit/infinite-loop-inside", |scene| {
        let caller = call(Guest::new(), GUEST + 1, 2, 0, 2_000_000, 0).sys("gas.available", args![]);
        scene.guest(GUEST, &caller).guest(GUEST + 1, &Guest::new().wat("(loop $again (br $again))")).invoke();
    });
    plans.add("limit/trap-and-out-of-gas", |scene| {
        // The trap comes while the counter is negative: it is out of gas, not an illegal instruction.
        let loops = Guest::new().wat("(loop $again (drop (i32.load (i32.const 0))) (br $again))").wat("unreachable");
        let caller = call(Guest::new(), GUEST + 1, 2, 0, 800_000, 0).sys("gas.available", args![]);
        scene.guest(GUEST, &caller).guest(GUEST + 1, &loops).invoke();
    });
    plans.add("limit/bare-send", |scene| {
        let guest = [0i64, 5_999, 6_000, 480_000, 481_000, 1_000_000].iter().fold(Guest::new(), |guest, limit| {
            send(guest, &[0, 101], 0, 0, 1, *limit, 0).sys("gas.available", args![])
        });
        run(scene, &guest);
    });
    plans.add("limit/reverted-accesses-are-paid-again", |scene| {
        let look = |guest: Guest| guest.sys("actor.balance_of", args![BOB as i64]).sys("gas.available", args![]);
        let caller = call(Guest::new(), GUEST + 1, 2, 0, ALL_GAS, 0);
        let callee = look(Guest::new()).sys("vm.exit", args![40, 0, 0, 0]);
        scene.guest(GUEST, &look(look(caller))).guest(GUEST + 1, &callee).invoke();
    });
    plans.add("limit/out-of-gas-inside-is-swept", |scene| {
        let caller = call(Guest::new(), GUEST + 1, 2, 0, 900_000, 0).sys("gas.available", args![]);
        scene.guest(GUEST, &caller).guest(GUEST + 1, &spender(50_000)).invoke();
        scene.sweep = true;
    });
}

/// A guest that calls itself with a smaller number, down to zero; the answer is the error number of the deepest call.
fn deep() -> Vec<u8> {
    module(
        r#"(module
  (import "ipld" "block_create" (func $create (param i32 i64 i32 i32) (result i32)))
  (import "ipld" "block_read" (func $read (param i32 i32 i32 i32 i32) (result i32)))
  (import "send" "send" (func $send (param i32 i32 i32 i64 i32 i64 i64 i64 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "\00\e8\07")
  (func (export "invoke") (param $params i32) (result i32)
    (local $left i32) (local $error i32)
    (drop (call $read (i32.const 0) (local.get $params) (i32.const 1) (i32.const 32) (i32.const 4)))
    (local.set $left (i32.load (i32.const 32)))
    (i32.store8 (i32.const 100) (i32.const 0x44))
    (i32.store (i32.const 101) (i32.sub (local.get $left) (i32.const 1)))
    (if (i32.eqz (local.get $left)) (then (return (local.get $params))))
    (drop (call $create (i32.const 0) (i64.const 0x51) (i32.const 100) (i32.const 5)))
    (local.set $error (call $send (i32.const 0) (i32.const 64) (i32.const 3) (i64.const 2) (i32.load (i32.const 0))
      (i64.const 0) (i64.const 0) (i64.const -1) (i64.const 0)))
    (if (local.get $error)
      (then
        (i32.store (i32.const 101) (i32.add (i32.mul (local.get $left) (i32.const 256)) (local.get $error)))
        (drop (call $create (i32.const 0) (i64.const 0x51) (i32.const 100) (i32.const 5)))
        (return (i32.load (i32.const 0)))))
    (i32.load (i32.const 4)))
)"#,
    )
}

fn depth(plans: &mut Plans) {
    for levels in [0u32, 1, 2, 10, 100, 1022, 1023, 1024, 1500] {
        let name = format!("depth/{levels}");
        let plan = plans.add(name, move |scene| {
            let params = [&[0x44], levels.to_le_bytes().as_slice()].concat();
            scene.code(GUEST, &deep()).call(GUEST, 2, &params);
        });
        if levels > 100 {
            plan.versions(&[28]);
        }
    }
    plans
        .add("depth/out-of-gas-on-the-way", |scene| {
            scene.code(GUEST, &deep()).call(GUEST, 2, &[&[0x44], 1500u32.to_le_bytes().as_slice()].concat());
            scene.gas_limit(50_000_000);
        })
        .versions(&[28]);
}
