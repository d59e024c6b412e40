//! Sector commitments and proofs of storage; what the decoder of their CBOR parameters accepts.

use cid::Cid;
use fvm_ipld_encoding::to_vec;
use fvm_shared::randomness::Randomness;
use fvm_shared::sector::{
    AggregateSealVerifyInfo, AggregateSealVerifyProofAndInfos, PoStProof, RegisteredAggregateProof,
    RegisteredPoStProof, RegisteredSealProof, RegisteredUpdateProof, ReplicaUpdateInfo, SealVerifyInfo, SectorID,
    SectorInfo, WindowPoStVerifyInfo,
};
use multihash_codetable::Multihash;

use crate::args;
use crate::cbor::{array, link, number};
use crate::guest::*;
use crate::kernel::Proofs;
use crate::plan::{Plans, Versions};
use crate::scene::{GUEST, Scene};
use crate::world::Fault;

pub fn plans(plans: &mut Plans) {
    plans.group("proofs", Versions::Two);
    commitment(plans);
    decoder(plans);
    window_post(plans);
    seals(plans);
    aggregates(plans);
    replica_update(plans);
    consensus_fault(plans);
}

pub const INPUT: i64 = 0x4000;

pub fn unsealed(byte: u8) -> Cid {
    Cid::new_v1(0xf101, Multihash::wrap(0x1012, &[byte & 0x3f; 32]).expect("it fits"))
}

pub fn sealed(byte: u8) -> Cid {
    Cid::new_v1(0xf102, Multihash::wrap(0xb401, &[byte; 32]).expect("it fits"))
}

pub fn piece(size: u64, cid: &Cid) -> Vec<u8> {
    array(&[number(size), link(cid)])
}

/// Ask for the commitment of pieces that are given as CBOR.
pub fn commit(scene: &mut Scene, proof_type: i64, pieces: &[u8]) {
    let guest = Guest::new()
        .data(INPUT, pieces)
        .sys("crypto.compute_unsealed_sector_cid", args![proof_type, INPUT, pieces.len() as i64, BUF, 100])
        .keep(BUF, 48);
    scene.guest(GUEST, &guest).invoke();
}

pub const SECTOR_2K: i64 = 5;

