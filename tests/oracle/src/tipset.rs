//! Tipsets: cron of the null rounds before one, its blocks' messages and rewards, cron; each as the network does it.
//!
//! Rules: lotus chain/consensus/compute_state.go. A tipset's own epoch and the null rounds before it are machines of their
//! own, each at the state that the one before it left.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use cid::Cid;
use fvm_ipld_amt::Amtv0;
use fvm_ipld_blockstore::MemoryBlockstore;
use fvm_ipld_encoding::{RawBytes, from_slice, to_vec};
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::message::Message;
use fvm_shared::receipt::Receipt;
use serde_json::Value;

use crate::scene::{CRON, REWARD, SYSTEM};
use crate::store::Layered;
use crate::vector::amount;
use crate::world::{Applied, Outcome, Reference, World};

const AWARD_BLOCK_REWARD: u64 = 2;
const EPOCH_TICK: u64 = 2;
const REWARD_GAS: u64 = 1 << 30;
const CRON_GAS: u64 = 10_000_000_000 * 10_000;
const EPOCH_SECONDS: i64 = 30;

/// A moment at which a machine begins: what of the world differs from tipset to tipset.
pub struct Moment {
    epoch: i64,
    timestamp: u64,
    circulating_supply: TokenAmount,
}

pub struct Block {
    miner: Address,
    win_count: i64,
    messages: Vec<Applied>,
}

pub struct Tipset {
    at: Moment,
    base_fee: TokenAmount,
    null_rounds: Vec<Moment>,
    blocks: Vec<Block>,
}

/// The tipsets of a vector's variant whose epoch is `base`.
pub fn tipsets_of(fields: &Value, before: &Value, base: i64) -> Result<Vec<Tipset>> {
    let mut last = base;
    fields.as_array().into_iter().flatten().map(|fields| read_tipset(fields, before, base, &mut last)).collect()
}

fn read_tipset(fields: &Value, before: &Value, base: i64, last: &mut i64) -> Result<Tipset> {
    let supply = if fields["circ_supply"].is_null() { &before["circ_supply"] } else { &fields["circ_supply"] };
    let epoch = base + fields["epoch_offset"].as_i64().context("a tipset of no epoch")?;
    let stated =
        |at: i64| fields["null_rounds"].as_array().into_iter().flatten().find(|null| null["epoch_offset"] == at - base);
    let moment = |at: i64, own: &Value| -> Result<Moment> {
        Ok(Moment {
            epoch: at,
            timestamp: own["timestamp"].as_u64().unwrap_or((at * EPOCH_SECONDS) as u64),
            circulating_supply: amount(if own["circ_supply"].is_null() { supply } else { &own["circ_supply"] }, 0)?,
        })
    };
    let null_rounds = (*last + 1..epoch).map(|at| moment(at, stated(at).unwrap_or(&Value::Null)));
    let tipset = Tipset {
        at: moment(epoch, fields)?,
        base_fee: amount(&fields["basefee"], 100)?,
        null_rounds: null_rounds.collect::<Result<_>>()?,
        blocks: fields["blocks"].as_array().into_iter().flatten().map(read_block).collect::<Result<_>>()?,
    };
    *last = epoch;
    Ok(tipset)
}

fn read_block(fields: &Value) -> Result<Block> {
    let mut messages = Vec::new();
    for (place, data) in fields["messages"].as_array().into_iter().flatten().enumerate() {
        let message: Message = from_slice(&BASE64.decode(data.as_str().context("a message is text")?)?)?;
        let mut applied = Applied::explicit(message);
        if let Some(length) = fields["raw_lengths"][place].as_u64() {
            applied.raw_length = length as usize;
        }
        messages.push(applied);
    }
    Ok(Block {
        miner: fields["miner_addr"].as_str().context("a block of nobody")?.parse()?,
        win_count: fields["win_count"].as_i64().context("a block of no wins")?,
        messages,
    })
}

/// Execute tipsets one after the other.
pub fn execute(
    reference: &Reference,
    version: u32,
    world: &World,
    store: &Layered,
    root: &Cid,
    tipsets: &[Tipset],
    trace: bool,
) -> Result<Outcome> {
    let mut outcome = Outcome { answers: Vec::new(), elapsed: Vec::new(), root: *root, receipts: Vec::new() };
    for tipset in tipsets {
        for null in &tipset.null_rounds {
            let found = reference.apply(
                version,
                &world_at(world, tipset, null),
                store,
                &outcome.root,
                &[cron(null.epoch)],
                trace,
            )?;
            outcome.extend(found);
        }
        let world = world_at(world, tipset, &tipset.at);
        let mut receipts = Vec::new();
        let found = reference.apply_each(version, &world, store, &outcome.root, trace, |apply| {
            let mut seen = BTreeSet::new();
            for block in &tipset.blocks {
                let (mut penalty, mut tips) = (TokenAmount::default(), TokenAmount::default());
                for applied in &block.messages {
                    if !seen.insert(to_vec(&applied.message)?) {
                        continue;
                    }
                    let answer = apply(applied).context("no receipt exists for a message of a tipset")?;
                    penalty += &answer.penalty;
                    tips += &answer.miner_tip;
                    receipts.push(answer.msg_receipt.clone());
                }
                let params = to_vec(&(block.miner, &penalty, &tips, block.win_count))?;
                apply(&implicit(tipset.at.epoch, REWARD, AWARD_BLOCK_REWARD, params, REWARD_GAS))
                    .context("no reward")?;
            }
            apply(&cron(tipset.at.epoch)).context("no cron")?;
            Ok(())
        })?;
        outcome.extend(found);
        outcome.receipts.push(receipts_root(receipts)?);
    }
    Ok(outcome)
}

fn world_at(world: &World, tipset: &Tipset, at: &Moment) -> World {
    World {
        epoch: at.epoch,
        timestamp: at.timestamp,
        circulating_supply: at.circulating_supply.clone(),
        base_fee: tipset.base_fee.clone(),
        ..world.clone()
    }
}

fn cron(epoch: i64) -> Applied {
    implicit(epoch, CRON, EPOCH_TICK, Vec::new(), CRON_GAS)
}

fn implicit(epoch: i64, to: u64, method: u64, params: Vec<u8>, gas_limit: u64) -> Applied {
    Applied::implicit(Message {
        version: 0,
        from: Address::new_id(SYSTEM),
        to: Address::new_id(to),
        sequence: epoch as u64,
        value: TokenAmount::default(),
        method_num: method,
        params: RawBytes::new(params),
        gas_limit,
        gas_fee_cap: TokenAmount::default(),
        gas_premium: TokenAmount::default(),
    })
}

/// The root of the list of receipts, of the older kind whose nodes have a width of 8.
fn receipts_root(receipts: Vec<Receipt>) -> Result<Cid> {
    let store = MemoryBlockstore::default();
    let mut list = Amtv0::new(&store);
    for (place, receipt) in receipts.into_iter().enumerate() {
        list.set(place as u64, receipt)?;
    }
    Ok(list.flush()?)
}
