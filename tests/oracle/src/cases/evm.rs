//! The official EVM actor: contracts from Solidity, opcodes one by one, contracts and native guests that call each other.

use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use multihash_codetable::{Code, MultihashDigest};

use super::own::ALL_GAS;
use crate::args;
use crate::cbor::{array, bytes, number};
use crate::guest::*;
use crate::plan::{Plans, Versions};
use crate::scene::{ALICE, BOB, CAROL, DAVE, EAM, EPOCH, GUEST, NEXT_ID, Scene};

const CREATE_EXTERNAL: u64 = 4;
const INVOKE: u64 = 3_844_450_837;

pub fn plans(plans: &mut Plans) {
    plans.group("evm", Versions::All);
    creation(plans);
    solidity(plans);
    opcodes(plans);
    precompiles(plans);
    between(plans);
}

// --- building blocks -------------------------------------------------------------------------------------------------

fn hex(text: &str) -> Vec<u8> {
    let text = text.trim();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}

const COUNTER: &str = include_str!("../../contracts/Counter.hex");
const INBOX: &str = include_str!("../../contracts/Inbox.hex");
const BRIDGE: &str = include_str!("../../contracts/Bridge.hex");
const RECURSION: &str = include_str!("../../contracts/Recursion.hex");

/// Creation code that installs `code`.
fn install(code: &[u8]) -> Vec<u8> {
    let length = (code.len() as u16).to_be_bytes();
    [&[0x61], length.as_slice(), &[0x80, 0x60, 12, 0x60, 0, 0x39, 0x60, 0, 0xf3], code].concat()
}

/// An Ethereum word.
fn word(value: u128) -> Vec<u8> {
    [[0; 16], value.to_be_bytes()].concat()
}

/// A word with an actor's masked address.
fn masked(id: u64) -> Vec<u8> {
    [[0u8; 12].as_slice(), &[0xff], &[0; 11], &id.to_be_bytes()].concat()
}

/// Bytes as the only dynamic argument after `fixed` words.
fn tail(content: &[u8]) -> Vec<u8> {
    let padding = vec![0; content.len().next_multiple_of(32) - content.len()];
    [word(content.len() as u128).as_slice(), content, &padding].concat()
}

fn selector(signature: &str) -> Vec<u8> {
    Code::Keccak256.digest(signature.as_bytes()).digest()[..4].to_vec()
}

fn calldata(signature: &str, arguments: &[Vec<u8>]) -> Vec<u8> {
    [selector(signature), arguments.concat()].concat()
}

/// Carol's contract; the first has the next free ID.
fn deploy(scene: &mut Scene, creation: &[u8]) {
    from(scene, CAROL, EAM, CREATE_EXTERNAL, &bytes(creation), 0);
}

fn from(scene: &mut Scene, sender: u64, to: u64, method: u64, params: &[u8], value: u128) {
    let mut message = scene.draft(sender, Address::new_id(to), method, params);
    message.value = TokenAmount::from_atto(value);
    scene.send(message);
}

/// Carol calls the first contract.
fn ask(scene: &mut Scene, input: &[u8]) {
    from(scene, CAROL, NEXT_ID, INVOKE, &bytes(input), 0);
}

// --- creation --------------------------------------------------------------------------------------------------------

