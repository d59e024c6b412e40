//! Reads the transition tool's JSON.

use std::str::FromStr;

use revm::context::either::Either;
use revm::context::transaction::{AccessList, AccessListItem, Authorization, SignedAuthorization};
use revm::context::{BlockEnv, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE;
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, B256, Bytes, TxKind, U256};
use revm::state::{AccountInfo, Bytecode};
use serde_json::Value;

pub fn number(value: &Value) -> U256 {
    value.as_str().map_or(U256::ZERO, |text| U256::from_str(text).expect("a number"))
}

fn small(value: &Value) -> u64 {
    number(value).try_into().expect("64 bits")
}

pub fn bytes(value: &Value) -> Bytes {
    value.as_str().map_or_else(Bytes::new, |text| Bytes::from_str(text).expect("bytes"))
}

pub fn address(value: &Value) -> Address {
    Address::from_str(value.as_str().expect("an address")).expect("an address")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], |items| items)
}

pub fn block(env: &Value, spec: SpecId) -> BlockEnv {
    let merged = spec.is_enabled_in(SpecId::MERGE);
    let excess = BlobExcessGasAndPrice::new(small(&env["currentExcessBlobGas"]), BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE);
    BlockEnv {
        number: number(&env["currentNumber"]),
        beneficiary: address(&env["currentCoinbase"]),
        timestamp: number(&env["currentTimestamp"]),
        gas_limit: small(&env["currentGasLimit"]),
        basefee: small(&env["currentBaseFee"]),
        difficulty: number(&env["currentDifficulty"]),
        prevrandao: merged.then(|| B256::from(number(&env["currentRandom"]))),
        blob_excess_gas_and_price: spec.is_enabled_in(SpecId::CANCUN).then_some(excess),
        slot_num: small(&env["slotNumber"]),
    }
}

pub fn accounts(alloc: &Value, env: &Value) -> CacheDB<EmptyDB> {
    let mut found = CacheDB::new(EmptyDB::new());
    for (at, fields) in alloc.as_object().expect("accounts") {
        let at = Address::from_str(at).expect("an address");
        let code = Bytecode::new_raw(bytes(&fields["code"]));
        let info = AccountInfo::new(number(&fields["balance"]), small(&fields["nonce"]), code.hash_slow(), code);
        found.insert_account_info(at, info);
        for (slot, word) in fields["storage"].as_object().into_iter().flatten() {
            let slot = U256::from_str(slot).expect("a slot");
            found.insert_account_storage(at, slot, number(word)).expect("memory");
        }
    }
    for (height, hash) in env["blockHashes"].as_object().into_iter().flatten() {
        let hash = B256::from_slice(&bytes(hash));
        found.cache.block_hashes.insert(U256::from_str(height).expect("a number"), hash);
    }
    found
}

pub fn transaction(item: &Value, sender: Address) -> TxEnv {
    let kind = u8::try_from(small(&item["type"])).expect("a type");
    let priced = kind < 2;
    let fee = if priced { &item["gasPrice"] } else { &item["maxFeePerGas"] };
    let protected = kind > 0 || item["protected"].as_bool().unwrap_or(true);
    TxEnv {
        tx_type: kind,
        caller: sender,
        gas_limit: small(&item["gas"]),
        gas_price: number(fee).to(),
        gas_priority_fee: (!priced).then(|| number(&item["maxPriorityFeePerGas"]).to()),
        kind: if item["to"].is_null() { TxKind::Create } else { TxKind::Call(address(&item["to"])) },
        value: number(&item["value"]),
        data: bytes(&item["input"]),
        nonce: small(&item["nonce"]),
        chain_id: protected.then_some(1),
        access_list: AccessList(list(&item["accessList"]).iter().map(access).collect()),
        authorization_list: list(&item["authorizationList"])
            .iter()
            .map(|each| Either::Left(authorization(each)))
            .collect(),
        ..TxEnv::default()
    }
}

fn access(item: &Value) -> AccessListItem {
    let storage_keys = list(&item["storageKeys"]).iter().map(|key| B256::from(number(key))).collect();
    AccessListItem { address: address(&item["address"]), storage_keys }
}

fn authorization(item: &Value) -> SignedAuthorization {
    let given = Authorization {
        chain_id: number(&item["chainId"]),
        address: address(&item["address"]),
        nonce: small(&item["nonce"]),
    };
    let parity = u8::try_from(small(&item["yParity"])).expect("a parity");
    SignedAuthorization::new_unchecked(given, parity, number(&item["r"]), number(&item["s"]))
}
