//! The corners of what proof syscalls take for CBOR, and of what is a CID; proofs that are hopeless for their fields.

use fvm_ipld_encoding::to_vec;
use fvm_shared::randomness::Randomness;
use fvm_shared::sector::{
    AggregateSealVerifyInfo, AggregateSealVerifyProofAndInfos, RegisteredAggregateProof, RegisteredSealProof,
    RegisteredUpdateProof, ReplicaUpdateInfo, SealVerifyInfo,
};

use super::proofs::{INPUT, SECTOR_2K, ask, commit, piece, post, randomness, seal, sealed, unsealed};
use crate::args;
use crate::cbor::{array, link, number, tagged};
use crate::guest::*;
use crate::kernel::Proofs;
use crate::plan::{Plans, Versions};
use crate::scene::{GUEST, Scene};

pub fn plans(plans: &mut Plans) {
    plans.group("decoder", Versions::Two);
    heads(plans);
    byte_strings(plans);
    octets(plans);
    hopeless(plans);
    cids(plans);
}

/// An integer's head where another is expected: the reader masks the major type and does not compare it.
fn heads(plans: &mut Plans) {
    let cid = unsealed(1);
    let size = number(2048);
    let whole = link(&cid);
    let rest = &whole[2..];
    let spelt = |tag: &[u8]| array(&[array(&[size.clone(), [tag, rest].concat()])]);
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("number-as-list", [&[1], piece(2048, &cid).as_slice()].concat()),
        ("number-as-list-padded", [&[0x18, 1], piece(2048, &cid).as_slice()].concat()),
        ("number-as-tuple", [&[0x81, 2], size.as_slice(), &whole].concat()),
        ("number-0-as-list", vec![0]),
        ("negative-as-list", [&[0x20], piece(2048, &cid).as_slice()].concat()),
        ("bytes-as-list", [&[0x41], piece(2048, &cid).as_slice()].concat()),
        ("text-as-list", [&[0x61], piece(2048, &cid).as_slice()].concat()),
        ("tag-as-list", [&[0xc1], piece(2048, &cid).as_slice()].concat()),
        ("number-as-tag", spelt(&[0x18, 42])),
        ("number-as-tag-padded", spelt(&[0x19, 0, 42])),
        ("bytes-as-tag", spelt(&[0x58, 42])),
        ("array-as-tag", spelt(&[0x98, 42])),
        ("negative-as-tag", spelt(&[0x38, 42])),
        ("text-as-tag", spelt(&[0x78, 42])),
        ("map-as-tag", spelt(&[0xb8, 42])),
        ("simple-as-tag", spelt(&[0xf8, 42])),
        ("tag-indefinite", spelt(&[0xdf])),
        ("number-as-bytes-of-cid", array(&[array(&[size.clone(), [&[0xd8, 42, 0x18, 0x28], &whole[4..]].concat()])])),
        ("cid-zero-only", array(&[array(&[size.clone(), vec![0xd8, 42, 0x41, 0]])])),
        ("cid-empty", array(&[array(&[size.clone(), vec![0xd8, 42, 0x40]])])),
        ("size-padded-16", array(&[array(&[vec![0x1a, 0, 0, 8, 0], whole.clone()])])),
        ("size-bytes", array(&[array(&[vec![0x42, 8, 0], whole.clone()])])),
        ("size-reserved", array(&[array(&[vec![0x1c], whole.clone()])])),
    ];
    for (name, pieces) in rows {
        plans.add(format!("head/{name}"), move |scene| commit(scene, SECTOR_2K, &pieces));
    }
}

/// Byte strings in pieces, pieces in pieces, and as deep as the reader goes.
fn byte_strings(plans: &mut Plans) {
    let proof = |randomness: &[u8], bytes: &[u8]| -> Vec<u8> {
        let proofs = array(&[array(&[vec![10], bytes.to_vec()])]);
        array(&[randomness.to_vec(), proofs, array(&[]), vec![0x18, 100]])
    };
    let content = [7u8; 32];
    let random = [&[0x58, 32], content.as_slice()].concat();
    let nested =
        |levels: usize| [vec![0x5f; levels].as_slice(), &[0x58, 32], content.as_slice(), &vec![0xff; levels]].concat();
    let empty = |levels: usize| [vec![0x5f; levels], random.clone(), vec![0xff; levels]].concat();
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("number-as-bytes", proof(&[&[0x18, 32], content.as_slice()].concat(), b"\x43abc")),
        ("short-number-as-bytes", proof(&random, b"\x03abc")),
        ("pieces-with-heads-of-numbers", proof(&random, b"\x5f\x01a\x02bc\xff")),
        ("no-pieces", proof(&random, b"\x5f\xff")),
        ("empty-pieces", proof(&random, b"\x5f\x40\x40\xff")),
        ("piece-of-text", proof(&random, b"\x5f\x61a\xff")),
        ("piece-padded", proof(&random, b"\x5f\x59\x00\x01a\xff")),
        ("pieces-in-pieces", proof(&random, b"\x5f\x5f\x41a\xff\x41b\xff")),
        ("unfinished", proof(&random, b"\x5f\x41a")),
        ("depth-10", proof(&nested(10), b"\x40")),
        ("depth-254", proof(&nested(254), b"\x40")),
        ("depth-255", proof(&nested(255), b"\x40")),
        ("depth-256", proof(&nested(256), b"\x40")),
        ("depth-1000", proof(&empty(1000), b"\x40")),
        ("padded-length", proof(&[&[0x5b, 0, 0, 0, 0, 0, 0, 0, 32], content.as_slice()].concat(), b"\x40")),
        ("huge-length", proof(&[&[0x5b, 0xff, 0, 0, 0, 0, 0, 0, 0], content.as_slice()].concat(), b"\x40")),
    ];
    for (name, input) in rows {
        plans.add(format!("bytes/{name}"), move |scene| ask(scene, "crypto.verify_post", &input));
    }
}

