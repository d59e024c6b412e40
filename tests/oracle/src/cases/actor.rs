//! Questions about other actors, addresses and code; creating actors.

use fvm_shared::address::Address;

use super::own::{ALL_GAS, READ_ONLY, call, forwarding, read_only};
use crate::args;
use crate::guest::*;
use crate::keys;
use crate::plan::{Plans, Versions};
use crate::scene::{ALICE, BOB, CAROL, DAVE, GUEST, INIT, Scene, empty};

pub fn plans(plans: &mut Plans) {
    plans.group("actor", Versions::Two);
    resolve(plans);
    look_up(plans);
    codes(plans);
    next_address(plans);
    create(plans);
}

fn resolve(plans: &mut Plans) {
    let known = |byte: u8| Address::new_delegated(10, &[byte; 20]).expect("it fits").to_bytes();
    let f4 = |namespace: &[u8], length: usize| [&[4], namespace, &vec![7; length]].concat();
    let addresses: Vec<(&str, Vec<u8>)> = vec![
        ("id-known", Address::new_id(ALICE).to_bytes()),
        ("id-unknown", Address::new_id(987_654_321).to_bytes()),
        ("id-largest", [&[0], [0xff; 9].as_slice(), &[1]].concat()),
        ("id-too-large", [&[0], [0xff; 9].as_slice(), &[2]].concat()),
        ("id-padded", vec![0, 0x80, 0]),
        ("id-trailing", vec![0, 1, 1]),
        ("id-cut", vec![0, 0x80]),
        ("id-empty", vec![0]),
        ("nothing", vec![]),
        ("secp-known", keys::secp_address(1).to_bytes()),
        ("secp-unknown", keys::secp_address(9).to_bytes()),
        ("secp-short", keys::secp_address(1).to_bytes()[..20].to_vec()),
        ("secp-long", [keys::secp_address(1).to_bytes().as_slice(), &[0]].concat()),
        ("actor-unknown", Address::new_actor(b"nobody").to_bytes()),
        ("actor-short", vec![2, 1]),
        ("bls-known", keys::bls_address(1).to_bytes()),
        ("bls-unknown", keys::bls_address(9).to_bytes()),
        ("bls-no-point", [&[3], [1; 48].as_slice()].concat()),
        ("bls-short", [&[3], [1; 47].as_slice()].concat()),
        ("delegated-known", known(0xCA)),
        ("delegated-placeholder", known(0xDA)),
        ("delegated-unknown", known(0x11)),
        ("delegated-other-namespace", f4(&[11], 20)),
        ("delegated-no-payload", f4(&[10], 0)),
        ("delegated-longest", f4(&[10], 54)),
        ("delegated-too-long", f4(&[10], 55)),
        ("delegated-large-namespace", f4(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], 4)),
        ("delegated-padded-namespace", f4(&[0x8a, 0], 20)),
        ("delegated-only", vec![4]),
        ("protocol-5", vec![5, 1, 2]),
        ("protocol-255", vec![255, 1]),
    ];
    for (name, address) in addresses {
        plans.add(format!("resolve/{name}"), move |scene| {
            let guest =
                Guest::new().data(DATA, &address).sys("actor.resolve_address", args![DATA, address.len() as i64]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    for (name, at, length) in [("outside", 65536, 3), ("crossing", 65534, 3), ("huge", 0, 0xffff_ffff)] {
        plans.add(format!("resolve/memory-{name}"), move |scene| {
            scene.guest(GUEST, &Guest::new().sys("actor.resolve_address", args![at, length])).invoke();
        });
    }
    plans
        .add("resolve/result-outside", |scene| {
            let guest = Guest::new()
                .data(DATA, [0, 100])
                .sys_ret("actor.resolve_address", 65529, args![DATA, 2])
                .sys_ret("actor.resolve_address", 65528, args![DATA, 2]);
            scene.guest(GUEST, &guest).invoke();
        })
        .covers("actor.resolve_address", 1);
}

const UNKNOWN: i64 = 123_456;

fn look_up(plans: &mut Plans) {
    for (name, id) in [("account", ALICE), ("bls", BOB), ("ethaccount", CAROL), ("placeholder", DAVE), ("guest", GUEST)]
    {
        plans.add(format!("look-up/{name}"), move |scene| {
            let guest = Guest::new()
                .sys("actor.lookup_delegated_address", args![id as i64, BUF, 100])
                .keep(BUF, 24)
                .sys("actor.get_actor_code_cid", args![id as i64, BUF + 100, 100])
                .keep(BUF + 100, 40)
                .sys("actor.get_builtin_actor_type", args![BUF + 100])
                .sys("actor.balance_of", args![id as i64]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    plans.add("look-up/missing", |scene| {
        // The second look-up of what is not there is free.
        let guest = Guest::new()
            .sys("actor.lookup_delegated_address", args![UNKNOWN, BUF, 100])
            .sys("actor.get_actor_code_cid", args![UNKNOWN, BUF, 100])
            .sys("actor.balance_of", args![UNKNOWN])
            .sys("actor.balance_of", args![-1]);
        scene.guest(GUEST, &guest).invoke();
    });
    for (name, at, length) in [
        ("exact", BUF, 22),
        ("short", BUF, 21),
        ("nothing", BUF, 0),
        ("outside", 65536, 1),
        ("crossing", 65500, 100),
        ("wrapping", 0xffff_fff0, 0x20),
    ] {
        plans.add(format!("look-up/buffer-{name}"), move |scene| {
            let guest = Guest::new()
                .sys("actor.lookup_delegated_address", args![CAROL as i64, at, length])
                .sys("actor.lookup_delegated_address", args![ALICE as i64, at, length])
                .sys("actor.get_actor_code_cid", args![CAROL as i64, at, length])
                .sys("actor.get_code_cid_for_type", args![4, at, length])
                .sys("actor.get_code_cid_for_type", args![44, at, length]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    for length in [37, 38] {
        plans.add(format!("look-up/code-buffer-{length}"), move |scene| {
            let guest = Guest::new()
                .sys("actor.get_actor_code_cid", args![ALICE as i64, BUF, length])
                .sys("actor.get_code_cid_for_type", args![4, BUF, length]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    plans
        .add("look-up/result-outside", |scene| {
            let guest = Guest::new()
                .sys_ret("actor.lookup_delegated_address", 65533, args![CAROL as i64, BUF, 100])
                .sys_ret("actor.get_actor_code_cid", 65533, args![UNKNOWN, BUF, 100])
                .sys_ret("actor.get_code_cid_for_type", 65533, args![4, BUF, 100])
                .sys_ret("actor.get_builtin_actor_type", 65533, args![BUF])
                .sys_ret("actor.next_actor_address", 65533, args![BUF, 100]);
            scene.guest(GUEST, &guest).invoke();
        })
        .covers("actor.lookup_delegated_address", 1)
        .covers("actor.get_actor_code_cid", 1)
        .covers("actor.get_code_cid_for_type", 1)
        .covers("actor.get_builtin_actor_type", 1)
        .covers("actor.next_actor_address", 1);
}

fn codes(plans: &mut Plans) {
    let all = plans.add("codes/all-types", |scene| {
        let guest = (1..=16).fold(Guest::new(), |guest, number| {
            guest
                .sys("actor.get_code_cid_for_type", args![number, BUF, 100])
                .keep(BUF, 38)
                .sys("actor.get_builtin_actor_type", args![BUF])
        });
        scene.guest(GUEST, &guest).invoke();
    });
    all.versions(&[21, 22, 23, 24, 25, 26, 27, 28, 29]);
    for number in [0, 17, 18, -1, 0x7fff_ffff] {
        plans.add(format!("codes/type-{number}"), move |scene| {
            scene.guest(GUEST, &Guest::new().sys("actor.get_code_cid_for_type", args![number, BUF, 100])).invoke();
        });
    }
    plans.add("codes/of-a-guest", |scene| {
        let guest = Guest::new()
            .sys("actor.get_actor_code_cid", args![GUEST as i64, BUF, 100])
            .sys("actor.get_builtin_actor_type", args![BUF])
            .data(DATA, empty().to_bytes())
            .sys("actor.get_builtin_actor_type", args![DATA])
            .sys("actor.get_builtin_actor_type", args![DATA + 100])
            .sys("actor.get_builtin_actor_type", args![65536])
            .sys("actor.get_builtin_actor_type", args![0xffff_ffff]);
        scene.guest(GUEST, &guest).invoke();
    });
}

fn next_address(plans: &mut Plans) {
    for (name, at, length) in [
        ("enough", BUF, 100),
        ("exact", BUF, 21),
        ("short", BUF, 20),
        ("nothing", BUF, 0),
        ("outside", 65536, 21),
        ("crossing", 65530, 21),
    ] {
        plans.add(format!("next-address/{name}"), move |scene| {
            let guest = Guest::new()
                .sys("actor.next_actor_address", args![at, length])
                .keep(BUF, 24)
                .sys("actor.next_actor_address", args![at, length])
                .keep(BUF, 24);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    for (name, from) in [("bls", BOB), ("ethaccount", CAROL), ("placeholder", DAVE), ("by-id", ALICE)] {
        plans.add(format!("next-address/origin-{name}"), move |scene| {
            scene.guest(GUEST, &Guest::new().sys("actor.next_actor_address", args![BUF, 100]).keep(BUF, 24));
            let mut message = scene.draft(from, Address::new_id(GUEST), 2, &[]);
            if name == "by-id" {
                message.from = Address::new_id(from);
            }
            scene.send(message);
        });
    }
    plans.add("next-address/nonce", |scene| {
        scene.guest(GUEST, &Guest::new().sys("actor.next_actor_address", args![BUF, 100]).keep(BUF, 24));
        scene.change(ALICE, |actor| actor.sequence = 0x0102_0304_0506);
        let mut message = scene.draft(ALICE, Address::new_id(GUEST), 2, &[]);
        message.sequence = 0x0102_0304_0506;
        scene.send(message);
    });
}

/// Put a guest in the init actor's place, which alone may create actors.
fn as_init<'a, 'b>(scene: &'a mut Scene<'b>, guest: &Guest) -> &'a mut Scene<'b> {
    let code = scene.raw_block(&guest.build());
    scene.init_actor().change(INIT, |actor| actor.code = code)
}

fn create(plans: &mut Plans) {
    plans.add("create/not-init", |scene| {
        let guest = Guest::new()
            .sys("actor.get_code_cid_for_type", args![4, BUF, 100])
            .sys("actor.create_actor", args![UNKNOWN, BUF, 0, 0])
            .sys("actor.create_actor", args![UNKNOWN, DATA, 0, 0]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("create/not-init-read-only", |scene| {
        let guest = Guest::new()
            .sys("actor.get_code_cid_for_type", args![4, BUF, 100])
            .sys("actor.create_actor", args![UNKNOWN, BUF, 0, 0]);
        read_only(scene, &guest);
    });
    let creation = |id: i64, kind: i64, delegated: Option<u8>| -> Guest {
        let address = delegated.map(|byte| keys::eth_address(byte).to_bytes()).unwrap_or_default();
        Guest::new()
            .data(DATA, &address)
            .sys("actor.get_code_cid_for_type", args![kind, BUF, 100])
            .sys("actor.next_actor_address", args![BUF + 200, 100])
            .sys("actor.create_actor", args![id, BUF, DATA, address.len() as i64])
            .sys("actor.get_actor_code_cid", args![id, BUF, 100])
            .sys("actor.lookup_delegated_address", args![id, BUF + 100, 100])
            .sys("actor.next_actor_address", args![BUF + 240, 100])
            .keep(BUF + 200, 64)
    };
    let cases: Vec<(&str, i64, i64, Option<u8>)> = vec![
        ("account", UNKNOWN, 4, None),
        ("multisig", UNKNOWN, 9, None),
        ("delegated", UNKNOWN, 16, Some(0x33)),
        ("placeholder-code", UNKNOWN, 13, Some(0x33)),
        ("existing", ALICE as i64, 4, None),
        ("placeholder-becomes-contract", DAVE as i64, 14, Some(0xDA)),
        ("placeholder-other-address", DAVE as i64, 14, Some(0x33)),
        ("placeholder-no-address", DAVE as i64, 14, None),
        ("largest-id", -1, 4, None),
    ];
    for (name, id, kind, delegated) in cases {
        plans.add(format!("create/{name}"), move |scene| {
            as_init(scene, &creation(id, kind, delegated)).call(INIT, 2, &[]);
        });
    }
    plans.add("create/placeholder-without-address", move |scene| {
        scene.official(5555, "placeholder");
        as_init(scene, &creation(5555, 14, Some(0x33))).call(INIT, 2, &[]);
    });
    plans.add("create/code-nobody-has", move |scene| {
        let guest = Guest::new()
            .data(DATA, empty().to_bytes())
            .sys("actor.create_actor", args![UNKNOWN, DATA, 0, 0])
            .sys("actor.balance_of", args![UNKNOWN]);
        as_init(scene, &guest).call(INIT, 2, &[]);
    });
    plans.add("create/bad-memory", |scene| {
        let guest = Guest::new()
            .sys("actor.get_code_cid_for_type", args![4, BUF, 100])
            .sys("actor.create_actor", args![UNKNOWN, 65536, 0, 0])
            .sys("actor.create_actor", args![UNKNOWN, DATA, 0, 0])
            .sys("actor.create_actor", args![UNKNOWN, BUF, 65536, 3])
            .sys("actor.create_actor", args![UNKNOWN, BUF, DATA, 21])
            .sys("actor.create_actor", args![UNKNOWN, BUF, 0xffff_ffff, 0]);
        as_init(scene, &guest).call(INIT, 2, &[]);
    });
    plans.add("create/read-only", |scene| {
        let guest = Guest::new()
            .sys("actor.get_code_cid_for_type", args![4, BUF, 100])
            .sys("actor.create_actor", args![UNKNOWN, BUF, 0, 0]);
        let caller = call(Guest::new(), INIT, 2, 0, ALL_GAS, READ_ONLY)
            .sys("ipld.block_read", args![1, 0, 0x4000, 64])
            .keep(0x4000, 64);
        scene.guest(GUEST, &caller);
        as_init(scene, &guest).invoke();
    });
    plans.add("create/counts-what-was-reverted", |scene| {
        // The count of created actors, and with it the next address, is not rolled back.
        let creator = Guest::new()
            .sys("actor.get_code_cid_for_type", args![4, BUF, 100])
            .sys("actor.create_actor", args![UNKNOWN, BUF, 0, 0])
            .sys("vm.exit", args![20, 0, 0, 0]);
        let caller = Guest::new().sys("actor.next_actor_address", args![BUF, 100]).keep(BUF, 24);
        let caller = call(caller, INIT, 2, 0, ALL_GAS, 0)
            .sys("actor.next_actor_address", args![BUF, 100])
            .keep(BUF, 24)
            .sys("actor.balance_of", args![UNKNOWN]);
        scene.guest(GUEST, &caller);
        as_init(scene, &creator).invoke();
    });
    plans.add("create/forwarded", |scene| {
        scene.guest(GUEST, &forwarding(0));
        let guest = Guest::new().sys("actor.create_actor", args![UNKNOWN, BUF, 0, 0]);
        scene.guest(GUEST + 1, &guest).invoke();
    });
}
