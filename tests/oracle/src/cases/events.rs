//! Events: what an entry may hold, what it costs, and the root of all events of a message.

use super::own::{ALL_GAS, call, read_only};
use crate::args;
use crate::guest::*;
use crate::plan::{Plans, Versions};
use crate::scene::{GUEST, Scene};
use fvm_shared::econ::TokenAmount;

pub fn plans(plans: &mut Plans) {
    plans.group("events", Versions::Two);
    accepted(plans);
    refused(plans);
    places(plans);
    roots(plans);
}

const RAW: u64 = 0x55;
const CBOR: u64 = 0x51;
const ENTRIES: i64 = 0x400;
const KEYS: i64 = 0x2000;
const VALUES: i64 = 0x8000;

/// One entry as the guest lays it out: flags, codec, lengths of key and value.
fn entry(flags: u64, codec: u64, key: u32, value: u32) -> Vec<u8> {
    [flags.to_le_bytes().as_slice(), &codec.to_le_bytes(), &key.to_le_bytes(), &value.to_le_bytes()].concat()
}

/// A guest that emits one event of these entries, keys and values.
fn emitter(entries: &[Vec<u8>], keys: &[u8], values: &[u8]) -> Guest {
    emit(
        Guest::new().data(ENTRIES, entries.concat()).data(KEYS, keys).data(VALUES, values),
        entries.len(),
        keys.len(),
        values.len(),
    )
}

fn emit(guest: Guest, entries: usize, keys: usize, values: usize) -> Guest {
    let lengths = [entries as i64, keys as i64, values as i64];
    guest.sys("event.emit_event", args![ENTRIES, lengths[0], KEYS, lengths[1], VALUES, lengths[2]])
}

fn run(scene: &mut Scene, entries: &[Vec<u8>], keys: &[u8], values: &[u8]) {
    scene.guest(GUEST, &emitter(entries, keys, values)).invoke();
}

fn accepted(plans: &mut Plans) {
    let rows: Vec<(&str, Vec<Vec<u8>>, Vec<u8>, Vec<u8>)> = vec![
        ("no-entries", vec![], vec![], vec![]),
        ("one", vec![entry(3, RAW, 3, 5)], b"key".to_vec(), b"value".to_vec()),
        ("cbor", vec![entry(1, CBOR, 1, 2)], b"k".to_vec(), b"\x41\x01".to_vec()),
        ("cbor-that-is-none", vec![entry(0, CBOR, 1, 2)], b"k".to_vec(), b"\xff\xff".to_vec()),
        ("empty-key-and-value", vec![entry(0, RAW, 0, 0)], vec![], vec![]),
        ("two-alike", vec![entry(3, RAW, 1, 1), entry(3, RAW, 1, 1)], b"aa".to_vec(), b"bb".to_vec()),
        ("four-like-evm", (0..4).map(|_| entry(3, RAW, 2, 32)).collect(), b"t1t2t3d0".to_vec(), vec![7; 128]),
        ("unicode-keys", vec![entry(0, RAW, 2, 0), entry(0, RAW, 4, 0)], "ä😀".as_bytes().to_vec(), vec![]),
        ("longest-key", vec![entry(0, RAW, 31, 0)], vec![b'k'; 31], vec![]),
        ("largest-value", vec![entry(0, RAW, 1, 8192)], b"k".to_vec(), vec![1; 8192]),
        ("largest-values", vec![entry(0, RAW, 1, 8000), entry(0, RAW, 0, 192)], b"k".to_vec(), vec![1; 8192]),
        ("most-entries", (0..255).map(|_| entry(0, RAW, 1, 1)).collect(), vec![b'k'; 255], vec![1; 255]),
        ("value-of-23", vec![entry(0, RAW, 1, 23)], b"k".to_vec(), vec![1; 23]),
        ("value-of-24", vec![entry(0, RAW, 1, 24)], b"k".to_vec(), vec![1; 24]),
        ("value-of-256", vec![entry(0, RAW, 1, 256)], b"k".to_vec(), vec![1; 256]),
    ];
    for (name, entries, keys, values) in rows {
        plans.add(format!("accepted/{name}"), move |scene| run(scene, &entries, &keys, &values));
    }
    for flags in 0..4 {
        plans.add(format!("accepted/flags-{flags}"), move |scene| run(scene, &[entry(flags, RAW, 1, 1)], b"k", b"v"));
    }
}