/// The proof of a replica update is a list of octets.
fn octets(plans: &mut Plans) {
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("padded", vec![0x81, 0x18, 5]),
        ("padded-16", vec![0x81, 0x19, 0, 5]),
        ("negative", vec![0x81, 0x20]),
        ("true", vec![0x81, 0xf5]),
        ("largest", vec![0x81, 0x18, 255]),
        ("length-padded", vec![0x98, 1, 5]),
        ("number-as-list", vec![3, 1, 2, 3]),
        ("list-indefinite", vec![0x9f, 1, 0xff]),
    ];
    for (name, proof) in rows {
        let input = array(&[vec![3], link(&sealed(1)), link(&sealed(2)), link(&unsealed(3)), proof]);
        plans.add(format!("octets/{name}"), move |scene| ask(scene, "crypto.verify_replica_update", &input));
    }
}

/// Ask for a batch of seals and keep the answers.
fn batch(scene: &mut Scene, seals: &[SealVerifyInfo]) {
    let input = to_vec(&seals.to_vec()).expect("it can be encoded");
    let guest = Guest::new()
        .data(INPUT, &input)
        .data(BUF, [0xee; 8])
        .sys("crypto.batch_verify_seals", args![INPUT, input.len() as i64, BUF])
        .keep(BUF, 8);
    scene.guest(GUEST, &guest).invoke();
}

fn aggregate(change: impl Fn(&mut AggregateSealVerifyProofAndInfos)) -> Vec<u8> {
    let mut aggregate = AggregateSealVerifyProofAndInfos {
        miner: 1000,
        seal_proof: RegisteredSealProof::from(8),
        aggregate_proof: RegisteredAggregateProof::SnarkPackV2,
        proof: vec![5; 40],
        infos: vec![AggregateSealVerifyInfo {
            sector_number: 1,
            randomness: randomness(),
            interactive_randomness: randomness(),
            sealed_cid: sealed(1),
            unsealed_cid: unsealed(1),
        }],
    };
    change(&mut aggregate);
    to_vec(&aggregate).expect("it can be encoded")
}

/// Fields that rule a proof out: the reference refuses them itself, after the charge.
fn hopeless(plans: &mut Plans) {
    plans.add("post/sectors-of-version-1", |scene| ask(scene, "crypto.verify_post", &post(&[13], 3, 1, sealed)));
    let mut real = |name: &str, syscall: &'static str, input: Vec<u8>| {
        plans.add(format!("hopeless/{name}"), move |scene| {
            scene.world.proofs = Proofs::Real;
            ask(scene, syscall, &input);
        });
    };
    let syscall = "crypto.verify_aggregate_seals";
    real("aggregate-type", syscall, aggregate(|it| it.aggregate_proof = RegisteredAggregateProof::from(2)));
    real("aggregate-negative-type", syscall, aggregate(|it| it.aggregate_proof = RegisteredAggregateProof::from(-1)));
    real("aggregate-sealed", syscall, aggregate(|it| it.infos[0].sealed_cid = unsealed(1)));
    real("aggregate-unsealed", syscall, aggregate(|it| it.infos[0].unsealed_cid = sealed(1)));
    real("aggregate-randomness", syscall, aggregate(|it| it.infos[0].randomness = Randomness(vec![1; 31])));
    real("aggregate-seed", syscall, aggregate(|it| it.infos[0].interactive_randomness = Randomness(vec![1; 33])));
    let update = |old, new, data| {
        to_vec(&ReplicaUpdateInfo {
            update_proof_type: RegisteredUpdateProof::from(3),
            old_sealed_cid: old,
            new_sealed_cid: new,
            new_unsealed_cid: data,
            proof: vec![200; 10],
        })
        .expect("it can be encoded")
    };
    let syscall = "crypto.verify_replica_update";
    real("update-old", syscall, update(unsealed(1), sealed(2), unsealed(3)));
    real("update-new", syscall, update(sealed(1), unsealed(2), unsealed(3)));
    real("update-data", syscall, update(sealed(1), sealed(2), sealed(3)));
    let rows: [(&str, fn(&mut SealVerifyInfo)); 6] = [
        ("type", |seal| seal.registered_proof = RegisteredSealProof::from(20)),
        ("negative-type", |seal| seal.registered_proof = RegisteredSealProof::from(-1)),
        ("sealed", |seal| seal.sealed_cid = unsealed(1)),
        ("unsealed", |seal| seal.unsealed_cid = sealed(1)),
        ("randomness", |seal| seal.randomness = Randomness(vec![1; 31])),
        ("seed", |seal| seal.interactive_randomness = Randomness(vec![])),
    ];
    for (name, change) in rows {
        plans.add(format!("hopeless/seal-{name}"), move |scene| {
            scene.world.proofs = Proofs::Real;
            let mut bad = seal(8);
            change(&mut bad);
            batch(scene, &[bad.clone(), bad]);
        });
    }
}

