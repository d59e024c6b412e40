//! Blocks: opening what is reachable, creating, reading, linking; the scan for links and its price.

use cid::Cid;
use fvm_ipld_encoding::{CBOR, DAG_CBOR, IPLD_RAW};
use multihash_codetable::{Code, Multihash, MultihashDigest};

use crate::args;
use crate::cbor::{array, link, tagged};
use crate::guest::*;
use crate::plan::{Plans, Versions};
use crate::scene::GUEST;

const BLAKE2B: i64 = 0xb220;
const RAW: i64 = 0x55;
const PLAIN_CBOR: i64 = 0x51;
const DAG: i64 = 0x71;
/// A kilobyte for what is read.
const READ: i64 = 0x4000;

pub fn blake(codec: u64, data: &[u8]) -> Cid {
    Cid::new_v1(codec, Code::Blake2b256.digest(data))
}

fn identity(codec: u64, data: &[u8]) -> Cid {
    Cid::new_v1(codec, Multihash::wrap(0, data).expect("it fits"))
}

/// The actor's root in `BUF`, opened as block 1.
fn opened() -> Guest {
    Guest::new().sys("self.root", args![BUF, 100]).sys("ipld.block_open", args![BUF])
}

pub fn plans(plans: &mut Plans) {
    plans.group("ipld", Versions::Two);
    open(plans);
    scan(plans);
    create(plans);
    read(plans);
    link_blocks(plans);
    pass(plans);
}

