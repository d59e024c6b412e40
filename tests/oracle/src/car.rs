//! CARv1 files: a varint-framed header that names the roots, then varint-framed blocks.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use cid::Cid;

/// Blocks by CID, in a fixed order.
pub type Blocks = BTreeMap<Cid, Vec<u8>>;

/// Read a CAR: its roots and its blocks. Hashes are not checked: the files are given by whoever runs this.
pub fn read(mut data: &[u8]) -> Result<(Vec<Cid>, Blocks)> {
    let header = frame(&mut data)?.context("an empty CAR")?;
    let roots = links(header);
    let mut blocks = Blocks::new();
    while let Some(mut section) = frame(&mut data)? {
        let cid = Cid::read_bytes(&mut section)?;
        blocks.insert(cid, section.to_vec());
    }
    Ok((roots, blocks))
}

/// Write a CAR of one root and what it links to, depth first; links that `blocks` does not hold are left out.
pub fn write(root: &Cid, blocks: &Blocks) -> Vec<u8> {
    let mut out = Vec::new();
    let mut header = b"\xa2\x65roots\x81\xd8\x2a".to_vec();
    let root_bytes = root.to_bytes();
    header.extend([0x58, root_bytes.len() as u8 + 1, 0]);
    header.extend(&root_bytes);
    header.extend(b"\x67version\x01");
    put_frame(&mut out, &[&header]);
    for cid in reachable(root, blocks) {
        put_frame(&mut out, &[&cid.to_bytes(), &blocks[&cid]]);
    }
    out
}

/// The CIDs that `root` links to and `blocks` holds, depth first, each once.
pub fn reachable(root: &Cid, blocks: &Blocks) -> Vec<Cid> {
    let (mut seen, mut order, mut stack) = (BTreeSet::new(), Vec::new(), vec![*root]);
    while let Some(cid) = stack.pop() {
        if cid.hash().code() == fvm_shared::IDENTITY_HASH && cid.codec() == fvm_ipld_encoding::DAG_CBOR {
            stack.extend(links(cid.hash().digest()));
        }
        let Some(data) = blocks.get(&cid) else { continue };
        if seen.insert(cid) {
            order.push(cid);
            if cid.codec() == fvm_ipld_encoding::DAG_CBOR {
                stack.extend(links(data).into_iter().rev());
            }
        }
    }
    order
}

/// The links of a DAG-CBOR block, in order; what cannot be read ends the list.
fn links(data: &[u8]) -> Vec<Cid> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < data.len() {
        let Some((major, value, next)) = head(data, at) else { break };
        at = next;
        if major == 2 || major == 3 {
            at += value as usize;
        } else if major == 6 && value == 42 {
            let Some((2, length, start)) = head(data, at) else { break };
            at = start + length as usize;
            let Some(bytes) = data.get(start + 1..at) else { break };
            found.extend(Cid::try_from(bytes));
        }
    }
    found
}

fn head(data: &[u8], at: usize) -> Option<(u8, u64, usize)> {
    let first = *data.get(at)?;
    let width = match first & 31 {
        low @ ..=23 => return Some((first >> 5, u64::from(low), at + 1)),
        low @ 24..=27 => 1 << (low - 24),
        _ => return None,
    };
    let bytes = data.get(at + 1..at + 1 + width)?;
    let value = bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    Some((first >> 5, value, at + 1 + width))
}

fn frame<'a>(data: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    if data.is_empty() {
        return Ok(None);
    }
    let (mut length, mut shift) = (0usize, 0);
    loop {
        let Some((byte, rest)) = data.split_first() else { bail!("a CAR ends inside a length") };
        *data = rest;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
        ensure!(shift < 63, "a CAR section's length does not fit");
    }
    ensure!(length <= data.len(), "a CAR ends inside a section");
    let (section, rest) = data.split_at(length);
    *data = rest;
    Ok(Some(section))
}

fn put_frame(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    parts.iter().for_each(|part| out.extend(*part));
}