fn creation(plans: &mut Plans) {
    for (name, sender) in [("ethaccount", CAROL), ("placeholder", DAVE), ("secp", ALICE), ("bls", BOB)] {
        plans.add(format!("create/by-{name}"), move |scene| {
            from(scene, sender, EAM, CREATE_EXTERNAL, &bytes(&hex(COUNTER)), 0);
            from(scene, sender, EAM, CREATE_EXTERNAL, &bytes(&install(&[0])), 5);
        });
    }
    plans.add("create/codes", |scene| {
        for code in [vec![], vec![0], vec![0xef], vec![0xef, 0], vec![0x5b; 100], vec![0xfe]] {
            deploy(scene, &install(&code));
        }
    });
    plans.add("create/largest", |scene| {
        deploy(scene, &install(&[0x5b; 24_576]));
        deploy(scene, &install(&[0x5b; 24_577]));
    });
    plans.add("create/failing", |scene| {
        for code in ["", "fe", "60006000fd", "6001600055600160005560206000fd", "56", "600160021c600a56", "5f5ffd"] {
            deploy(scene, &hex(code));
        }
        scene
            .call(EAM, CREATE_EXTERNAL, &[])
            .call(EAM, CREATE_EXTERNAL, b"\x80")
            .call(EAM, 2, b"\x80")
            .call(EAM, 3, b"\x80");
    });
    plans.add("create/by-a-guest", |scene| {
        let params = bytes(&install(&[0]));
        let guest = Guest::new()
            .data(DATA, &params)
            .data(0x240, Address::new_id(EAM).to_bytes())
            .must("ipld.block_create", args![0x51, DATA, params.len() as i64])
            .sys("send.send", args![0x240, 2, CREATE_EXTERNAL as i64, 1, 0, 0, ALL_GAS, 0]);
        scene.guest(GUEST, &guest).invoke();
    });
    for (name, sender) in [("ethaccount", CAROL), ("placeholder", DAVE)] {
        plans
            .add(format!("create/swept-{name}"), move |scene| {
                from(scene, sender, EAM, CREATE_EXTERNAL, &bytes(&install(&[0x60, 1, 0x60, 0, 0x55])), 0);
                scene.sweep = true;
            })
            .versions(if name == "ethaccount" { &[21, 28] } else { &[28] });
    }
}

fn solidity(plans: &mut Plans) {
    plans.add("solidity/counter", |scene| {
        deploy(scene, &hex(COUNTER));
        scene.settle();
        ask(scene, &calldata("number()", &[]));
        ask(scene, &calldata("increment()", &[]));
        ask(scene, &calldata("setNumber(uint256)", &[word(u128::MAX)]));
        ask(scene, &calldata("increment()", &[]));
        ask(scene, &calldata("number()", &[]));
        ask(scene, &calldata("setNumber(uint256)", &[word(0)]));
        ask(scene, &calldata("noSuchMethod()", &[]));
        ask(scene, &calldata("setNumber(uint256)", &[]));
        from(scene, CAROL, NEXT_ID, INVOKE, &bytes(&selector("increment()")), 1);
        scene.call(NEXT_ID, INVOKE, &bytes(&selector("increment()"))).call(NEXT_ID, INVOKE, &[]);
    });
    plans.add("solidity/counter-methods", |scene| {
        deploy(scene, &hex(COUNTER));
        scene.settle();
        scene.call(NEXT_ID, 3, &[]).call(NEXT_ID, 4, &[]).call(NEXT_ID, 5, &array(&[bytes(&word(0))])).call(
            NEXT_ID,
            0,
            &[],
        );
        scene.call(NEXT_ID, 1, &[]).call(NEXT_ID, 2, &[]).call(NEXT_ID, 6, &[]).call(NEXT_ID, 1024, &[]).call(
            NEXT_ID,
            1 << 30,
            b"\x01",
        );
        from(scene, CAROL, NEXT_ID, 0, &[], 17);
        scene.implicit(0, NEXT_ID, 5, &array(&[bytes(&word(0))]));
    });
    plans.add("solidity/inbox", |scene| {
        deploy(scene, &hex(INBOX));
        scene.settle();
        from(scene, CAROL, NEXT_ID, INVOKE, &bytes(&calldata("greet(string)", &[word(32), tail(b"hello")])), 1000);
        ask(scene, &calldata("greetings()", &[]));
        ask(scene, &calldata("refuse(string)", &[word(32), tail(b"no reason")]));
        scene.call(NEXT_ID, 1 << 25, b"\x82\x01\x02").call(NEXT_ID, 1_000_946_503, &[]).call(NEXT_ID, 1500, &[]);
    });
    plans.add("solidity/recursion", |scene| {
        deploy(scene, &hex(RECURSION));
        scene.settle();
        for depth in [0u128, 1, 5, 40] {
            ask(scene, &calldata("dive(uint64)", &[word(depth)]));
        }
    });
    plans
        .add("solidity/recursion-to-the-end", |scene| {
            deploy(scene, &hex(RECURSION));
            scene.settle();
            ask(scene, &calldata("dive(uint64)", &[word(2000)]));
        })
        .versions(&[28]);
    plans
        .add("solidity/counter-swept", |scene| {
            deploy(scene, &hex(COUNTER));
            scene.settle();
            ask(scene, &calldata("increment()", &[]));
            scene.sweep = true;
        })
        .versions(&[21, 25, 28]);
    plans
        .add("solidity/inbox-swept", |scene| {
            deploy(scene, &hex(INBOX));
            scene.settle();
            ask(scene, &calldata("greet(string)", &[word(32), tail(b"hello")]));
            scene.sweep = true;
        })
        .versions(&[24, 28]);
}

