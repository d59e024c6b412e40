//! Hashes, signatures, sector commitments and proofs.

use fvm_shared::address::Address;
use multihash_codetable::{Code, MultihashDigest};

use crate::args;
use crate::guest::*;
use crate::keys::{self, bls_address, bls_public, bls_sign, secp_address, secp_sign};
use crate::plan::{Plans, Versions};
use crate::scene::{GUEST, Scene};

pub fn plans(plans: &mut Plans) {
    plans.group("crypto", Versions::Two);
    hash(plans);
    signature(plans);
    aggregate(plans);
    recover(plans);
}

const TEXT: i64 = 0x1000;

fn hash(plans: &mut Plans) {
    let codes = [
        ("sha2-256", 0x12),
        ("blake2b-256", 0xb220),
        ("blake2b-512", 0xb240),
        ("keccak-256", 0x1b),
        ("ripemd-160", 0x1053),
    ];
    for (name, code) in codes {
        plans.add(format!("hash/{name}"), move |scene| {
            let guest = [0, 1, 55, 64, 127, 1000].iter().fold(Guest::new(), |guest, length| {
                guest.sys("crypto.hash", args![code, TEXT, *length, BUF, 64]).keep(BUF, 64)
            });
            scene.guest(GUEST, &guest.data(TEXT, (0..=255).collect::<Vec<u8>>())).invoke();
        });
        plans.add(format!("hash/{name}-cut"), move |scene| {
            let guest = [0, 1, 19, 20, 31, 32, 33, 64, 100]
                .iter()
                .fold(Guest::new(), |guest, length| guest.sys("crypto.hash", args![code, TEXT, 3, BUF, *length]));
            scene.guest(GUEST, &guest.data(TEXT, b"abc").keep(BUF, 64)).invoke();
        });
    }
    for code in [0i64, 0x11, 0x13, 0x14, 0x16, 0x1a, 0x1c, 0x1d, 0xb219, 0xb221, 0xb250, 0xb260, 0x1052, -1] {
        plans.add(format!("hash/code-{code}"), move |scene| {
            scene.guest(GUEST, &Guest::new().sys("crypto.hash", args![code, TEXT, 3, BUF, 64])).invoke();
        });
    }
    for (name, at, length, out, room) in [
        ("input-outside", 65536, 1, BUF, 32),
        ("input-crossing", 65530, 10, BUF, 32),
        ("output-outside", TEXT, 1, 65536, 1),
        ("output-crossing", TEXT, 1, 65530, 32),
        ("output-empty-at-end", TEXT, 1, 65536, 0),
        ("overlapping", TEXT, 64, TEXT, 32),
    ] {
        plans.add(format!("hash/memory-{name}"), move |scene| {
            scene
                .guest(GUEST, &Guest::new().sys("crypto.hash", args![0x12, at, length, out, room]).keep(TEXT, 64))
                .invoke();
        });
    }
    plans
        .add("hash/result-outside", |scene| {
            scene.guest(GUEST, &Guest::new().sys_ret("crypto.hash", 65533, args![0x12, TEXT, 1, BUF, 32])).invoke();
        })
        .covers("crypto.hash", 1);
    plans.add("hash/largest", |scene| {
        let guest = Guest::new().memory("33").sys("crypto.hash", args![0x1b, 0x10000, 2 << 20, BUF, 32]).keep(BUF, 32);
        scene.guest(GUEST, &guest).invoke();
    });
}

const SIGNATURE: i64 = DATA;
const SIGNER: i64 = DATA + 0x100;

/// Verify one signature.
fn verify(scene: &mut Scene, kind: i64, signature: &[u8], signer: &[u8], text: &[u8]) {
    let guest = Guest::new().data(SIGNATURE, signature).data(SIGNER, signer).data(TEXT, text).sys(
        "crypto.verify_signature",
        args![kind, SIGNATURE, signature.len() as i64, SIGNER, signer.len() as i64, TEXT, text.len() as i64],
    );
    scene.guest(GUEST, &guest).invoke();
}

