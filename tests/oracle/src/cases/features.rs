//! What the reference does with its features m2-native and upgrade-actor, which no network has.

use std::rc::Rc;

use cid::Cid;
use fvm_ipld_encoding::{DAG_CBOR, IPLD_RAW};
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use multihash_codetable::{Code, MultihashDigest};

use super::modules;
use super::own::{ALL_GAS, READ_ONLY, call, forwarding, read_only};
use crate::args;
use crate::guest::*;
use crate::keys;
use crate::plan::{Plan, Plans, Versions};
use crate::scene::{ALICE, BOB, CAROL, GUEST, INIT, Scene};

/// An actor with the code that a case is about.
const OTHER: u64 = 3000;
const NEW_ID: i64 = 123_456;

pub fn plans(plans: &mut Plans) {
    plans.group("install", Versions::Two);
    let odd = odd_modules();
    for (name, build) in &odd {
        let build = build.clone();
        plans.add(format!("module/{name}"), move |scene| {
            let code = its_code(scene, &build);
            scene.guest(GUEST, &installing(&code)).invoke();
        });
    }
    for (name, build) in &odd {
        let build = build.clone();
        plans.add(format!("called/{name}"), move |scene| {
            let code = its_code(scene, &build);
            scene.guest(OTHER, &Guest::new()).change(OTHER, |actor| actor.code = code);
            scene.guest(GUEST, &call(Guest::new(), OTHER, 2, 0, ALL_GAS, 0)).invoke();
        });
    }
    install(plans);
    plans.group("upgrade", Versions::Two);
    for (name, build) in &odd {
        let build = build.clone();
        plans.add(format!("to/{name}"), move |scene| {
            let code = its_code(scene, &build);
            scene.guest(GUEST, &upgrading(&code)).invoke().call(GUEST, 3, &[]);
        });
    }
    upgrade(plans);
    stack(plans);
}

type Build = Rc<dyn Fn(&mut Scene)>;

/// The modules of which loading is tried without features: what cannot be compiled, linked, entered, started.
fn odd_modules() -> Vec<(String, Build)> {
    let mut all = Plans::new();
    modules::plans(&mut all);
    let is_odd = |plan: &Plan| {
        let endless = plan.name.contains("endless") || plan.name.contains("100000") || plan.name.contains("100_000");
        (plan.name.starts_with("unloadable/") || plan.name.starts_with("loading/")) && !endless
    };
    all.all.into_iter().filter(is_odd).map(|plan| (plan.name.replace('/', "-"), Rc::from(plan.build))).collect()
}

/// Only the code of the guest that another case is about.
fn its_code(scene: &mut Scene, build: &Build) -> Cid {
    let mut other = Scene::new(scene.bundle, scene.version);
    build(&mut other);
    scene.hold(&other.module_of(GUEST))
}

fn installing(code: &Cid) -> Guest {
    Guest::new()
        .data(DATA, code.to_bytes())
        .sys("actor.install_actor", args![DATA])
        .sys("actor.install_actor", args![DATA])
        .sys("gas.available", args![])
}

fn upgrading(code: &Cid) -> Guest {
    with_self(Guest::new().data(DATA, code.to_bytes()).sys("actor.upgrade_actor", args![DATA, 0]))
}

/// What the actor is now, in the answer.
fn with_self(guest: Guest) -> Guest {
    guest
        .sys("actor.get_actor_code_cid", args![GUEST as i64, BUF, 100])
        .keep(BUF, 40)
        .sys("actor.lookup_delegated_address", args![GUEST as i64, BUF, 100])
        .sys("self.root", args![BUF, 100])
        .keep(BUF, 40)
}

/// What an `upgrade` finds: its context, the old code, the parameters.
fn looking() -> Guest {
    with_self(Guest::new())
        .sys("vm.message_context", args![])
        .sys("ipld.block_stat", args!["(local.get $info)"])
        .sys("ipld.block_read", args!["(local.get $info)", 0, 0x4000, 64])
        .keep(0x4000, 64)
        .sys("ipld.block_stat", args!["(local.get $params)"])
        .sys("ipld.block_read", args!["(local.get $params)", 0, 0x4000, 64])
        .keep(0x4000, 64)
        .sys("self.current_balance", args![])
        .sys("gas.available", args![])
}

fn as_init<'a, 'b>(scene: &'a mut Scene<'b>, guest: &Guest) -> &'a mut Scene<'b> {
    let code = scene.hold(&guest.build());
    scene.init_actor().change(INIT, |actor| actor.code = code)
}