fn refused(plans: &mut Plans) {
    let rows: Vec<(&str, Vec<Vec<u8>>, Vec<u8>, Vec<u8>)> = vec![
        ("too-many-entries", (0..256).map(|_| entry(0, RAW, 0, 0)).collect(), vec![], vec![]),
        ("values-too-large", vec![entry(0, RAW, 0, 8192)], vec![], vec![1; 8193]),
        ("value-too-large", vec![entry(0, RAW, 0, 8193)], vec![], vec![1; 8192]),
        ("value-huge", vec![entry(0, RAW, 0, u32::MAX)], vec![], vec![1; 8]),
        ("key-too-long", vec![entry(0, RAW, 32, 0)], vec![b'k'; 32], vec![]),
        ("key-huge", vec![entry(0, RAW, u32::MAX, 0)], vec![b'k'; 32], vec![]),
        ("key-beyond", vec![entry(0, RAW, 4, 0)], b"key".to_vec(), vec![]),
        ("key-left-over", vec![entry(0, RAW, 2, 0)], b"key".to_vec(), vec![]),
        ("keys-without-entries", vec![], b"key".to_vec(), vec![]),
        ("value-beyond", vec![entry(0, RAW, 0, 4)], vec![], b"val".to_vec()),
        ("value-left-over", vec![entry(0, RAW, 0, 2)], vec![], b"val".to_vec()),
        ("values-without-entries", vec![], vec![], b"val".to_vec()),
        ("bad-utf8", vec![entry(0, RAW, 2, 0)], vec![0xff, 0xfe], vec![]),
        ("cut-character", vec![entry(0, RAW, 1, 0), entry(0, RAW, 1, 0)], "ä".as_bytes().to_vec(), vec![]),
        ("flags-4", vec![entry(4, RAW, 1, 1)], b"k".to_vec(), b"v".to_vec()),
        ("flags-high", vec![entry(1 << 63, RAW, 1, 1)], b"k".to_vec(), b"v".to_vec()),
        ("codec-dag-cbor", vec![entry(0, 0x71, 1, 1)], b"k".to_vec(), b"v".to_vec()),
        ("codec-0", vec![entry(0, 0, 1, 1)], b"k".to_vec(), b"v".to_vec()),
        ("codec-largest", vec![entry(0, u64::MAX, 1, 1)], b"k".to_vec(), b"v".to_vec()),
        // What is wrong with an entry is found in a fixed order.
        ("flags-before-key", vec![entry(8, RAW, 99, 0)], b"k".to_vec(), vec![]),
        ("key-before-value", vec![entry(0, RAW, 99, 9999)], b"k".to_vec(), vec![]),
        ("value-before-codec", vec![entry(0, 1, 1, 9999)], b"k".to_vec(), vec![]),
        ("slices-before-codec", vec![entry(0, 1, 2, 0)], b"k".to_vec(), vec![]),
        ("codec-before-left-over", vec![entry(0, 1, 1, 0)], b"kk".to_vec(), vec![]),
        ("count-before-values", (0..256).map(|_| entry(9, RAW, 0, 0)).collect(), vec![0xff], vec![1; 9000]),
        ("values-before-utf8", vec![entry(0, RAW, 0, 0)], vec![0xff], vec![1; 9000]),
        ("second-entry", vec![entry(0, RAW, 1, 1), entry(16, RAW, 1, 1)], b"kk".to_vec(), b"vv".to_vec()),
    ];
    for (name, entries, keys, values) in rows {
        plans.add(format!("refused/{name}"), move |scene| run(scene, &entries, &keys, &values));
    }
}