fn open(plans: &mut Plans) {
    plans.add("open/root", |scene| {
        let guest = opened().sys("ipld.block_read", args![1, 0, READ, 8]).keep(READ, 8);
        scene.guest(GUEST, &guest).state(GUEST, b"\x83\x01\x02\x03");
        scene.invoke();
    });
    plans.add("open/empty-state", |scene| {
        scene.guest(GUEST, &opened()).invoke();
    });
    plans.add("open/unreachable", |scene| {
        let cid = scene.block(&(1u64, "elsewhere"));
        let guest = opened().data(DATA, cid.to_bytes()).sys("ipld.block_open", args![DATA]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("open/before-the-root", |scene| {
        let guest = Guest::new().data(DATA, crate::scene::empty().to_bytes()).sys("ipld.block_open", args![DATA]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("open/chain-of-links", |scene| {
        let last = scene.block(&("last",));
        let middle = scene.block(&(last, 7u64));
        let guest = opened()
            .data(DATA, middle.to_bytes())
            .data(DATA + 100, last.to_bytes())
            .sys("ipld.block_open", args![DATA + 100])
            .sys("ipld.block_open", args![DATA])
            .sys("ipld.block_open", args![DATA + 100]);
        scene.guest(GUEST, &guest).state(GUEST, &array(&[link(&middle), link(&middle)]));
        scene.invoke();
    });
    plans.add("open/raw-and-plain-cbor", |scene| {
        let raw = scene.raw_block(b"raw bytes");
        let plain = scene.keyed_block(CBOR, &array(&[link(&raw)]));
        let inner = scene.raw_block(b"behind plain cbor");
        let hidden = scene.keyed_block(CBOR, &array(&[link(&inner)]));
        let guest = opened()
            .data(DATA, raw.to_bytes())
            .data(DATA + 100, plain.to_bytes())
            .data(DATA + 200, hidden.to_bytes())
            .data(DATA + 300, inner.to_bytes())
            .sys("ipld.block_open", args![DATA])
            .sys("ipld.block_open", args![DATA + 100])
            .sys("ipld.block_open", args![DATA + 200])
            .sys("ipld.block_open", args![DATA + 300]);
        scene.guest(GUEST, &guest).state(GUEST, &array(&[link(&raw), link(&plain), link(&hidden)]));
        scene.invoke();
    });
    plans.add("open/inline-link", |scene| {
        let inner = scene.raw_block(b"reached through an inline block");
        let inline = identity(DAG_CBOR, &array(&[link(&inner)]));
        let guest = opened()
            .data(DATA, inner.to_bytes())
            .data(DATA + 100, inline.to_bytes())
            .sys("ipld.block_open", args![DATA])
            .sys("ipld.block_open", args![DATA + 100]);
        scene.guest(GUEST, &guest).state(GUEST, &array(&[link(&inline)]));
        scene.invoke();
    });
    plans.add("open/sector-commitment", |scene| {
        let sector = blake(0xf101, b"piece");
        let guest = opened().data(DATA, sector.to_bytes()).sys("ipld.block_open", args![DATA]);
        scene.guest(GUEST, &guest).state(GUEST, &array(&[link(&sector), link(&blake(0xf102, b"replica"))]));
        scene.invoke();
    });
    plans.add("open/missing-block", |scene| {
        let nowhere = blake(DAG_CBOR, b"nobody stored this");
        scene.guest(GUEST, &opened()).change(GUEST, |actor| actor.state = nowhere);
        scene.invoke();
    });
    plans.add("open/root-of-sector-codec", |scene| {
        // No actor of this machine can have written such a state.
        let state = scene.keyed_block(0xf101, b"not a piece");
        scene.guest(GUEST, &opened()).change(GUEST, |actor| actor.state = state);
        scene.invoke();
    });
    plans.add("open/sixteen-links", |scene| {
        let links: Vec<_> = (0..16u64).map(|index| link(&scene.block(&(index,)))).collect();
        scene.guest(GUEST, &opened()).state(GUEST, &array(&links));
        scene.invoke();
    });
    plans.add("open/large-block", |scene| {
        scene.guest(GUEST, &opened()).state(GUEST, &[&[0x5a, 0, 1, 0x86, 0xa0], [7u8; 100_000].as_slice()].concat());
        scene.invoke();
    });
    plans.add("open/same-block-twice", |scene| {
        scene.guest(GUEST, &opened().sys("ipld.block_open", args![BUF])).invoke();
    });
    let states: &[(&str, &[u8])] = &[
        ("empty", b""),
        ("truncated", b"\x82\x01"),
        ("trailing", b"\x80\x80"),
        ("indefinite", b"\x9f\x01\xff"),
        ("reserved-header", b"\x1c"),
    ];
    for (name, state) in states {
        let state = state.to_vec();
        plans.add(format!("open/malformed-{name}"), move |scene| {
            scene.guest(GUEST, &opened()).state(GUEST, &state);
            scene.invoke();
        });
    }
    plans.add("open/forbidden-link", |scene| {
        scene.guest(GUEST, &opened()).state(GUEST, &array(&[link(&blake(0x70, b"dag-pb"))]));
        scene.invoke();
    });
    let pointers: &[(&str, i64, &[u8])] = &[
        ("zeros", DATA, b""),
        ("garbage", DATA, &[0xff; 40]),
        ("end-of-memory", 65536, b""),
        ("beyond-memory", 0xffff_ffff, b""),
        ("cut-off", 65536 - 20, &[1, 0x71, 0xa0, 0xe4, 2, 0x20]),
        ("long-digest", DATA, &[1, 0x55, 0, 65]),
        ("version-2", DATA, &[2, 0x55, 0, 1, 1]),
        ("padded-varint", DATA, &[0x81, 0, 0x55, 0, 1, 1]),
    ];
    for (name, at, bytes) in pointers {
        let (at, bytes) = (*at, bytes.to_vec());
        plans.add(format!("open/cid-{name}"), move |scene| {
            let mut guest = Guest::new();
            if !bytes.is_empty() {
                guest = guest.data(at, &bytes);
            }
            scene.guest(GUEST, &guest.sys("ipld.block_open", args![at])).invoke();
        });
    }
    plans.add("open/cid-version-0", |scene| {
        let old = [&[0x12, 0x20], Code::Sha2_256.digest(b"old").digest()].concat();
        scene.guest(GUEST, &Guest::new().data(DATA, old).sys("ipld.block_open", args![DATA])).invoke();
    });
}

/// DAG-CBOR that a guest creates: what the scan accepts, refuses and charges.
fn scan(plans: &mut Plans) {
    let known = crate::scene::empty();
    let unknown = blake(IPLD_RAW, b"never linked");
    let nested = (0..200).fold(vec![0x80], |inner: Vec<u8>, _| [vec![0x81], inner].concat());
    let deep_inline = (0..4).fold(array(&[link(&known)]), |inner, _| {
        if inner.len() < 60 { array(&[link(&identity(DAG_CBOR, &inner))]) } else { inner }
    });
    let blocks: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("null", vec![0xf6]),
        ("numbers", b"\x85\x00\x17\x18\x18\x39\x01\x00\x1b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("padded-numbers", b"\x83\x18\x00\x19\x00\x01\x1b\x00\x00\x00\x00\x00\x00\x00\x02".to_vec()),
        ("strings", b"\x83\x43abc\x63abc\x60".to_vec()),
        ("bad-utf8", b"\x62\xff\xfe".to_vec()),
        ("floats", b"\x83\xf9\x3c\x00\xfa\x3f\x80\x00\x00\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00".to_vec()),
        ("simple-values", b"\x84\xf4\xf5\xf7\xf8\xff".to_vec()),
        ("map", b"\xa2\x61b\x01\x61a\x02".to_vec()),
        ("map-with-double-key", b"\xa2\x61a\x01\x61a\x02".to_vec()),
        ("nested-200", nested),
        ("other-tag", b"\xc1\x1a\x00\x00\x00\x01".to_vec()),
        ("tags-in-tags", b"\xc1\xc2\xc3\xd9\x01\x00\x01".to_vec()),
        ("indefinite-array", b"\x9f\xff".to_vec()),
        ("indefinite-bytes", b"\x5f\x41a\xff".to_vec()),
        ("break-alone", b"\xff".to_vec()),
        ("reserved-28", b"\x1c".to_vec()),
        ("reserved-30", b"\xfe".to_vec()),
        ("cut-header", b"\x19\x00".to_vec()),
        ("cut-string", b"\x45abc".to_vec()),
        ("cut-array", b"\x83\x01\x02".to_vec()),
        ("huge-string", b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("huge-array", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("huge-array-in-array", b"\x82\x9b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("huge-map", b"\xbb\x80\x00\x00\x00\x00\x00\x00\x00".to_vec()),
        ("half-huge-map", b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("trailing", b"\x01\x02".to_vec()),
        ("link-known", link(&known)),
        ("link-twice", array(&[link(&known), link(&known)])),
        ("link-unknown", link(&unknown)),
        ("link-known-and-unknown", array(&[link(&known), link(&unknown)])),
        ("link-in-map", [b"\xa1\x61a".to_vec(), link(&known)].concat()),
        ("link-as-key", [b"\xa1".to_vec(), link(&known), vec![1]].concat()),
        ("link-padded-tag", [b"\xd9\x00\x2a\x58\x27\x00".to_vec(), known.to_bytes()].concat()),
        ("link-padded-length", [b"\xd8\x2a\x59\x00\x27\x00".to_vec(), known.to_bytes()].concat()),
        ("link-text", b"\xd8\x2a\x63abc".to_vec()),
        ("link-number", b"\xd8\x2a\x01".to_vec()),
        ("link-empty", tagged(&[])),
        ("link-no-zero", tagged(&known.to_bytes())),
        ("link-only-zero", tagged(&[0])),
        ("link-garbage", tagged(&[0, 0xff, 0xff])),
        ("link-trailing", tagged(&[&[0], known.to_bytes().as_slice(), &[9]].concat())),
        ("link-cut", b"\xd8\x2a\x58\x27\x00\x01\x71".to_vec()),
        ("link-cut-header", b"\xd8\x2a".to_vec()),
        ("link-cid-0", tagged(&[&[0, 0x12, 0x20], Code::Sha2_256.digest(b"v0").digest()].concat())),
        ("link-forbidden-codec", link(&blake(0x70, b"pb"))),
        ("link-dag-json", link(&blake(0x0129, b"{}"))),
        ("link-forbidden-hash", link(&Cid::new_v1(DAG_CBOR, Code::Sha2_256.digest(b"sha")))),
        ("link-short-hash", link(&Cid::new_v1(DAG_CBOR, Multihash::wrap(0xb220, &[1; 31]).unwrap()))),
        ("link-blake2b-512", link(&Cid::new_v1(DAG_CBOR, Multihash::wrap(0xb240, &[1; 64]).unwrap()))),
        ("link-unsealed", link(&blake(0xf101, b"piece"))),
        ("link-sealed", link(&Cid::new_v1(0xf102, Multihash::wrap(0xb401, &[1; 32]).unwrap()))),
        ("link-sealed-any-hash", link(&Cid::new_v1(0xf102, Multihash::wrap(0x99, &[1; 3]).unwrap()))),
        ("inline-raw", link(&identity(IPLD_RAW, b"anything"))),
        ("inline-plain-cbor", link(&identity(CBOR, b"\xff\xff"))),
        ("inline-cbor", link(&identity(DAG_CBOR, b"\x83\x01\x02\x03"))),
        ("inline-bad-cbor", link(&identity(DAG_CBOR, b"\x83\x01"))),
        ("inline-empty-cbor", link(&identity(DAG_CBOR, b""))),
        ("inline-link-known", link(&identity(DAG_CBOR, &link(&known)))),
        ("inline-link-unknown", link(&identity(DAG_CBOR, &link(&unknown)))),
        ("inline-in-inline", link(&identity(DAG_CBOR, &link(&identity(DAG_CBOR, &link(&known)))))),
        ("inline-deep", deep_inline),
        ("inline-forbidden-codec", link(&identity(0x70, b"pb"))),
    ];
    for (name, block) in blocks {
        plans.add(format!("scan/{name}"), move |scene| {
            let guest = Guest::new()
                .data(DATA, &block)
                .sys("self.root", args![BUF, 100])
                .sys("ipld.block_create", args![DAG, DATA, block.len() as i64])
                .sys("ipld.block_stat", args![1]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
}

fn create(plans: &mut Plans) {
    for (name, codec) in [("raw", RAW), ("plain-cbor", PLAIN_CBOR), ("dag-cbor", DAG)] {
        plans.add(format!("create/{name}"), move |scene| {
            let guest = Guest::new()
                .data(DATA, b"\x82\x01\x43abc")
                .sys("ipld.block_create", args![codec, DATA, 6])
                .sys("ipld.block_stat", args![1]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    for codec in [0i64, 1, 0x50, 0x70, 0x72, 0x0129, 0xf101, -1] {
        plans.add(format!("create/codec-{codec}"), move |scene| {
            scene.guest(GUEST, &Guest::new().sys("ipld.block_create", args![codec, DATA, 6])).invoke();
        });
    }
    for (name, codec, length) in [
        ("largest", RAW, 1 << 20),
        ("too-large", RAW, (1 << 20) + 1),
        ("too-large-and-bad-codec", 0x70, (1 << 20) + 1),
        ("largest-plain-cbor", PLAIN_CBOR, 1 << 20),
    ] {
        plans.add(format!("create/{name}"), move |scene| {
            let guest = Guest::new().memory("18").sys("ipld.block_create", args![codec, 0, length]);
            scene.guest(GUEST, &guest.sys("ipld.block_stat", args![1])).invoke();
        });
    }
    plans.add("create/largest-dag-cbor", |scene| {
        // An array of 2^20 - 5 zeros: as many fields as a block can have.
        let guest = Guest::new().memory("18").data(0x1000, b"\x9a\x00\x0f\xff\xfb");
        scene.guest(GUEST, &guest.sys("ipld.block_create", args![DAG, 0x1000, 1 << 20])).invoke();
    });
    for (name, at, length) in [
        ("outside", 65536, 1),
        ("crossing", 65530, 7),
        ("wrapping", 0xffff_fff0, 0x20),
        ("empty-at-end", 65536, 0),
        ("empty-beyond", 65537, 0),
        ("huge", 0, 0xffff_ffff),
    ] {
        plans.add(format!("create/memory-{name}"), move |scene| {
            scene.guest(GUEST, &Guest::new().sys("ipld.block_create", args![RAW, at, length])).invoke();
        });
    }
    plans
        .add("create/result-outside", |scene| {
            let guest = Guest::new()
                .import(&["gas.available"])
                .sys_ret("ipld.block_create", 65533, args![RAW, DATA, 3])
                .sys_ret("ipld.block_create", 65536, args![RAW, DATA, 3])
                .sys_ret("ipld.block_create", 0xffff_ffff, args![RAW, DATA, 3])
                .sys("gas.available", args![])
                .sys_ret("ipld.block_create", 65532, args![RAW, DATA, 3]);
            scene.guest(GUEST, &guest).invoke();
        })
        .covers("ipld.block_create", 1);
    plans.add("create/forty-blocks", |scene| {
        let guest = (0..40).fold(Guest::new(), |guest, index| {
            guest.sys("ipld.block_create", args![RAW, DATA, index]).sys("ipld.block_stat", args![index + 1])
        });
        scene.guest(GUEST, &guest).invoke();
    });
}

fn read(plans: &mut Plans) {
    for (name, offset, length) in [
        ("all", 0, 10),
        ("part", 2, 3),
        ("more", 0, 100),
        ("nothing", 0, 0),
        ("at-end", 10, 5),
        ("beyond-end", 20, 5),
        ("far-beyond", 0x7000_0000, 5),
        ("largest-end", 0x7fff_fffa, 5),
        ("too-large-end", 0x7fff_fffb, 5),
        ("largest-offset", 0xffff_ffff, 0),
    ] {
        plans.add(format!("read/{name}"), move |scene| {
            let guest = Guest::new()
                .data(DATA, b"0123456789")
                .must("ipld.block_create", args![RAW, DATA, 10])
                .sys("ipld.block_read", args![1, offset, READ, length])
                .keep(READ, 12);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    for handle in [0, 2, 0x7fff_ffff, 0xffff_ffff] {
        plans.add(format!("read/handle-{handle}"), move |scene| {
            let guest = Guest::new()
                .must("ipld.block_create", args![RAW, DATA, 10])
                .sys("ipld.block_read", args![handle, 0, READ, 4])
                .sys("ipld.block_read", args![handle, 0x7fff_ffff, READ, 4])
                .sys("ipld.block_stat", args![handle])
                .sys("ipld.block_link", args![handle, BLAKE2B, 32, BUF, 100]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    for (name, at, length) in
        [("outside", 65536, 1), ("crossing", 65530, 7), ("empty-at-end", 65536, 0), ("wrapping", 0xffff_fff0, 0x20)]
    {
        plans.add(format!("read/memory-{name}"), move |scene| {
            let guest = Guest::new()
                .must("ipld.block_create", args![RAW, DATA, 10])
                .sys("ipld.block_read", args![1, 0, at, length]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    plans
        .add("read/result-outside", |scene| {
            let guest = Guest::new()
                .must("ipld.block_create", args![RAW, DATA, 10])
                .sys_ret("ipld.block_read", 65534, args![1, 0, READ, 10])
                .keep(READ, 10)
                .sys_ret("ipld.block_stat", 65530, args![1]);
            scene.guest(GUEST, &guest).invoke();
        })
        .covers("ipld.block_read", 1)
        .covers("ipld.block_stat", 1);
    plans.add("read/parameters", |scene| {
        let guest = Guest::new()
            .sys("ipld.block_stat", args!["(local.get $params)"])
            .sys("ipld.block_read", args!["(local.get $params)", 0, READ, 64])
            .keep(READ, 16);
        scene.guest(GUEST, &guest).call(GUEST, 2, b"\x8a\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a");
    });
    plans.add("read/no-parameters", |scene| {
        let guest = Guest::new().note("(local.get $params)").sys("ipld.block_stat", args!["(local.get $params)"]);
        scene.guest(GUEST, &guest).invoke();
    });
}

fn link_blocks(plans: &mut Plans) {
    for (name, codec) in [("raw", RAW), ("plain-cbor", PLAIN_CBOR), ("dag-cbor", DAG)] {
        plans.add(format!("link/{name}"), move |scene| {
            let guest = Guest::new()
                .data(DATA, b"\x82\x01\x43abc")
                .must("ipld.block_create", args![codec, DATA, 6])
                .sys("ipld.block_link", args![1, BLAKE2B, 32, BUF, 100])
                .keep(BUF, 40)
                .sys("ipld.block_open", args![BUF])
                .sys("ipld.block_link", args![2, BLAKE2B, 32, BUF, 100])
                .sys("self.set_root", args![BUF]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    for (name, function, length) in [
        ("sha2-256", 0x12, 32),
        ("identity", 0, 32),
        ("blake2b-512", 0xb240, 64),
        ("keccak", 0x1b, 32),
        ("short", BLAKE2B, 31),
        ("long", BLAKE2B, 33),
        ("nothing", BLAKE2B, 0),
        ("negative", -1, -1),
    ] {
        plans.add(format!("link/hash-{name}"), move |scene| {
            let guest = Guest::new()
                .must("ipld.block_create", args![RAW, DATA, 6])
                .sys("ipld.block_link", args![1, function, length, BUF, 100])
                .sys("ipld.block_link", args![9, function, length, BUF, 100]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    plans.add("link/buffer-too-small", |scene| {
        // The block is stored and reachable although its CID did not fit.
        let cid = blake(IPLD_RAW, b"123456");
        let guest = Guest::new()
            .data(DATA, b"123456")
            .data(DATA + 100, cid.to_bytes())
            .must("ipld.block_create", args![RAW, DATA, 6])
            .sys("ipld.block_open", args![DATA + 100])
            .sys("ipld.block_link", args![1, BLAKE2B, 32, BUF, 37])
            .sys("ipld.block_open", args![DATA + 100])
            .sys("ipld.block_link", args![1, BLAKE2B, 32, BUF, 38]);
        scene.guest(GUEST, &guest).invoke();
    });
    for (name, at, length) in
        [("outside", 65536, 1), ("crossing", 65500, 100), ("exact", 65536 - 38, 38), ("wrapping", 0xffff_fff0, 0x20)]
    {
        plans.add(format!("link/memory-{name}"), move |scene| {
            let guest = Guest::new()
                .must("ipld.block_create", args![RAW, DATA, 6])
                .sys("ipld.block_link", args![1, BLAKE2B, 32, at, length])
                .sys("ipld.block_link", args![1, 0x12, 32, at, length]);
            scene.guest(GUEST, &guest).invoke();
        });
    }
    plans.add("link/largest", |scene| {
        let guest = Guest::new()
            .memory("18")
            .must("ipld.block_create", args![RAW, 0x2000, 1 << 20])
            .sys("ipld.block_link", args![1, BLAKE2B, 32, BUF, 100])
            .sys("self.set_root", args![BUF]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("link/tree", |scene| {
        // A block that links to a block that was linked just before.
        let leaf = blake(IPLD_RAW, b"leaf");
        let node = array(&[link(&leaf), link(&leaf)]);
        let guest = Guest::new()
            .data(DATA, b"leaf")
            .data(DATA + 100, &node)
            .sys("ipld.block_create", args![DAG, DATA + 100, node.len() as i64])
            .must("ipld.block_create", args![RAW, DATA, 4])
            .sys("ipld.block_create", args![DAG, DATA + 100, node.len() as i64])
            .sys("ipld.block_link", args![1, BLAKE2B, 32, BUF, 100])
            .sys("ipld.block_create", args![DAG, DATA + 100, node.len() as i64])
            .sys("ipld.block_link", args![2, BLAKE2B, 32, BUF, 100])
            .sys("self.set_root", args![BUF]);
        scene.guest(GUEST, &guest).invoke();
    });
    plans
        .add("link/result-outside", |scene| {
            let guest = Guest::new()
                .must("ipld.block_create", args![RAW, DATA, 6])
                .sys_ret("ipld.block_link", 65533, args![1, BLAKE2B, 32, BUF, 100])
                .sys_ret("ipld.block_open", 65533, args![BUF]);
            scene.guest(GUEST, &guest).invoke();
        })
        .covers("ipld.block_link", 1)
        .covers("ipld.block_open", 1);
}

/// Blocks that travel with calls carry what they link to.
fn pass(plans: &mut Plans) {
    let call = |to: i64| -> Guest {
        Guest::new().data(0x200, [0, 0xe9, 0x07]).import(&["send.send"]).outside(&format!(
            "(func $pass (param $block i32) (result i32)
                  (call $send.send (i32.const {RET}) (i32.const 0x200) (i32.const 3) (i64.const {to})
                    (local.get $block) (i64.const 0) (i64.const 0) (i64.const -1) (i64.const 0)))"
        ))
    };
    for (name, codec) in [("raw", RAW), ("plain-cbor", PLAIN_CBOR), ("dag-cbor", DAG)] {
        plans.add(format!("pass/parameters-{name}"), move |scene| {
            let leaf = blake(IPLD_RAW, b"leaf");
            let node = array(&[link(&leaf)]);
            let caller = call(2)
                .data(DATA, b"leaf")
                .data(DATA + 100, &node)
                .must("ipld.block_create", args![RAW, DATA, 4])
                .must("ipld.block_link", args![1, BLAKE2B, 32, BUF, 100])
                .must("ipld.block_create", args![codec, DATA + 100, node.len() as i64])
                .note("(call $pass (i32.const 2))")
                .keep(RET, 20)
                .sys("ipld.block_read", args![3, 0, READ, 64])
                .keep(READ, 24);
            let callee = Guest::new()
                .data(DATA, leaf.to_bytes())
                .sys("ipld.block_stat", args!["(local.get $params)"])
                .sys("ipld.block_open", args![DATA]);
            scene.guest(GUEST, &caller).guest(GUEST + 1, &callee).invoke();
        });
        plans.add(format!("pass/answer-{name}"), move |scene| {
            let leaf = blake(IPLD_RAW, b"leaf");
            let node = array(&[link(&leaf), link(&leaf)]);
            let caller = call(2)
                .data(DATA, leaf.to_bytes())
                .sys("ipld.block_open", args![DATA])
                .note("(call $pass (i32.const 0))")
                .keep(RET, 20)
                .sys("ipld.block_open", args![DATA])
                .sys("ipld.block_stat", args![1]);
            let callee = Guest::new()
                .data(DATA, b"leaf")
                .data(DATA + 100, &node)
                .must("ipld.block_create", args![RAW, DATA, 4])
                .must("ipld.block_link", args![1, BLAKE2B, 32, BUF, 100])
                .must("ipld.block_create", args![codec, DATA + 100, node.len() as i64])
                .wat("(return (i32.const 2))");
            scene.guest(GUEST, &caller).guest(GUEST + 1, &callee).invoke();
        });
    }
    plans.add("pass/answer-of-an-abort", move |scene| {
        // The block written by the aborting callee stays in the buffer, and its answer makes it reachable.
        let leaf = blake(IPLD_RAW, b"leaf");
        let node = array(&[link(&leaf)]);
        let caller = call(2)
            .data(DATA, leaf.to_bytes())
            .note("(call $pass (i32.const 0))")
            .keep(RET, 20)
            .sys("ipld.block_open", args![DATA])
            .sys("self.set_root", args![DATA]);
        let callee = Guest::new()
            .import(&["vm.exit"])
            .data(DATA, b"leaf")
            .data(DATA + 100, &node)
            .must("ipld.block_create", args![RAW, DATA, 4])
            .must("ipld.block_link", args![1, BLAKE2B, 32, BUF, 100])
            .must("ipld.block_create", args![DAG, DATA + 100, node.len() as i64])
            .wat("(drop (call $vm.exit (i32.const 33) (i32.const 2) (i32.const 0) (i32.const 0)))");
        scene.guest(GUEST, &caller).guest(GUEST + 1, &callee).invoke();
    });
    plans.add("pass/other-actors-root", move |scene| {
        // What another actor's state holds is out of reach until that actor hands it over.
        let state = scene.block(&(42u64,));
        let caller =
            call(2).data(DATA, state.to_bytes()).sys("ipld.block_open", args![DATA]).sys("self.set_root", args![DATA]);
        scene.guest(GUEST, &caller).guest(GUEST + 1, &Guest::new()).change(GUEST + 1, |actor| actor.state = state);
        scene.invoke();
    });
}