/// CIDs whose integers are at the edge of 64 bits, handed to a syscall that parses one.
fn cids(plans: &mut Plans) {
    let digest = [32].into_iter().chain([5u8; 32]).collect::<Vec<u8>>();
    let hash = [0xa0, 0xe4, 2];
    let edge = [[0x80u8; 9].as_slice(), &[1]].concat();
    let most = [[0xffu8; 9].as_slice(), &[1]].concat();
    let beyond = [[0x80u8; 9].as_slice(), &[2]].concat();
    let long = [[0x80u8; 10].as_slice(), &[1]].concat();
    let nine = [[0xffu8; 8].as_slice(), &[0x7f]].concat();
    let cid = |codec: &[u8], hash: &[u8]| [&[1], codec, hash, digest.as_slice()].concat();
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("usual", cid(&[0x71], &hash)),
        ("codec-63-bits", cid(&nine, &hash)),
        ("codec-64-bits", cid(&edge, &hash)),
        ("codec-largest", cid(&most, &hash)),
        ("codec-beyond", cid(&beyond, &hash)),
        ("codec-too-long", cid(&long, &hash)),
        ("codec-not-minimal", cid(&[0xf1, 0], &hash)),
        ("hash-64-bits", cid(&[0x71], &edge)),
        ("hash-largest", cid(&[0x71], &most)),
        ("hash-beyond", cid(&[0x71], &beyond)),
        ("hash-not-minimal", cid(&[0x71], &[0xa0, 0xe4, 0x82, 0])),
        ("length-not-minimal", [&[1, 0x71, 0xa0, 0xe4, 2, 0xa0, 0], [5u8; 32].as_slice()].concat()),
        ("length-65", [&[1, 0x71, 0xa0, 0xe4, 2, 65], [5u8; 65].as_slice()].concat()),
        ("length-64", [&[1, 0x71, 0xa0, 0xe4, 2, 64], [5u8; 64].as_slice()].concat()),
        ("version-not-minimal", [&[0x81, 0, 0x71], hash.as_slice(), &digest].concat()),
    ];
    for (name, bytes) in rows {
        plans.add(format!("cid/{name}"), move |scene| {
            let guest = Guest::new()
                .data(INPUT, &bytes)
                .sys("ipld.block_open", args![INPUT])
                .sys("self.set_root", args![INPUT]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    // The same inside a block's links; bits that are lost spell a codec that is known, of a block that is reachable.
    let alias = [&[0xf1u8], [0x80u8; 8].as_slice(), &[2]].concat();
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("codec-64-bits", cid(&edge, &hash)),
        ("codec-beyond", cid(&beyond, &hash)),
        ("hash-64-bits", cid(&[0x71], &edge)),
        ("alias", cid(&alias, &hash)),
    ];
    for (name, bytes) in rows {
        plans.add(format!("link/{name}"), move |scene| {
            let block = array(&[tagged(&[&[0], bytes.as_slice()].concat())]);
            let guest =
                Guest::new().data(INPUT, &block).sys("ipld.block_create", args![0x71, INPUT, block.len() as i64]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    plans.add("cid/alias-of-reachable", move |scene| {
        let empty = super::ipld::blake(0x71, &[0x80]).to_bytes();
        let spelt = [&[1], alias.as_slice(), &empty[2..]].concat();
        let guest = Guest::new().data(INPUT, &spelt).sys("ipld.block_open", args![INPUT]);
        scene.guest(GUEST, &guest).invoke();
    });
}