fn places(plans: &mut Plans) {
    for (name, args) in [
        ("entries-outside", [65536, 1, 0, 0, 0, 0]),
        ("entries-crossing", [65530, 1, 0, 0, 0, 0]),
        ("entries-overflow", [0, 178_956_971, 0, 0, 0, 0]),
        ("entries-huge", [0, 178_956_970, 0, 0, 0, 0]),
        ("keys-outside", [0, 0, 65536, 1, 0, 0]),
        ("values-outside", [0, 0, 0, 0, 65536, 1]),
        ("all-at-the-end", [65536, 0, 65536, 0, 65536, 0]),
        ("empty-beyond", [65537, 0, 0, 0, 0, 0]),
    ] {
        plans.add(format!("places/{name}"), move |scene| {
            let [a, b, c, d, e, f] = args;
            scene.guest(GUEST, &Guest::new().sys("event.emit_event", args![a, b, c, d, e, f])).invoke();
        });
    }
    plans.add("places/unaligned", |scene| {
        let guest = Guest::new()
            .data(ENTRIES + 3, entry(3, RAW, 3, 5))
            .data(KEYS, b"keyvalue")
            .sys("event.emit_event", args![ENTRIES + 3, 1, KEYS, 3, KEYS + 3, 5]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("places/read-only", |scene| read_only(scene, &emitter(&[entry(3, RAW, 1, 1)], b"k", b"v")));
    plans.add("places/read-only-and-bad", |scene| {
        read_only(scene, &Guest::new().sys("event.emit_event", args![65536, 9, 65536, 9, 65536, 9]));
    });
}

/// A guest that emits `count` events in a loop; the value holds the number.
fn many(count: i64) -> Guest {
    Guest::new()
        .data(ENTRIES, entry(3, RAW, 3, 4))
        .data(KEYS, b"num")
        .import(&["event.emit_event"])
        .outside("(global $number (mut i32) (i32.const 0))")
        .wat(format!(
            "(block $done (loop $next
               (br_if $done (i32.ge_u (global.get $number) (i32.const {count})))
               (i32.store (i32.const {VALUES}) (global.get $number))
               (if (call $event.emit_event (i32.const {ENTRIES}) (i32.const 1) (i32.const {KEYS}) (i32.const 3)
                     (i32.const {VALUES}) (i32.const 4)) (then unreachable))
               (global.set $number (i32.add (global.get $number) (i32.const 1)))
               (br $next)))"
        ))
}

fn roots(plans: &mut Plans) {
    for count in [1, 2, 31, 32, 33, 64, 1023, 1024, 1025, 1100] {
        plans.add(format!("roots/{count}"), move |scene| {
            scene.guest(GUEST, &many(count)).invoke();
        });
    }
    let nested = |caller_exit: i64, callee_exit: i64| {
        move |scene: &mut Scene| {
            let one = |byte: u8| emitter(&[entry(3, RAW, 1, 1)], b"k", &[byte]);
            let leave =
                |guest: Guest, code: i64| if code > 0 { guest.sys("vm.exit", args![code, 0, 0, 0]) } else { guest };
            let caller = emit(call(one(1), GUEST + 1, 2, 0, ALL_GAS, 0), 1, 1, 1);
            scene.guest(GUEST, &leave(caller, caller_exit)).guest(GUEST + 1, &leave(one(2), callee_exit)).invoke();
        }
    };
    plans.add("roots/nested", nested(0, 0));
    plans.add("roots/callee-aborts", nested(0, 40));
    plans.add("roots/caller-aborts", nested(40, 0));
    plans.add("roots/both-abort", nested(40, 41));
    plans.add("roots/out-of-gas", |scene| {
        scene.guest(GUEST, &many(20)).invoke();
        scene.gas_limit(1_150_000);
    });
    plans.add("roots/two-messages", |scene| {
        scene.guest(GUEST, &many(3)).invoke().invoke();
    });
    plans.add("roots/implicit", |scene| {
        scene.guest(GUEST, &many(2)).implicit(0, GUEST, 2, &[]);
    });
    plans.add("roots/with-value", |scene| {
        // Emitted by an actor that then gives its money away and deletes itself.
        let guest = call(emitter(&[entry(1, CBOR, 1, 1)], b"k", b"v"), 100, 0, 5, ALL_GAS, 0)
            .sys("self.self_destruct", args![1]);
        scene.guest(GUEST, &guest).balance(GUEST, TokenAmount::from_atto(6)).invoke();
    });
}