fn commitment(plans: &mut Plans) {
    for kind in (0..=20).chain([-1, 100, i64::MAX]) {
        plans.add(format!("commitment/empty-type-{kind}"), move |scene| commit(scene, kind, &array(&[])));
    }
    let rows: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("full", vec![piece(2048, &unsealed(1))]),
        ("halves", vec![piece(1024, &unsealed(1)), piece(1024, &unsealed(2))]),
        ("small-first", vec![piece(128, &unsealed(1)), piece(1024, &unsealed(2))]),
        ("small-last", vec![piece(1024, &unsealed(1)), piece(128, &unsealed(2))]),
        (
            "mixed",
            vec![
                piece(256, &unsealed(1)),
                piece(128, &unsealed(2)),
                piece(512, &unsealed(3)),
                piece(128, &unsealed(4)),
            ],
        ),
        ("one-smallest", vec![piece(128, &unsealed(1))]),
        ("sixteen-smallest", (0..16).map(|index| piece(128, &unsealed(index))).collect()),
        ("seventeen-smallest", (0..17).map(|index| piece(128, &unsealed(index))).collect()),
        ("too-large", vec![piece(4096, &unsealed(1))]),
        ("too-much-together", vec![piece(1024, &unsealed(1)), piece(2048, &unsealed(2))]),
        ("no-power-of-two", vec![piece(384, &unsealed(1))]),
        ("smaller-than-smallest", vec![piece(64, &unsealed(1))]),
        ("size-1", vec![piece(1, &unsealed(1))]),
        ("size-0", vec![piece(0, &unsealed(1))]),
        ("size-huge", vec![piece(1 << 63, &unsealed(1)), piece(1 << 63, &unsealed(2))]),
        ("size-largest", vec![piece(u64::MAX, &unsealed(1))]),
        ("sealed-cid", vec![piece(2048, &sealed(1))]),
        ("blake-cid", vec![piece(2048, &super::ipld::blake(0x71, b"x"))]),
        ("wrong-hash", vec![piece(2048, &Cid::new_v1(0xf101, Multihash::wrap(0x12, &[1; 32]).unwrap()))]),
        ("wrong-codec", vec![piece(2048, &Cid::new_v1(0x55, Multihash::wrap(0x1012, &[1; 32]).unwrap()))]),
        ("short-digest", vec![piece(2048, &Cid::new_v1(0xf101, Multihash::wrap(0x1012, &[1; 31]).unwrap()))]),
        ("high-bits", vec![piece(2048, &Cid::new_v1(0xf101, Multihash::wrap(0x1012, &[0xff; 32]).unwrap()))]),
        ("zero-digest", vec![piece(2048, &Cid::new_v1(0xf101, Multihash::wrap(0x1012, &[0; 32]).unwrap()))]),
    ];
    for (name, pieces) in rows {
        plans.add(format!("commitment/{name}"), move |scene| commit(scene, SECTOR_2K, &array(&pieces)));
    }
    for (name, at, length) in [("exact", BUF, 39), ("short", BUF, 38), ("outside", 65536, 40), ("crossing", 65500, 40)]
    {
        plans.add(format!("commitment/buffer-{name}"), move |scene| {
            let guest = Guest::new()
                .data(INPUT, [0x80])
                .sys("crypto.compute_unsealed_sector_cid", args![SECTOR_2K, INPUT, 1, at, length])
                .sys("crypto.compute_unsealed_sector_cid", args![99, INPUT, 1, at, length])
                .sys("crypto.compute_unsealed_sector_cid", args![SECTOR_2K, 65536, 1, at, length]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    plans
        .add("commitment/result-outside", |scene| {
            let guest = Guest::new().sys_ret("crypto.compute_unsealed_sector_cid", 65533, args![0, 0, 0, 0, 0]);
            scene.guest(GUEST, &guest).invoke();
        })
        .covers("crypto.compute_unsealed_sector_cid", 1);
}

/// One good list of pieces, written in ways that a strict reader may not accept.
fn decoder(plans: &mut Plans) {
    let cid = unsealed(1);
    let text = link(&cid);
    let size = number(2048);
    let tail = text[4..].to_vec();
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("null", vec![0xf6]),
        ("trailing", [array(&[piece(2048, &cid)]).as_slice(), &[0]].concat()),
        ("padded-array-length", [&[0x98, 1], piece(2048, &cid).as_slice()].concat()),
        ("padded-array-length-8", [&[0x9b, 0, 0, 0, 0, 0, 0, 0, 1], piece(2048, &cid).as_slice()].concat()),
        ("indefinite-list", [&[0x9f], piece(2048, &cid).as_slice(), &[0xff]].concat()),
        ("indefinite-tuple", [&[0x81, 0x9f], size.as_slice(), &text, &[0xff]].concat()),
        ("padded-size", array(&[array(&[vec![0x1a, 0, 0, 8, 0], text.clone()])])),
        ("padded-size-8", array(&[array(&[vec![0x1b, 0, 0, 0, 0, 0, 0, 8, 0], text.clone()])])),
        ("size-as-float", array(&[array(&[vec![0xfb, 0x40, 0xa0, 0, 0, 0, 0, 0, 0], text.clone()])])),
        ("size-negative", array(&[array(&[vec![0x39, 8, 0], text.clone()])])),
        ("size-as-bignum", array(&[array(&[vec![0xc2, 0x42, 8, 0], text.clone()])])),
        ("size-as-text", array(&[array(&[b"\x642048".to_vec(), text.clone()])])),
        ("size-null", array(&[array(&[vec![0xf6], text.clone()])])),
        ("size-tagged", array(&[array(&[[vec![0xc1], size.clone()].concat(), text.clone()])])),
        ("tuple-too-short", array(&[array(&[size.clone()])])),
        ("tuple-too-long", array(&[array(&[size.clone(), text.clone(), vec![0]])])),
        ("tuple-empty", array(&[array(&[])])),
        ("tuple-as-map", [&[0x81, 0xa2], b"\x64size".as_slice(), &size, b"\x63cid", &text].concat()),
        ("tuple-as-number", array(&[vec![1]])),
        ("list-as-map", [&[0xa1, 0], piece(2048, &cid).as_slice()].concat()),
        ("list-tagged", [&[0xc1, 0x81], piece(2048, &cid).as_slice()].concat()),
        ("cid-padded-tag", array(&[array(&[size.clone(), [&[0xd9, 0, 0x2a, 0x58, 0x28], tail.as_slice()].concat()])])),
        (
            "cid-padded-length",
            array(&[array(&[size.clone(), [&[0xd8, 0x2a, 0x59, 0, 0x28], tail.as_slice()].concat()])]),
        ),
        (
            "cid-indefinite",
            array(&[array(&[size.clone(), [&[0xd8, 0x2a, 0x5f, 0x58, 0x28], tail.as_slice(), &[0xff]].concat()])]),
        ),
        ("cid-untagged", array(&[array(&[size.clone(), text[2..].to_vec()])])),
        ("cid-other-tag", array(&[array(&[size.clone(), [&[0xd8, 0x2b], &text[2..]].concat()])])),
        ("cid-tag-twice", array(&[array(&[size.clone(), [&[0xd8, 0x2a], text.as_slice()].concat()])])),
        ("cid-text", array(&[array(&[size.clone(), b"\xd8\x2a\x63abc".to_vec()])])),
        ("cid-no-zero", array(&[array(&[size.clone(), [&[0xd8, 0x2a, 0x58, 0x27], &tail[1..]].concat()])])),
        ("cid-trailing", array(&[array(&[size.clone(), [&[0xd8, 0x2a, 0x58, 0x29], tail.as_slice(), &[7]].concat()])])),
        ("cid-cut", array(&[array(&[size.clone(), [&[0xd8, 0x2a, 0x58, 0x27], &tail[..39]].concat()])])),
        ("cut", piece(2048, &cid)[..20].to_vec()),
        ("reserved", vec![0x9c]),
        ("break", vec![0xff]),
        ("huge-list", vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("huge-bytes", vec![0x81, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("deep-lists", vec![0x81; 1000]),
        ("deep-tags", vec![0xc1; 1000]),
    ];
    for (name, pieces) in rows {
        plans.add(format!("decoder/{name}"), move |scene| commit(scene, SECTOR_2K, &pieces));
    }
    // The other shapes that proofs are made of: byte strings, 64-bit signed types, nested tuples.
    let strict = |randomness: &[u8], proof_type: &[u8], proof: &[u8]| -> Vec<u8> {
        let proofs = array(&[array(&[proof_type.to_vec(), proof.to_vec()])]);
        array(&[randomness.to_vec(), proofs, array(&[]), vec![0x18, 100]])
    };
    let random = [&[0x58, 32], [7u8; 32].as_slice()].concat();
    let halves = [&[0x5f, 0x50], [7u8; 16].as_slice(), &[0x50], &[7; 16], &[0xff]].concat();
    let bytes = b"\x43abc".as_slice();
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("good", strict(&random, &[10], bytes)),
        ("randomness-as-array", strict(&[&[0x98, 32], [7u8; 32].as_slice()].concat(), &[10], bytes)),
        ("randomness-as-text", strict(&[&[0x78, 32], [7u8; 32].as_slice()].concat(), &[10], bytes)),
        ("randomness-empty", strict(&[0x40], &[10], bytes)),
        ("randomness-long", strict(&[&[0x58, 40], [7u8; 40].as_slice()].concat(), &[10], bytes)),
        ("randomness-indefinite", strict(&halves, &[10], bytes)),
        ("type-negative", strict(&random, &[0x20], bytes)),
        ("type-unknown", strict(&random, &[0x18, 200], bytes)),
        ("type-too-large", strict(&random, &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], bytes)),
        ("type-most-negative", strict(&random, &[0x3b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], bytes)),
        ("type-too-negative", strict(&random, &[0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0], bytes)),
        ("proof-as-array", strict(&random, &[10], &[0x83, 1, 2, 3])),
        ("proof-as-text", strict(&random, &[10], b"\x63abc")),
        ("proof-tagged", strict(&random, &[10], b"\xc1\x43abc")),
        ("proof-indefinite", strict(&random, &[10], b"\x5f\x43abc\xff")),
    ];
    for (name, input) in rows {
        plans.add(format!("decoder/post-{name}"), move |scene| {
            // What can be decoded and is no proof of its kind is refused by the reference itself, after the charge.
            let hopeless = ["randomness-empty", "randomness-long"].contains(&name) || name.starts_with("type-");
            scene.world.proofs = if hopeless { Proofs::Real } else { Proofs::Accept };
            ask(scene, "crypto.verify_post", &input);
        });
    }
}

/// Hand CBOR to a syscall of two arguments.
pub fn ask(scene: &mut Scene, name: &'static str, input: &[u8]) {
    let guest = Guest::new().data(INPUT, input).sys(name, args![INPUT, input.len() as i64]);
    scene.guest(GUEST, &guest).invoke();
}

pub fn randomness() -> Randomness {
    Randomness(vec![0x55; 32])
}

/// A window proof over sectors of one seal type.
pub fn post(kinds: &[i64], seal: i64, sectors: u64, commitment: fn(u8) -> Cid) -> Vec<u8> {
    let proof = |kind: &i64| PoStProof { post_proof: RegisteredPoStProof::from(*kind), proof_bytes: vec![1, 2, 3] };
    let sector = |index| SectorInfo {
        proof: RegisteredSealProof::from(seal),
        sector_number: index,
        sealed_cid: commitment(index as u8),
    };
    to_vec(&WindowPoStVerifyInfo {
        randomness: randomness(),
        proofs: kinds.iter().map(proof).collect(),
        challenged_sectors: (0..sectors).map(sector).collect(),
        prover: 1000,
    })
    .expect("it can be encoded")
}

fn window_post(plans: &mut Plans) {
    for (kind, seals) in [(10, [5, 10, 15]), (11, [6, 11, 16]), (12, [7, 12, 17]), (13, [8, 13, 18]), (14, [9, 14, 19])]
    {
        for seal in seals {
            plans.add(format!("post/type-{kind}-of-seals-{seal}"), move |scene| {
                ask(scene, "crypto.verify_post", &post(&[kind], seal, 2, sealed));
            });
        }
    }
    for sectors in [0, 1, 40] {
        plans.add(format!("post/sectors-{sectors}"), move |scene| {
            ask(scene, "crypto.verify_post", &post(&[13, 13], 8, sectors, sealed));
        });
    }
    plans.add("post/refused", |scene| {
        scene.world.proofs = Proofs::Reject;
        ask(scene, "crypto.verify_post", &post(&[13], 8, 2, sealed));
    });
    // What the reference refuses before it looks at the proof: nobody is asked whether that is true.
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("no-proofs", post(&[], 8, 1, sealed)),
        ("two-types", post(&[13, 14], 8, 1, sealed)),
        ("winning-type", post(&[3], 8, 1, sealed)),
        ("type-of-version-1", post(&[8], 3, 1, sealed)),
        ("unknown-type", post(&[15], 8, 1, sealed)),
        ("sectors-of-other-size", post(&[13], 9, 1, sealed)),
        ("sectors-of-negative-type", post(&[13], -1, 1, sealed)),
        ("sectors-of-unknown-type", post(&[13], 99, 1, sealed)),
        ("unsealed-commitment", post(&[13], 8, 1, unsealed)),
        ("commitment-of-another-hash", post(&[13], 8, 1, |byte| super::ipld::blake(0xf102, &[byte]))),
    ];
    for (name, input) in rows {
        plans.add(format!("post/hopeless-{name}"), move |scene| {
            scene.world.proofs = Proofs::Real;
            ask(scene, "crypto.verify_post", &input);
        });
    }
    outside(plans, "crypto.verify_post", "post");
}

/// Inputs that are not CBOR or not in memory.
fn outside(plans: &mut Plans, name: &'static str, short: &str) {
    for (place, at, length) in
        [("garbage", INPUT, 10), ("outside", 65536, 1), ("crossing", 65530, 10), ("empty", INPUT, 0)]
    {
        plans.add(format!("{short}/input-{place}"), move |scene| {
            let guest = Guest::new().data(INPUT, [0x82, 0x58, 0xff]).sys(name, args![at, length]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    plans
        .add(format!("{short}/result-outside"), move |scene| {
            scene.guest(GUEST, &Guest::new().sys_ret(name, 65533, args![INPUT, 0])).invoke();
        })
        .covers(name, 1);
}

pub fn seal(kind: i64) -> SealVerifyInfo {
    SealVerifyInfo {
        registered_proof: RegisteredSealProof::from(kind),
        sector_id: SectorID { miner: 1000, number: 7 },
        deal_ids: vec![1, 2],
        randomness: randomness(),
        interactive_randomness: randomness(),
        proof: vec![9; 20],
        sealed_cid: sealed(1),
        unsealed_cid: unsealed(2),
    }
}

fn seals(plans: &mut Plans) {
    let batch = |count: usize| to_vec(&vec![seal(8); count]).expect("it can be encoded");
    for count in [0usize, 1, 5] {
        for (name, proofs) in [("good", Proofs::Accept), ("bad", Proofs::Reject)] {
            plans.add(format!("seals/{count}-{name}"), move |scene| {
                scene.world.proofs = proofs;
                let input = batch(count);
                let guest = Guest::new()
                    .data(INPUT, &input)
                    .data(BUF, [0xee; 8])
                    .sys("crypto.batch_verify_seals", args![INPUT, input.len() as i64, BUF])
                    .keep(BUF, 8);
                scene.guest(GUEST, &guest).invoke();
            });
        }
    }
    for (name, at, length, out) in [
        ("garbage", INPUT, 10, BUF),
        ("input-outside", 65536, 10, BUF),
        ("output-outside", INPUT, -1, 65536),
        ("output-crossing", INPUT, -1, 65533),
    ] {
        plans.add(format!("seals/{name}"), move |scene| {
            let input = batch(5);
            let length = if length < 0 { input.len() as i64 } else { length };
            let guest = Guest::new().data(INPUT, &input).sys("crypto.batch_verify_seals", args![at, length, out]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
}

fn aggregate(kind: i64, count: u64) -> Vec<u8> {
    let info = |index| AggregateSealVerifyInfo {
        sector_number: index,
        randomness: randomness(),
        interactive_randomness: randomness(),
        sealed_cid: sealed(index as u8),
        unsealed_cid: unsealed(index as u8),
    };
    to_vec(&AggregateSealVerifyProofAndInfos {
        miner: 1000,
        seal_proof: RegisteredSealProof::from(kind),
        aggregate_proof: RegisteredAggregateProof::SnarkPackV2,
        proof: vec![5; 40],
        infos: (0..count).map(info).collect(),
    })
    .expect("it can be encoded")
}

fn aggregates(plans: &mut Plans) {
    for kind in [5i64, 8, 9, 13, 14, 18, 19] {
        let plan = plans.add(format!("aggregate/type-{kind}"), move |scene| {
            ask(scene, "crypto.verify_aggregate_seals", &aggregate(kind, 5));
        });
        plan.versions(&[21, 24, 25, 28]);
    }
    for (kind, counts) in [(8, [1u64, 3, 4, 12, 13, 26, 52, 65, 100]), (18, [1, 2, 3, 4, 5, 9, 16, 33, 65])] {
        for count in counts {
            plans.add(format!("aggregate/type-{kind}-count-{count}"), move |scene| {
                ask(scene, "crypto.verify_aggregate_seals", &aggregate(kind, count));
            });
        }
    }
    plans.add("aggregate/refused", |scene| {
        scene.world.proofs = Proofs::Reject;
        ask(scene, "crypto.verify_aggregate_seals", &aggregate(8, 5));
    });
    for (name, kind, count) in [("no-infos", 8, 0), ("unknown-type", 99, 5), ("negative-type", -1, 5)] {
        plans.add(format!("aggregate/hopeless-{name}"), move |scene| {
            scene.world.proofs = Proofs::Real;
            ask(scene, "crypto.verify_aggregate_seals", &aggregate(kind, count));
        });
    }
    outside(plans, "crypto.verify_aggregate_seals", "aggregate");
}

fn replica_update(plans: &mut Plans) {
    let input = |kind: i64| {
        to_vec(&ReplicaUpdateInfo {
            update_proof_type: RegisteredUpdateProof::from(kind),
            old_sealed_cid: sealed(1),
            new_sealed_cid: sealed(2),
            new_unsealed_cid: unsealed(3),
            proof: vec![200; 10],
        })
        .expect("it can be encoded")
    };
    for kind in 0i64..5 {
        plans
            .add(format!("replica/type-{kind}"), move |scene| ask(scene, "crypto.verify_replica_update", &input(kind)));
    }
    for kind in [5i64, -1, 100] {
        plans.add(format!("replica/hopeless-type-{kind}"), move |scene| {
            scene.world.proofs = Proofs::Real;
            ask(scene, "crypto.verify_replica_update", &input(kind))
        });
    }
    plans.add("replica/refused", move |scene| {
        scene.world.proofs = Proofs::Reject;
        ask(scene, "crypto.verify_replica_update", &input(3));
    });
    let as_bytes =
        |proof: &[u8]| array(&[vec![3], link(&sealed(1)), link(&sealed(2)), link(&unsealed(3)), proof.to_vec()]);
    for (name, proof) in
        [("bytes", b"\x43abc".to_vec()), ("large-number", vec![0x81, 0x19, 1, 0]), ("empty", vec![0x80])]
    {
        let input = as_bytes(&proof);
        plans.add(format!("replica/proof-as-{name}"), move |scene| ask(scene, "crypto.verify_replica_update", &input));
    }
    outside(plans, "crypto.verify_replica_update", "replica");
}

fn consensus_fault(plans: &mut Plans) {
    let found = |kind| Fault::Found { target: 1234, epoch: 4321, kind };
    let rows = [
        ("none", Fault::None),
        ("double-fork", found(1)),
        ("parent-grinding", found(2)),
        ("time-offset", found(3)),
        ("unreadable", Fault::Error),
    ];
    for (name, fault) in rows {
        plans.add(format!("fault/{name}"), move |scene| {
            scene.world.fault = fault;
            let guest = Guest::new().sys("crypto.verify_consensus_fault", args![DATA, 10, DATA + 10, 10, DATA, 0]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    for (name, args) in [
        ("first-outside", [65536, 1, DATA, 1, DATA, 0]),
        ("second-outside", [DATA, 1, 65530, 10, DATA, 0]),
        ("extra-outside", [DATA, 1, DATA, 1, 0xffff_ffff, 0]),
        ("all-empty", [0, 0, 0, 0, 65536, 0]),
    ] {
        plans.add(format!("fault/{name}"), move |scene| {
            let [a, b, c, d, e, f] = args;
            scene.guest(GUEST, &Guest::new().sys("crypto.verify_consensus_fault", args![a, b, c, d, e, f])).invoke();
        });
    }
    plans
        .add("fault/result-outside", |scene| {
            let guest = Guest::new().sys_ret("crypto.verify_consensus_fault", 65517, args![0, 0, 0, 0, 0, 0]);
            scene.guest(GUEST, &guest).invoke();
        })
        .covers("crypto.verify_consensus_fault", 1);
}