/// Makes a block of a module, and leaves its CID at `BUF`.
fn writing(codec: i64, module: &[u8]) -> Guest {
    Guest::new()
        .data(DATA, module)
        .must("ipld.block_create", args![codec, DATA, module.len() as i64])
        .wat(format!("(i32.store (i32.const 0x2f00) (i32.load (i32.const {RET})))"))
        .must("ipld.block_link", args!["(i32.load (i32.const 0x2f00))", 0xb220, 32, BUF, 100])
        .keep(BUF, 40)
}

fn install(plans: &mut Plans) {
    let small = || Guest::new().sys("vm.message_context", args![]).build();
    plans.add("guest", move |scene| {
        let code = scene.hold(&small());
        scene.guest(GUEST, &installing(&code)).invoke();
    });
    plans.add("sweep", move |scene| {
        let code = scene.hold(&small());
        scene.guest(GUEST, &installing(&code)).invoke();
        scene.sweep = true;
    });
    plans.add("read-only", move |scene| {
        let code = scene.hold(&small());
        read_only(scene, &installing(&code));
    });
    plans.add("missing", |scene| {
        let code = Cid::new_v1(IPLD_RAW, Code::Blake2b256.digest(b"nobody has this"));
        scene.guest(GUEST, &installing(&code)).invoke();
    });
    for name in ["account", "evm", "placeholder", "init"] {
        plans.add(format!("official-{name}"), move |scene| {
            let code = scene.bundle.code(name);
            scene.guest(GUEST, &installing(&code)).invoke();
        });
    }
    for (name, codec) in [("dag-cbor", DAG_CBOR), ("cbor", 0x51)] {
        plans.add(format!("codec-{name}"), move |scene| {
            let code = scene.keyed_block(codec, &small());
            scene.keep(code);
            scene.guest(GUEST, &installing(&code)).invoke();
        });
    }
    for (name, at) in [("outside", 65536), ("crossing", 65520), ("no-cid", DATA), ("huge", 0xffff_ffff)] {
        plans.add(format!("memory-{name}"), move |scene| {
            scene.guest(GUEST, &Guest::new().sys("actor.install_actor", args![at])).invoke();
        });
    }
    plans.add("written", move |scene| {
        let guest = writing(IPLD_RAW as i64, &small()).sys("actor.install_actor", args![BUF]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("written-garbage", |scene| {
        let guest = writing(IPLD_RAW as i64, b"no module").sys("actor.install_actor", args![BUF]);
        scene.guest(GUEST, &guest).invoke();
    });
    for (name, installs) in [("installed", true), ("not-installed", false)] {
        plans.add(format!("created/{name}"), move |scene| {
            let mut guest = writing(IPLD_RAW as i64, &small());
            if installs {
                guest = guest.sys("actor.install_actor", args![BUF]);
            }
            let guest = guest.sys("actor.create_actor", args![NEW_ID, BUF, 0, 0]);
            let guest = call(guest, NEW_ID as u64, 1, 0, ALL_GAS, 0)
                .sys("ipld.block_read", args![3, 0, 0x4000, 64])
                .keep(0x4000, 64);
            as_init(scene, &guest).call(INIT, 4, &[]).call(NEW_ID as u64, 2, &[]);
        });
    }
    plans.add("created/sweep", move |scene| {
        let guest = writing(IPLD_RAW as i64, &small())
            .sys("actor.install_actor", args![BUF])
            .sys("actor.create_actor", args![NEW_ID, BUF, 0, 0]);
        let guest = call(guest, NEW_ID as u64, 1, 0, ALL_GAS, 0);
        as_init(scene, &guest).call(INIT, 4, &[]);
        scene.sweep = true;
    });
    plans.add("created/garbage", |scene| {
        let guest = writing(IPLD_RAW as i64, b"no module")
            .sys("actor.install_actor", args![BUF])
            .sys("actor.create_actor", args![NEW_ID, BUF, 0, 0]);
        let guest = call(guest, NEW_ID as u64, 1, 0, ALL_GAS, 0);
        as_init(scene, &guest).call(INIT, 4, &[]).call(NEW_ID as u64, 2, &[]);
    });
    plans.add("created/by-a-key", |scene| {
        // Accounts that come into being by a send keep what the init actor's state has installed.
        let mut message = scene.draft(ALICE, keys::secp_address(9), 0, &[]);
        message.value = TokenAmount::from_atto(7);
        scene.send(message);
        let mut message = scene.draft(ALICE, keys::eth_address(0x77), 0, &[]);
        message.value = TokenAmount::from_atto(7);
        scene.send(message);
    });
}

fn upgrade(plans: &mut Plans) {
    let to = |new: Guest, params: i64| -> Box<dyn Fn(&mut Scene) -> Guest> {
        let module = new.build();
        Box::new(move |scene| {
            let code = scene.hold(&module);
            with_self(Guest::new().data(DATA, code.to_bytes()).sys("actor.upgrade_actor", args![DATA, params]))
        })
    };
    let invoked = || Guest::new().sys("vm.message_context", args![]);
    let with = |first: Guest| -> Guest {
        let second = first.upgrade();
        with_self(second)
    };
    for (name, body) in [
        ("works", looking()),
        ("nothing", Guest::new()),
        ("exits-0", looking().sys("vm.exit", args![0, 0, 0, 0])),
        ("exits-0-with-old-code", looking().sys("vm.exit", args![0, "(local.get $info)", 0, 0])),
        ("exits-20", looking().sys("vm.exit", args![20, 0, 0, 0])),
        ("exits-20-with-old-code", looking().sys("vm.exit", args![20, "(local.get $info)", 0, 0])),
        ("exits-7", looking().sys("vm.exit", args![7, 0, 0, 0])),
        ("exits-with-words", looking().data(0x200, b"it went wrong").sys("vm.exit", args![33, 0, 0x200, 13])),
        ("exits-with-a-block-of-none", looking().sys("vm.exit", args![20, 99, 0, 0])),
        ("traps", looking().wat("unreachable")),
        ("loops", Guest::new().wat("(loop $l (br $l))")),
        ("returns-nothing", Guest::new().wat("(return (i32.const 0))")),
        ("returns-what-is-none", Guest::new().wat("(return (i32.const 77))")),
        ("returns-the-parameters", Guest::new().wat("(return (local.get $params))")),
        ("returns-the-old-code", Guest::new().wat("(return (local.get $info))")),
        ("writes-the-root", looking().must("self.set_root", args![BUF])),
        ("writes-and-exits-20", looking().must("self.set_root", args![BUF]).sys("vm.exit", args![20, 0, 0, 0])),
        ("creates-blocks", looking().sys("ipld.block_create", args![0x55, DATA, 9])),
        ("opens-the-old-code", looking().sys("ipld.block_open", args![0x4004])),
        ("destroys-itself", looking().sys("self.self_destruct", args![1])),
        ("installs", looking().sys("actor.install_actor", args![0x4004])),
        ("grows-memory", Guest::new().wat("(drop (memory.grow (i32.const 100)))")),
        ("large-memory", Guest::new().memory("300")),
        ("pays", call(looking(), BOB, 0, 5, ALL_GAS, 0)),
        ("calls", call(looking(), CAROL, 2, 0, ALL_GAS, 0)),
    ] {
        let make = to(with(body), 0);
        plans.add(name, move |scene| {
            let first = make(scene);
            scene.guest(GUEST, &first).balance(GUEST, TokenAmount::from_atto(1000));
            scene.invoke().call(GUEST, 2, &[]);
        });
    }
    for (name, params) in [("invalid", 99), ("negative", -1), ("largest", 0x7fff_ffff), ("given", 1)] {
        let make = to(with(looking()), params);
        plans.add(format!("params/{name}"), move |scene| {
            let first = make(scene);
            scene.guest(GUEST, &first).call(GUEST, 2, &[0x83, 1, 2, 3]).call(GUEST, 3, &[]);
        });
    }
    for (name, codec, data) in [
        ("raw", 0x55, b"some bytes".to_vec()),
        ("cbor", 0x51, vec![0x82, 1, 2]),
        ("dag-cbor", 0x71, vec![0x82, 1, 2]),
        ("large", 0x55, vec![7; 2000]),
    ] {
        let module = with(looking()).build();
        plans.add(format!("params/{name}"), move |scene| {
            let code = scene.hold(&module);
            let guest = Guest::new()
                .data(DATA, code.to_bytes())
                .data(0x800, &data)
                .must("ipld.block_create", args![codec, 0x800, data.len() as i64])
                .wat(format!("(i32.store (i32.const 0x2f00) (i32.load (i32.const {RET})))"))
                .sys("actor.upgrade_actor", args![DATA, "(i32.load (i32.const 0x2f00))"]);
            scene.guest(GUEST, &with_self(guest)).invoke().call(GUEST, 3, &[]);
        });
    }
    for (name, body) in [("sweep", looking()), ("sweep-failing", looking().sys("vm.exit", args![20, 0, 0, 0]))] {
        let make = to(with(body), 0);
        plans.add(name, move |scene| {
            let first = make(scene);
            scene.guest(GUEST, &first).invoke();
            scene.sweep = true;
        });
    }
    for name in ["account", "evm", "placeholder", "init", "multisig", "system"] {
        plans.add(format!("to-official-{name}"), move |scene| {
            let code = scene.bundle.code(name);
            scene.guest(GUEST, &upgrading(&code)).invoke();
        });
    }
    plans.add("to-missing-code", |scene| {
        let code = Cid::new_v1(IPLD_RAW, Code::Blake2b256.digest(b"nobody has this"));
        scene.guest(GUEST, &upgrading(&code)).invoke();
    });
    // A result of 64 bits is left out: the reference panics.
    for (name, fields) in [
        ("no-parameter", "(func (export \"upgrade\") (result i32) (i32.const 0))"),
        ("one-parameter", "(func (export \"upgrade\") (param i32) (result i32) (i32.const 0))"),
        ("three-parameters", "(func (export \"upgrade\") (param i32 i32 i32) (result i32) (i32.const 0))"),
        ("64-bits", "(func (export \"upgrade\") (param i64 i64) (result i32) (i32.const 0))"),
        ("no-result", "(func (export \"upgrade\") (param i32 i32))"),
        ("is-a-global", "(global (export \"upgrade\") i32 (i32.const 0))"),
    ] {
        let text = format!(
            "(module (memory (export \"memory\") 1) (func (export \"invoke\") (param i32) (result i32) (i32.const 0)) {fields})"
        );
        plans.add(format!("type/{name}"), move |scene| {
            let code = scene.hold(&module(&text));
            scene.guest(GUEST, &upgrading(&code)).invoke();
        });
        let text = format!("(module (memory (export \"memory\") 1) {fields})");
        plans.add(format!("type/{name}-alone"), move |scene| {
            let code = scene.hold(&module(&text.replace(" (global", " (func) (global")));
            scene.guest(GUEST, &upgrading(&code)).invoke();
        });
    }
    plans.add("only-upgrade", |scene| {
        let text = "(module (memory (export \"memory\") 1) (func (export \"upgrade\") (param i32 i32) (result i32) (i32.const 0)))";
        let code = scene.hold(&module(text));
        scene.guest(GUEST, &upgrading(&code)).invoke().call(GUEST, 2, &[]);
    });
    for (name, at) in [("outside", 65536), ("crossing", 65520), ("no-cid", 0x2000), ("huge", 0xffff_ffff)] {
        plans.add(format!("memory/{name}"), move |scene| {
            scene.guest(GUEST, &with_self(Guest::new().sys("actor.upgrade_actor", args![at, 0]))).invoke();
        });
    }
    let module = with(looking()).build();
    plans.add("memory/result-outside", move |scene| {
        let code = scene.hold(&module);
        let guest = Guest::new().data(DATA, code.to_bytes());
        scene.guest(GUEST, &with_self(guest.sys_ret("actor.upgrade_actor", 65530, args![DATA, 0]))).invoke();
    });
    let module = with(looking()).build();
    plans.add("read-only", move |scene| {
        let code = scene.hold(&module);
        read_only(scene, &upgrading(&code));
    });
    let module = with(looking()).build();
    plans.add("destroyed", move |scene| {
        let code = scene.hold(&module);
        let guest = Guest::new().data(DATA, code.to_bytes()).sys("self.self_destruct", args![1]);
        scene.guest(GUEST, &guest.sys("actor.upgrade_actor", args![DATA, 0])).invoke();
    });
    let module = with(looking()).build();
    plans.add("delegated-address", move |scene| {
        let code = scene.hold(&module);
        scene.guest(GUEST, &upgrading(&code));
        scene.change(GUEST, |actor| actor.delegated_address = Some(keys::eth_address(0x55)));
        scene.invoke().call(GUEST, 2, &[]);
    });
    let module = with(invoked()).build();
    plans.add("with-value", move |scene| {
        let code = scene.hold(&module);
        scene.guest(GUEST, &upgrading(&code));
        let mut message = scene.draft(ALICE, Address::new_id(GUEST), 2, &[]);
        message.value = TokenAmount::from_whole(3);
        scene.send(message);
    });
    for gas in [1, 1_000_000, 3_000_000, 5_000_000, 10_000_000] {
        let module = with(looking()).build();
        plans.add(format!("within-gas-{gas}"), move |scene| {
            let code = scene.hold(&module);
            scene.guest(GUEST, &upgrading(&code));
            scene.guest(OTHER, &call(Guest::new(), GUEST, 2, 0, gas, 0)).call(OTHER, 2, &[]).call(GUEST, 3, &[]);
        });
    }
}

/// Who is at work while an actor upgrades itself.
fn stack(plans: &mut Plans) {
    plans.add("stack/caller", |scene| {
        let code = scene.hold(&with_self(looking().upgrade()).build());
        scene.guest(GUEST, &upgrading(&code)).guest(OTHER, &forwarding_to(GUEST)).call(OTHER, 2, &[]);
    });
    // GUEST calls OTHER, which calls GUEST, or it calls itself: the inner call would upgrade.
    for (name, to, method) in [("called-around", OTHER, 2), ("calls-itself", GUEST, 3)] {
        plans.add(format!("stack/{name}"), move |scene| {
            let code = scene.hold(&with_self(looking().upgrade()).build());
            let guest = Guest::new()
                .data(DATA, code.to_bytes())
                .sys("vm.message_context", args![])
                .wat(format!("(if (i64.eq (i64.load (i32.const {})) (i64.const 3)) (then", RET + 32))
                .sys("actor.upgrade_actor", args![DATA, 0])
                .wat(") (else");
            let guest = call(guest, to, method, 0, ALL_GAS, 0).wat("))");
            scene.guest(GUEST, &with_self(guest)).guest(OTHER, &calling(GUEST, 3)).invoke();
        });
    }
    for times in [1, 2] {
        plans.add(format!("stack/upgrade-in-upgrade-{times}"), move |scene| {
            let mut module = with_self(looking().upgrade()).build();
            for _ in 0..times {
                let code = scene.hold(&module);
                let again = Guest::new().data(0x600, code.to_bytes()).sys("actor.upgrade_actor", args![0x600, 0]);
                module = with_self(with_self(again).upgrade()).build();
            }
            let code = scene.hold(&module);
            scene.guest(GUEST, &upgrading(&code)).invoke().call(GUEST, 2, &[]);
        });
    }
    plans.add("stack/upgrade-called-around", |scene| {
        // The `upgrade` calls OTHER, which calls GUEST: its method upgrades once more.
        let last = scene.hold(&with_self(looking().upgrade()).build());
        let entered = call(Guest::new(), OTHER, 2, 0, ALL_GAS, 0)
            .sys("ipld.block_read", args![3, 0, 0x4000, 200])
            .keep(0x4000, 200)
            .upgrade()
            .data(DATA, last.to_bytes())
            .sys("actor.upgrade_actor", args![DATA, 0]);
        let code = scene.hold(&with_self(entered).build());
        scene.guest(GUEST, &upgrading(&code)).guest(OTHER, &calling(GUEST, 3)).invoke().call(GUEST, 2, &[]);
    });
    plans.add("stack/endless", |scene| {
        // An `upgrade` to the code that it is itself, which is at a place that the state names.
        let guest = Guest::new()
            .must("actor.get_actor_code_cid", args![GUEST as i64, BUF, 100])
            .sys("actor.upgrade_actor", args![BUF, 0])
            .upgrade()
            .must("actor.get_actor_code_cid", args![GUEST as i64, BUF, 100])
            .sys("actor.upgrade_actor", args![BUF, 0]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("stack/other-upgrades-and-fails", |scene| {
        let code = scene.hold(&with_self(looking().upgrade()).build());
        let fails = call(Guest::new(), OTHER, 2, 0, ALL_GAS, 0).sys("vm.exit", args![20, 0, 0, 0]);
        scene.guest(OTHER, &only_upgrading(&code)).guest(GUEST, &fails).invoke().call(OTHER, 2, &[]);
    });
    plans.add("stack/in-a-read-only-call-further-out", |scene| {
        let code = scene.hold(&with_self(looking().upgrade()).build());
        scene.guest(GUEST, &forwarding(READ_ONLY)).guest(GUEST + 1, &only_upgrading(&code)).invoke();
    });
}

fn only_upgrading(code: &Cid) -> Guest {
    Guest::new().data(DATA, code.to_bytes()).sys("actor.upgrade_actor", args![DATA, 0])
}

fn calling(to: u64, method: i64) -> Guest {
    call(Guest::new(), to, method, 0, ALL_GAS, 0).sys("ipld.block_read", args![1, 0, 0x4000, 200]).keep(0x4000, 200)
}

fn forwarding_to(to: u64) -> Guest {
    calling(to, 2)
}
