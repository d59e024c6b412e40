//! Executes blocks with revm: each line of the input is a block as JSON, each line of the output its result.
//!
//! A block has the transition tool's `alloc`, `env` and `txs`, the name of revm's `spec`, and the `sender` of all
//! transactions. The result has the status, gas and logs of each transaction (null if it is invalid), and the accounts
//! afterwards. System calls and withdrawals are executed as in `core/state_processor.go` of go-ethereum.

mod read;

use std::io::{BufRead, Write, stdin, stdout};
use std::str::FromStr;

use revm::context::result::ExecutionResult;
use revm::context::{BlockEnv, TxEnv};
use revm::database::{AccountState, CacheDB, EmptyDB};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, Bytes, Log, U256, address, hex};
use revm::state::AccountInfo;
use revm::{Context, ExecuteCommitEvm, MainBuilder, MainContext, SystemCallCommitEvm};
use serde_json::{Map, Value, json};

const BEACON_ROOTS: Address = address!("000f3df6d732807ef1319fb7b8bb8522d0beac02");
const BLOCK_HASHES: Address = address!("0000f90827f1c53a10cb7a02335b175320002935");
const REQUESTS: [Address; 2] =
    [address!("00000961ef480eb55e80d19ad83579a64c007002"), address!("0000bbddc7ce488642fb579f8b00f3a590007251")];
const BUILDER_REQUESTS: [Address; 2] =
    [address!("0000bff46984e3725691fa540a8c7589300d8282"), address!("000064d678505ad48f8ccb093bc65613800e8282")];
const GWEI: u64 = 1_000_000_000;

type Accounts = CacheDB<EmptyDB>;

fn main() {
    let mut output = stdout().lock();
    for line in stdin().lock().lines() {
        let given: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        writeln!(output, "{}", run(&given)).expect("the output is open");
        output.flush().expect("the output is open");
    }
}

/// Execute a block, and return its result.
fn run(given: &Value) -> Value {
    let spec = SpecId::from_str(given["spec"].as_str().expect("a spec")).expect("a spec of revm");
    let env = &given["env"];
    let block = read::block(env, spec);
    let accounts = read::accounts(&given["alloc"], env);
    let (txs, mut accounts) = execute(given, spec, &block, accounts);
    if spec.is_enabled_in(SpecId::SHANGHAI) {
        pay(&mut accounts, env);
    }
    json!({ "txs": txs, "alloc": after(&finish(spec, block, accounts)) })
}

fn execute(given: &Value, spec: SpecId, block: &BlockEnv, accounts: Accounts) -> (Vec<Value>, Accounts) {
    let mut evm = Context::mainnet()
        .with_db(accounts)
        .with_block(block.clone())
        .modify_cfg_chained(|cfg| cfg.set_spec_and_mainnet_gas_params(spec))
        .build_mainnet();
    if spec.is_enabled_in(SpecId::CANCUN) {
        let root = read::bytes(&given["env"]["parentBeaconBlockRoot"]);
        evm.system_call_commit(BEACON_ROOTS, root).expect("a system call");
    }
    if spec.is_enabled_in(SpecId::PRAGUE) {
        let parent = format!("{:#x}", block.number - U256::ONE);
        let hash = read::bytes(&given["env"]["blockHashes"][parent]);
        evm.system_call_commit(BLOCK_HASHES, hash).expect("a system call");
    }
    let sender = read::address(&given["sender"]);
    let items = given["txs"].as_array().expect("transactions");
    let txs: Vec<TxEnv> = items.iter().map(|item| read::transaction(item, sender)).collect();
    let mut results = Vec::new();
    for tx in txs {
        results.push(evm.transact_commit(tx).map_or(Value::Null, |done| shown(&done)));
        clear_empty(&mut evm.ctx.journaled_state.database);
    }
    (results, evm.ctx.journaled_state.database)
}

/// Remove empty accounts (EIP-161), which `CacheDB` keeps.
fn clear_empty(accounts: &mut Accounts) {
    for account in accounts.cache.accounts.values_mut() {
        if account.info.is_empty() {
            account.account_state = AccountState::NotExisting;
        }
    }
}

/// Call the contracts of the requests.
fn finish(spec: SpecId, block: BlockEnv, accounts: Accounts) -> Accounts {
    let mut evm = Context::mainnet()
        .with_db(accounts)
        .with_block(block)
        .modify_cfg_chained(|cfg| cfg.set_spec_and_mainnet_gas_params(spec))
        .build_mainnet();
    let none: [Address; 0] = [];
    let requests = if spec.is_enabled_in(SpecId::PRAGUE) { &REQUESTS[..] } else { &none[..] };
    let builders = if spec.is_enabled_in(SpecId::AMSTERDAM) { &BUILDER_REQUESTS[..] } else { &none[..] };
    for contract in requests.iter().chain(builders) {
        evm.system_call_commit(*contract, Bytes::new()).expect("a system call");
    }
    evm.ctx.journaled_state.database
}

fn pay(accounts: &mut Accounts, env: &Value) {
    for withdrawal in env["withdrawals"].as_array().into_iter().flatten() {
        let amount = read::number(&withdrawal["amount"]) * U256::from(GWEI);
        let account = accounts.load_account(read::address(&withdrawal["address"])).expect("an account");
        let balance = account.info.balance + amount;
        account.update_info(AccountInfo { balance, ..account.info.clone() });
        if account.account_state == AccountState::NotExisting {
            account.account_state = AccountState::Touched;
        }
    }
}

fn shown(done: &ExecutionResult) -> Value {
    let logs: Vec<Value> = done
        .logs()
        .iter()
        .map(|log| json!({ "address": shown_hex(log.address), "topics": topics(log), "data": shown_hex(&log.data.data) }))
        .collect();
    json!({ "status": done.is_success(), "gasUsed": done.tx_gas_used(), "logs": logs })
}

fn topics(log: &Log) -> Vec<String> {
    log.topics().iter().map(shown_hex).collect()
}

fn shown_hex(data: impl AsRef<[u8]>) -> String {
    hex::encode_prefixed(data)
}

/// Return the accounts that are not empty, in the form of the transition tool.
fn after(accounts: &Accounts) -> Value {
    let mut found = Map::new();
    for (address, account) in &accounts.cache.accounts {
        if account.account_state == AccountState::NotExisting || account.info.is_empty() {
            continue;
        }
        let code =
            accounts.cache.contracts.get(&account.info.code_hash).map_or_else(Bytes::new, |code| code.original_bytes());
        let storage: Map<String, Value> = account
            .storage
            .iter()
            .filter(|(_, word)| !word.is_zero())
            .map(|(slot, word)| (format!("{slot:#066x}"), json!(format!("{word:#066x}"))))
            .collect();
        let fields = json!({
            "balance": format!("{:#x}", account.info.balance),
            "nonce": format!("{:#x}", account.info.nonce),
            "code": shown_hex(&code),
            "storage": storage,
        });
        found.insert(format!("{address:#x}"), fields);
    }
    Value::Object(found)
}