// --- opcodes ---------------------------------------------------------------------------------------------------------

/// A contract that computes the operations on the words of its input and returns the top of the stack.
fn operations(rows: &[(&'static str, u8, &[u128])]) -> Vec<(&'static str, Vec<u8>)> {
    let run = |(name, opcode, operands): &(&'static str, u8, &[u128])| {
        let mut code = Vec::new();
        for operand in operands.iter().rev() {
            code.push(0x7f);
            code.extend(word(*operand));
        }
        code.push(*opcode);
        (*name, code)
    };
    rows.iter().map(run).collect()
}

const STORE_AND_RETURN: &[u8] = &[0x60, 0, 0x52, 0x60, 0x20, 0x60, 0, 0xf3];

fn opcodes(plans: &mut Plans) {
    let rows = operations(&[
        ("add", 0x01, &[u128::MAX, 1]),
        ("mul", 0x02, &[u128::MAX, u128::MAX]),
        ("sub", 0x03, &[1, 2]),
        ("div", 0x04, &[100, 7]),
        ("sdiv", 0x05, &[100, 7]),
        ("mod", 0x06, &[100, 7]),
        ("addmod", 0x08, &[u128::MAX, 5, 7]),
        ("mulmod", 0x09, &[u128::MAX, u128::MAX, 13]),
        ("exp", 0x0a, &[3, 200]),
        ("signextend", 0x0b, &[0, 0xff]),
        ("lt", 0x10, &[1, 2]),
        ("slt", 0x12, &[1, 2]),
        ("eq", 0x14, &[7, 7]),
        ("iszero", 0x15, &[0]),
        ("and", 0x16, &[12, 10]),
        ("not", 0x19, &[0]),
        ("byte", 0x1a, &[31, 0xab]),
        ("shl", 0x1b, &[4, 1]),
        ("sar", 0x1d, &[4, 256]),
        ("clz", 0x1e, &[1]),
        ("keccak", 0x20, &[0, 100]),
        ("address", 0x30, &[]),
        ("balance-of-masked", 0x31, &[]),
        ("origin", 0x32, &[]),
        ("caller", 0x33, &[]),
        ("callvalue", 0x34, &[]),
        ("calldatasize", 0x36, &[]),
        ("codesize", 0x38, &[]),
        ("gasprice", 0x3a, &[]),
        ("returndatasize", 0x3d, &[]),
        ("blockhash-previous", 0x40, &[EPOCH as u128 - 1]),
        ("blockhash-old", 0x40, &[EPOCH as u128 - 300]),
        ("blockhash-future", 0x40, &[EPOCH as u128 + 1]),
        ("coinbase", 0x41, &[]),
        ("timestamp", 0x42, &[]),
        ("number", 0x43, &[]),
        ("prevrandao", 0x44, &[]),
        ("gaslimit", 0x45, &[]),
        ("chainid", 0x46, &[]),
        ("selfbalance", 0x47, &[]),
        ("basefee", 0x48, &[]),
        ("blobhash", 0x49, &[0]),
        ("blobbasefee", 0x4a, &[]),
        ("pc", 0x58, &[]),
        ("msize", 0x59, &[]),
        ("gas", 0x5a, &[]),
        ("push0", 0x5f, &[]),
        ("tload", 0x5c, &[1]),
        ("sload", 0x54, &[1]),
        ("mload-far", 0x51, &[100_000]),
        ("extcodesize-of-self", 0x3b, &[]),
        ("undefined", 0x0c, &[]),
    ]);
    for (name, mut code) in rows {
        if name == "balance-of-masked" || name == "extcodesize-of-self" {
            let operand = if name == "balance-of-masked" { [vec![0x7f], masked(ALICE)].concat() } else { vec![0x30] };
            code = [operand, code].concat();
        }
        code.extend(STORE_AND_RETURN);
        plans.add(format!("opcode/{name}"), move |scene| {
            scene.world.tipsets.insert(EPOCH - 1, super::ipld::blake(0x71, b"previous tipset"));
            deploy(scene, &install(&code));
            scene.settle();
            from(scene, CAROL, NEXT_ID, INVOKE, &bytes(&word(5)), 3);
        });
    }
    // Sequences, in the assembler's own words: each is a contract that is called once.
    let rows: Vec<(&str, &str)> = vec![
        ("storage", "6001600055600260015560005460015401600052602060 00f3"),
        ("storage-cleared", "600160005560006000555f5460005260206000f3"),
        ("storage-many", "60205b80805560019003806002575f54600052602060 00f3"),
        ("transient", "60056001 5d60015c60005260206000f3"),
        ("memory-copy", "60ff60005260206000602 05e60205160005260206000f3"),
        ("log-0", "60ff60005260206000a0"),
        ("log-4", "60ff6000526004600360026001602060 00a4"),
        ("return-large", "6110006000f3"),
        ("return-nothing", "00"),
        ("revert-with-data", "60ff60005260206000fd"),
        ("invalid", "fe"),
        ("bad-jump", "600356"),
        ("stack-underflow", "01"),
        ("stack-overflow", "5b6001600056"),
        ("endless", "5b600056"),
        ("create", "69600160005360016000f3600052600a60166000f060005260206000f3"),
        ("create-empty", "600060006000f060005260206000f3"),
        ("create-2", "602a600060006000f560005260206000f3"),
        ("create-2-twice", "602a600060006000f550602a600060006000f560005260206000f3"),
        ("create-with-value", "600060006002f060005260206000f3"),
        ("self-call", "60006000600060006000305af160005260206000f3"),
        ("self-delegatecall", "6000600060006000305af460005260206000f3"),
        ("self-staticcall", "6000600060006000305afa60005260206000f3"),
        ("self-destruct", "33ff"),
        ("self-destruct-to-self", "30ff"),
        ("self-destruct-to-nobody", "6099ff"),
        ("call-nobody", "6000600060006000600062aabbcc5af160005260206000f3"),
        ("call-nobody-with-value", "6000600060006000600162aabbcc5af160005260206000f3"),
        ("call-with-little-gas", "60006000600060006000306103e8f160005260206000f3"),
        ("code-copied", "600a600060003960005160005260206000f3"),
        ("data-copied", "602060006000 3760005160005260206000f3"),
        ("data-returned-too-much", "6020600060003e"),
    ];
    for (name, text) in rows {
        let code = hex(&text.replace(' ', ""));
        let plan = plans.add(format!("sequence/{name}"), move |scene| {
            deploy(scene, &install(&code));
            scene.settle();
            for value in [0, 5] {
                from(scene, CAROL, NEXT_ID, INVOKE, &bytes(&word(9)), value);
                scene.gas_limit(if name == "endless" { 50_000_000 } else { 5_000_000_000 });
            }
        });
        if ["self-call", "self-delegatecall", "self-staticcall"].contains(&name) {
            plan.versions(&[21, 28]); // a thousand frames deep
        }
    }
}

// --- precompiles and neighbours --------------------------------------------------------------------------------------

/// A contract that hands its input to an address and returns what comes back, after one byte of success.
fn forward(opcode: u8, to: &[u8], value: u8) -> Vec<u8> {
    let mut code = hex("3660006000 37".replace(' ', "").as_str());
    code.extend([0x60, 0, 0x60, 0, 0x36, 0x60, 0]);
    if opcode == 0xf1 {
        code.extend([0x60, value]);
    }
    code.push(0x73);
    code.extend(to);
    code.extend([0x5a, opcode, 0x60, 0, 0x53, 0x3d, 0x60, 0, 0x60, 1, 0x3e, 0x60, 1, 0x3d, 0x01, 0x60, 0, 0xf3]);
    code
}

fn precompiles(plans: &mut Plans) {
    let at = |number: u16| [[0u8; 18].as_slice(), &number.to_be_bytes()].concat();
    let filecoin = |number: u8| [[0xfe].as_slice(), &[0; 18], &[number]].concat();
    let digest = Code::Sha2_256.digest(b"recover me").digest().to_vec();
    let signature = crate::keys::secp_sign_digest(1, &digest);
    let recover = [digest.as_slice(), &word(27 + u128::from(signature[64])), &signature[..64]].concat();
    let modular = [word(1), word(1), word(1), vec![3, 5, 7]].concat();
    let rows: Vec<(&str, u8, Vec<u8>, Vec<u8>)> = vec![
        ("recover", 0xfa, at(1), recover),
        ("recover-nothing", 0xfa, at(1), vec![]),
        ("sha256", 0xfa, at(2), b"abc".to_vec()),
        ("ripemd160", 0xfa, at(3), b"abc".to_vec()),
        ("identity", 0xfa, at(4), b"abcdef".to_vec()),
        ("modexp", 0xfa, at(5), modular),
        ("bn-add", 0xfa, at(6), vec![]),
        ("bn-mul", 0xfa, at(7), [word(1), word(2), word(3)].concat()),
        ("bn-pairing", 0xfa, at(8), vec![]),
        ("blake2f-short", 0xfa, at(9), vec![1]),
        ("kzg", 0xfa, at(10), vec![0; 192]),
        ("bls-g1-add", 0xfa, at(11), vec![0; 256]),
        ("bls-map", 0xfa, at(16), vec![0; 64]),
        ("p256", 0xfa, at(0x100), vec![0; 160]),
        ("resolve-address", 0xfa, filecoin(1), crate::keys::secp_address(1).to_bytes()),
        ("resolve-nobody", 0xfa, filecoin(1), crate::keys::secp_address(9).to_bytes()),
        ("delegated-address", 0xfa, filecoin(2), word(u128::from(CAROL))),
        ("delegated-address-of-none", 0xfa, filecoin(2), word(u128::from(ALICE))),
        ("actor-type", 0xfa, filecoin(4), word(u128::from(ALICE))),
        ("actor-type-of-nobody", 0xfa, filecoin(4), word(999_999)),
        ("beacon", 0xfa, filecoin(6), word(EPOCH as u128 - 5)),
        ("unknown-filecoin", 0xfa, filecoin(0x77), vec![]),
    ];
    for (name, opcode, to, input) in rows {
        plans.add(format!("precompile/{name}"), move |scene| {
            deploy(scene, &install(&forward(opcode, &to, 0)));
            scene.settle();
            ask(scene, &input);
        });
    }
    let call_actor = |method: u128, value: u128, flags: u128, codec: u128, params: &[u8], actor: u64| {
        let fixed = [word(method), word(value), word(flags), word(codec), word(192), word(u128::from(actor))].concat();
        [fixed, tail(params)].concat()
    };
    let rows: Vec<(&str, u8, Vec<u8>)> = vec![
        ("bare", 0xf4, call_actor(0, 2, 0, 0, &[], ALICE)),
        ("guest", 0xf4, call_actor(1 << 25, 2, 0, 0x51, b"\x82\x01\x02", GUEST)),
        ("guest-raw", 0xf4, call_actor(1 << 25, 0, 0, 0x55, b"raw", GUEST)),
        ("guest-read-only", 0xf4, call_actor(1 << 25, 0, 1, 0, &[], GUEST)),
        ("low-method", 0xf4, call_actor(2, 0, 0, 0, &[], ALICE)),
        ("nobody", 0xf4, call_actor(1 << 25, 0, 0, 0, &[], 999_999)),
        ("bad-flags", 0xf4, call_actor(1 << 25, 0, 9, 0, &[], GUEST)),
        ("bad-codec", 0xf4, call_actor(1 << 25, 0, 0, 0x70, b"x", GUEST)),
        ("too-much-value", 0xf4, call_actor(1 << 25, 1 << 100, 0, 0, &[], GUEST)),
        ("not-delegated", 0xf1, call_actor(1 << 25, 0, 0, 0, &[], GUEST)),
        ("short-input", 0xf4, vec![1, 2, 3]),
        ("datacap-name", 0xf4, call_actor(48_890_204, 0, 0, 0, &[], 7)),
    ];
    for (name, opcode, input) in rows {
        plans.add(format!("call-actor/{name}"), move |scene| {
            scene.guest(GUEST, &Guest::new().sys("vm.message_context", args![]));
            deploy(scene, &install(&forward(opcode, &filecoin(5), 0)));
            scene.settle();
            from(scene, CAROL, NEXT_ID, INVOKE, &bytes(&input), 10);
        });
    }
}

fn between(plans: &mut Plans) {
    plans.add("between/bridge-and-guest", |scene| {
        let guest = Guest::new()
            .sys("vm.message_context", args![])
            .sys("ipld.block_read", args!["(local.get $params)", 0, 0x4000, 20])
            .keep(0x4000, 20);
        scene.guest(GUEST, &guest);
        deploy(scene, &hex(BRIDGE));
        scene.settle();
        let native = |method: u128, params: &[u8]| {
            calldata(
                "callNative(uint64,uint64,bytes)",
                &[word(u128::from(GUEST)), word(method), word(96), tail(params)],
            )
        };
        from(scene, CAROL, NEXT_ID, INVOKE, &bytes(&native(1 << 25, b"\x43abc")), 50);
        ask(scene, &native(1 << 25, b""));
        ask(scene, &native(3, b""));
    });
    plans.add("between/guest-calls-contract", |scene| {
        deploy(scene, &hex(INBOX));
        scene.settle();
        let params = bytes(&calldata("greet(string)", &[word(32), tail(b"from a guest")]));
        let guest = Guest::new()
            .data(DATA, &params)
            .data(0x240, Address::new_id(NEXT_ID).to_bytes())
            .must("ipld.block_create", args![0x51, DATA, params.len() as i64])
            .sys("send.send", args![0x240, 3, INVOKE as i64, 1, 0, 7, ALL_GAS, 0])
            .sys("send.send", args![0x240, 3, 1 << 26, 1, 0, 0, ALL_GAS, 0])
            .sys("send.send", args![0x240, 3, 1 << 26, 0, 0, 0, ALL_GAS, 1])
            .sys("send.send", args![0x240, 3, 5, 1, 0, 0, ALL_GAS, 0]);
        let guest = (2..=4)
            .fold(guest, |guest, block| guest.sys("ipld.block_read", args![block, 0, 0x4000, 64]).keep(0x4000, 64));
        scene.guest(GUEST, &guest).balance(GUEST, TokenAmount::from_atto(100)).invoke();
    });
    plans.add("between/contracts", |scene| {
        // The second contract calls the first: by its masked ID, and by its own address.
        deploy(scene, &hex(COUNTER));
        let first = [[0xff].as_slice(), &[0; 11], &NEXT_ID.to_be_bytes()].concat();
        deploy(scene, &install(&forward(0xf1, &first, 0)));
        deploy(scene, &install(&forward(0xfa, &first, 0)));
        deploy(scene, &install(&forward(0xf4, &first, 0)));
        scene.settle();
        for contract in 1..=3 {
            for call in ["increment()", "number()"] {
                from(scene, CAROL, NEXT_ID + contract, INVOKE, &bytes(&selector(call)), 0);
            }
        }
    });
    plans.add("between/to-native-by-masked-id", |scene| {
        let to = |id: u64| [[0xff].as_slice(), &[0; 11], &id.to_be_bytes()].concat();
        scene.guest(GUEST, &Guest::new().sys("vm.message_context", args![]));
        for (target, value) in [(GUEST, 0), (GUEST, 1), (ALICE, 1), (DAVE, 1), (987_654, 1)] {
            deploy(scene, &install(&forward(0xf1, &to(target), value)));
        }
        scene.settle();
        for contract in 0..5 {
            from(scene, CAROL, NEXT_ID + contract, INVOKE, &bytes(b"input"), 3);
        }
    });
    plans.add("between/to-new-addresses", |scene| {
        for value in [0, 1] {
            deploy(scene, &install(&forward(0xf1, &[0x5a; 20], value)));
        }
        scene.settle();
        for contract in 0..2 {
            from(scene, CAROL, NEXT_ID + contract, INVOKE, &bytes(&[]), 3);
        }
    });
    plans.add("between/gas-left", |scene| {
        // What a contract sees as gas left, and how little a message may have.
        deploy(scene, &install(&[&[0x5a], STORE_AND_RETURN].concat()));
        scene.settle();
        for limit in [3_000_000u64, 10_000_000, 10_000_000_000] {
            ask(scene, &number(0));
            scene.gas_limit(limit);
        }
    });
    plans
        .add("between/bridge-swept", |scene| {
            scene.guest(GUEST, &Guest::new().sys("vm.message_context", args![]));
            deploy(scene, &install(&forward(0xf1, &[[0xff].as_slice(), &[0; 11], &GUEST.to_be_bytes()].concat(), 1)));
            scene.settle();
            from(scene, CAROL, NEXT_ID, INVOKE, &bytes(b"input"), 3);
            scene.sweep = true;
        })
        .versions(&[28]);
}