fn signature(plans: &mut Plans) {
    let text = b"a message to sign".as_slice();
    let changed = |bytes: Vec<u8>, at: usize| {
        let mut bytes = bytes;
        bytes[at] ^= 1;
        bytes
    };
    let high_s = |bytes: Vec<u8>| {
        let signature = k256::ecdsa::Signature::from_slice(&bytes[..64]).expect("our own signature");
        let high = k256::ecdsa::Signature::from_scalars(signature.r(), -signature.s()).expect("not zero");
        [high.to_bytes().as_slice(), &[bytes[64] ^ 1]].concat()
    };
    let with_v = |bytes: Vec<u8>, v: u8| [&bytes[..64], &[v]].concat();
    let signed = secp_sign(1, text);
    let secp = secp_address(1).to_bytes();
    let bls = bls_address(1).to_bytes();
    let infinity = |length: usize| [vec![0xc0], vec![0; length - 1]].concat();
    let zero_key = [vec![3], infinity(48)].concat();
    let rows: Vec<(&str, i64, Vec<u8>, Vec<u8>, &[u8])> = vec![
        ("secp-good", 1, signed.clone(), secp.clone(), text),
        ("secp-empty-text", 1, secp_sign(1, b""), secp.clone(), b""),
        ("secp-other-text", 1, signed.clone(), secp.clone(), b"another message"),
        ("secp-other-signer", 1, signed.clone(), secp_address(2).to_bytes(), text),
        ("secp-changed-r", 1, changed(signed.clone(), 5), secp.clone(), text),
        ("secp-changed-s", 1, changed(signed.clone(), 40), secp.clone(), text),
        ("secp-high-s", 1, high_s(signed.clone()), secp.clone(), text),
        ("secp-v-flipped", 1, changed(signed.clone(), 64), secp.clone(), text),
        ("secp-v-27", 1, with_v(signed.clone(), signed[64] + 27), secp.clone(), text),
        ("secp-v-2", 1, with_v(signed.clone(), 2), secp.clone(), text),
        ("secp-short", 1, signed[..64].to_vec(), secp.clone(), text),
        ("secp-long", 1, [signed.as_slice(), &[0]].concat(), secp.clone(), text),
        ("secp-no-signature", 1, vec![], secp.clone(), text),
        ("secp-zeros", 1, vec![0; 65], secp.clone(), text),
        ("secp-ones", 1, vec![0xff; 65], secp.clone(), text),
        ("secp-for-bls-address", 1, signed.clone(), bls.clone(), text),
        ("bls-good", 2, bls_sign(1, text), bls.clone(), text),
        ("bls-empty-text", 2, bls_sign(1, b""), bls.clone(), b""),
        ("bls-other-text", 2, bls_sign(1, text), bls.clone(), b"another message"),
        ("bls-other-signer", 2, bls_sign(1, text), bls_address(2).to_bytes(), text),
        ("bls-changed", 2, changed(bls_sign(1, text), 20), bls.clone(), text),
        ("bls-short", 2, bls_sign(1, text)[..95].to_vec(), bls.clone(), text),
        ("bls-long", 2, [bls_sign(1, text).as_slice(), &[0]].concat(), bls.clone(), text),
        ("bls-no-signature", 2, vec![], bls.clone(), text),
        ("bls-infinity", 2, infinity(96), bls.clone(), text),
        ("bls-infinity-both", 2, infinity(96), zero_key.clone(), text),
        ("bls-key-no-point", 2, bls_sign(1, text), [&[3], [1; 48].as_slice()].concat(), text),
        ("bls-for-secp-address", 2, bls_sign(1, text), secp.clone(), text),
        ("type-0", 0, signed.clone(), secp.clone(), text),
        ("type-3", 3, signed.clone(), secp.clone(), text),
        ("type-negative", -1, signed.clone(), secp.clone(), text),
        ("signer-by-id", 1, signed.clone(), Address::new_id(100).to_bytes(), text),
        ("signer-actor", 1, signed.clone(), Address::new_actor(b"x").to_bytes(), text),
        ("signer-delegated", 1, signed.clone(), keys::eth_address(0xCA).to_bytes(), text),
        ("signer-delegated-bls", 2, bls_sign(1, text), keys::eth_address(0xCA).to_bytes(), text),
        ("signer-no-address", 1, signed.clone(), vec![9, 9], text),
        ("signer-nothing", 1, signed.clone(), vec![], text),
    ];
    for (name, kind, signature, signer, text) in rows {
        plans.add(format!("signature/{name}"), move |scene| verify(scene, kind, &signature, &signer, text));
    }
    for (name, args) in [
        ("signature", [65536, 65, SIGNER, 21, TEXT, 3]),
        ("signer", [SIGNATURE, 65, 65536, 21, TEXT, 3]),
        ("text", [SIGNATURE, 65, SIGNER, 21, 65536, 3]),
        ("text-huge", [SIGNATURE, 65, SIGNER, 21, 0, 0xffff_ffff]),
    ] {
        plans.add(format!("signature/memory-{name}"), move |scene| {
            let [a, b, c, d, e, f] = args;
            let guest = Guest::new()
                .data(SIGNER, secp_address(1).to_bytes())
                .sys("crypto.verify_signature", args![1, a, b, c, d, e, f]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    plans
        .add("signature/result-outside", |scene| {
            let guest = Guest::new()
                .sys_ret("crypto.verify_signature", 65533, args![1, 0, 0, 0, 0, 0, 0])
                .sys_ret("crypto.verify_bls_aggregate", 65533, args![0, 0, 0, 0, 0])
                .sys_ret("crypto.recover_secp_public_key", 65536 - 64, args![0, 0]);
            scene.guest(GUEST, &guest).invoke();
        })
        .covers("crypto.verify_signature", 1)
        .covers("crypto.verify_bls_aggregate", 1)
        .covers("crypto.recover_secp_public_key", 1);
}

/// What goes into an aggregate: keys, texts, and the signature over them.
struct Aggregate {
    signature: Vec<u8>,
    keys: Vec<Vec<u8>>,
    texts: Vec<Vec<u8>>,
    lengths: Vec<u32>,
    count: i64,
}

impl Aggregate {
    fn of(texts: &[&[u8]]) -> Self {
        let signatures: Vec<_> =
            texts.iter().enumerate().map(|(index, text)| bls_sign(index as u8 + 1, text)).collect();
        Self {
            signature: keys::bls_aggregate(&signatures),
            keys: (1..=texts.len() as u8).map(bls_public).collect(),
            texts: texts.iter().map(|text| text.to_vec()).collect(),
            lengths: texts.iter().map(|text| text.len() as u32).collect(),
            count: texts.len() as i64,
        }
    }

    fn run(&self, scene: &mut Scene) {
        let lengths: Vec<u8> = self.lengths.iter().flat_map(|length| length.to_le_bytes()).collect();
        let guest = Guest::new()
            .data(DATA, &self.signature)
            .data(DATA + 0x100, self.keys.concat())
            .data(TEXT, self.texts.concat())
            .data(TEXT + 0x800, lengths)
            .sys("crypto.verify_bls_aggregate", args![self.count, DATA, DATA + 0x100, TEXT, TEXT + 0x800]);
        scene.guest(GUEST, &guest).invoke();
    }
}

fn aggregate(plans: &mut Plans) {
    let infinity = |length: usize| [vec![0xc0], vec![0; length - 1]].concat();
    let change = |change: &dyn Fn(&mut Aggregate)| {
        let mut aggregate = Aggregate::of(&[b"one", b"two", b"three"]);
        change(&mut aggregate);
        aggregate
    };
    let rows: Vec<(&str, Aggregate)> = vec![
        ("one", Aggregate::of(&[b"one"])),
        ("three", change(&|_| ())),
        ("eight", Aggregate::of(&[b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8"])),
        ("with-empty-text", Aggregate::of(&[b"", b"two"])),
        ("nobody", change(&|all| all.count = 0)),
        ("nobody-bad-signature", change(&|all| (all.count, all.signature) = (0, vec![9; 96]))),
        ("equal-texts", Aggregate::of(&[b"same", b"same"])),
        ("wrong-text", change(&|all| all.texts[1] = b"TWO".to_vec())),
        ("wrong-key", change(&|all| all.keys[1] = bls_public(9))),
        ("keys-in-other-order", change(&|all| all.keys.swap(0, 1))),
        ("key-missing", change(&|all| all.count = 2)),
        ("key-of-infinity", change(&|all| all.keys[2] = infinity(48))),
        ("key-no-point", change(&|all| all.keys[2] = vec![1; 48])),
        ("signature-of-infinity", change(&|all| all.signature = infinity(96))),
        ("signature-no-point", change(&|all| all.signature = vec![1; 96])),
        ("lengths-differ", change(&|all| all.lengths = vec![4, 2, 5])),
        ("lengths-too-much", change(&|all| all.lengths = vec![3, 3, 0x10000])),
        ("lengths-wrapping", change(&|all| all.lengths = vec![0xffff_ffff, 3, 1])),
        ("lengths-wrapping-to-sum", change(&|all| all.lengths = vec![0xffff_ffff, 9, 3])),
        ("count-too-large", change(&|all| all.count = 100_000_000)),
        ("count-outside", change(&|all| all.count = 2000)),
        ("count-negative", change(&|all| all.count = -1)),
    ];
    for (name, aggregate) in rows {
        plans.add(format!("aggregate/{name}"), move |scene| aggregate.run(scene));
    }
    for (name, args) in [
        ("signature", [65500, DATA, TEXT, TEXT]),
        ("keys", [DATA, 65500, TEXT, TEXT]),
        ("texts", [DATA, DATA, 65536, TEXT]),
        ("lengths", [DATA, DATA, TEXT, 65533]),
    ] {
        plans.add(format!("aggregate/memory-{name}"), move |scene| {
            let [a, b, c, d] = args;
            let guest = Guest::new().data(TEXT, [1]).sys("crypto.verify_bls_aggregate", args![1, a, b, c, d]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
}

fn recover(plans: &mut Plans) {
    let digest = Code::Sha2_256.digest(b"recover me").digest().to_vec();
    let good = keys::secp_sign_digest(1, &digest);
    let with_v = |v: u8| [&good[..64], &[v]].concat();
    let order = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xba\xae\xdc\xe6\xaf\x48\xa0\x3b\xbf\xd2\x5e\x8c\xd0\x36\x41\x41";
    let high = {
        let signature = k256::ecdsa::Signature::from_slice(&good[..64]).expect("our own signature");
        let high = k256::ecdsa::Signature::from_scalars(signature.r(), -signature.s()).expect("not zero");
        [high.to_bytes().as_slice(), &[good[64] ^ 1]].concat()
    };
    let rows: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![
        ("good", digest.clone(), good.clone()),
        ("other-digest", vec![7; 32], good.clone()),
        ("zero-digest", vec![0; 32], good.clone()),
        ("v-0", digest.clone(), with_v(0)),
        ("v-1", digest.clone(), with_v(1)),
        ("v-2", digest.clone(), with_v(2)),
        ("v-3", digest.clone(), with_v(3)),
        ("v-4", digest.clone(), with_v(4)),
        ("v-27", digest.clone(), with_v(27)),
        ("v-255", digest.clone(), with_v(255)),
        ("high-s", digest.clone(), high),
        ("zeros", digest.clone(), vec![0; 65]),
        ("ones", digest.clone(), vec![0xff; 65]),
        ("r-zero", digest.clone(), [&[0; 32], &good[32..]].concat()),
        ("s-zero", digest.clone(), [&good[..32], &[0; 33]].concat()),
        ("r-order", digest.clone(), [order.as_slice(), &good[32..]].concat()),
        ("s-order", digest.clone(), [&good[..32], order.as_slice(), &[0]].concat()),
        ("r-no-point", digest.clone(), [[0u8; 31].as_slice(), &[5], &good[32..]].concat()),
        ("small-r-v-2", digest.clone(), [[0u8; 31].as_slice(), &[1], &good[32..64], &[2]].concat()),
        ("small-r-v-0", digest.clone(), [[0u8; 31].as_slice(), &[1], &good[32..64], &[0]].concat()),
    ];
    for (name, digest, signature) in rows {
        plans.add(format!("recover/{name}"), move |scene| {
            let guest = Guest::new()
                .data(DATA, &digest)
                .data(DATA + 0x100, &signature)
                .sys("crypto.recover_secp_public_key", args![DATA, DATA + 0x100]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    for (name, digest, signature) in
        [("digest-outside", 65505, DATA), ("signature-outside", DATA, 65472), ("at-the-end", 65504, 65471)]
    {
        plans.add(format!("recover/memory-{name}"), move |scene| {
            scene.guest(GUEST, &Guest::new().sys("crypto.recover_secp_public_key", args![digest, signature])).invoke();
        });
    }
}
