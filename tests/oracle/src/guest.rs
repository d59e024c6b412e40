//! Small guests: a module's text is put together from syscalls and plain WAT, and answers with what each syscall said.
//!
//! Memory: results of syscalls at `RET`, constants from `DATA` on, the answer from `OUT` on. A syscall writes its error
//! number and then its result (what lies at `RET`, changed or not) into the answer, which `invoke` returns as a raw block.

use std::collections::BTreeSet;
use std::fmt::Write;

/// Where a syscall's result is written.
pub const RET: i64 = 0x100;
/// Where constants are placed by convention.
pub const DATA: i64 = 0x400;
/// A buffer for CIDs and other output.
pub const BUF: i64 = 0x3000;
/// Where the answer grows.
pub const OUT: i64 = 0xE000;

/// Module and name, parameters (`i` 32 bits, `I` 64 bits) without the result pointer, size of the result in bytes.
const SYSCALLS: &[(&str, &str, u32)] = &[
    ("vm.exit", "iiii", 0),
    ("vm.message_context", "", 80),
    ("network.context", "", 44),
    ("network.tipset_cid", "Iii", 4),
    ("network.total_fil_circ_supply", "", 16),
    ("ipld.block_open", "i", 16),
    ("ipld.block_create", "Iii", 4),
    ("ipld.block_read", "iiii", 4),
    ("ipld.block_stat", "i", 12),
    ("ipld.block_link", "iIiii", 4),
    ("self.root", "ii", 4),
    ("self.set_root", "i", 0),
    ("self.current_balance", "", 16),
    ("self.self_destruct", "i", 0),
    ("actor.resolve_address", "ii", 8),
    ("actor.lookup_delegated_address", "Iii", 4),
    ("actor.get_actor_code_cid", "Iii", 4),
    ("actor.get_builtin_actor_type", "i", 4),
    ("actor.get_code_cid_for_type", "iii", 4),
    ("actor.next_actor_address", "ii", 4),
    ("actor.create_actor", "Iiii", 0),
    ("actor.balance_of", "I", 16),
    ("actor.install_actor", "i", 0),
    ("actor.upgrade_actor", "ii", 20),
    ("crypto.verify_signature", "iiiiiii", 4),
    ("crypto.verify_bls_aggregate", "iiiii", 4),
    ("crypto.recover_secp_public_key", "ii", 65),
    ("crypto.hash", "Iiiii", 4),
    ("crypto.compute_unsealed_sector_cid", "Iiiii", 4),
    ("crypto.verify_post", "ii", 4),
    ("crypto.verify_consensus_fault", "iiiiii", 20),
    ("crypto.verify_aggregate_seals", "ii", 4),
    ("crypto.verify_replica_update", "ii", 4),
    ("crypto.batch_verify_seals", "iii", 0),
    ("event.emit_event", "iiiiii", 0),
    ("rand.get_chain_randomness", "I", 32),
    ("rand.get_beacon_randomness", "I", 32),
    ("gas.charge", "iiI", 0),
    ("gas.available", "", 8),
    ("send.send", "iiIiIIII", 20),
    ("debug.enabled", "", 4),
    ("debug.log", "ii", 0),
    ("debug.store_artifact", "iiii", 0),
];

fn syscall(name: &str) -> (&'static str, &'static str, u32) {
    *SYSCALLS.iter().find(|row| row.0 == name).unwrap_or_else(|| panic!("no syscall {name}"))
}

/// An argument: a constant, or an expression in WAT.
pub enum Arg {
    Number(i64),
    Text(String),
}

impl From<i64> for Arg {
    fn from(number: i64) -> Self {
        Arg::Number(number)
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Arg::Text(text.to_owned())
    }
}

/// Arguments of a syscall: `args![DATA, 40, "(local.get $params)"]`.
#[macro_export]
macro_rules! args {
    ($($arg:expr),* $(,)?) => { &[$($crate::guest::Arg::from($arg)),*] };
}

/// A guest in the making. `$params` is the handle of the parameters in every statement.
#[derive(Clone)]
pub struct Guest {
    imports: BTreeSet<&'static str>,
    data: Vec<(i64, Vec<u8>)>,
    body: String,
    outside: String,
    memory: String,
    upgrade: Option<String>,
}

impl Guest {
    pub fn new() -> Self {
        Self {
            imports: BTreeSet::from(["ipld.block_create"]),
            data: Vec::new(),
            body: String::new(),
            outside: String::new(),
            memory: "1".to_owned(),
            upgrade: None,
        }
    }

    /// What was said so far is what `upgrade` does, the rest is for `invoke`; `$info` is the handle of the old code.
    pub fn upgrade(mut self) -> Self {
        self.upgrade = Some(std::mem::take(&mut self.body));
        self
    }

    /// Constants in memory at an address.
    pub fn data(mut self, at: i64, bytes: impl AsRef<[u8]>) -> Self {
        self.data.push((at, bytes.as_ref().to_vec()));
        self
    }

    /// The memory's limits in pages, as in WAT.
    pub fn memory(mut self, limits: &str) -> Self {
        self.memory = limits.to_owned();
        self
    }

    /// A statement of `invoke`.
    pub fn wat(mut self, text: impl AsRef<str>) -> Self {
        writeln!(self.body, "    {}", text.as_ref()).unwrap();
        self
    }

    /// Fields of the module beside `invoke`: functions, globals, tables.
    pub fn outside(mut self, text: &str) -> Self {
        writeln!(self.outside, "  {text}").unwrap();
        self
    }

    /// Import syscalls that only plain WAT calls, as `$module.name`.
    pub fn import(mut self, names: &[&str]) -> Self {
        self.imports.extend(names.iter().map(|name| syscall(name).0));
        self
    }

    /// Call a syscall; its error number and its result go into the answer.
    pub fn sys(self, name: &str, args: &[Arg]) -> Self {
        let (name, _, size) = syscall(name);
        let call = self.call_text(name, args);
        let noted = self.import(&[name]).wat(format!("(call $note {call})"));
        if size > 0 { noted.keep(RET, i64::from(size)) } else { noted }
    }

    /// Call a syscall that must not fail, without a trace in the answer: preparation.
    pub fn must(self, name: &str, args: &[Arg]) -> Self {
        let call = self.call_text(name, args);
        self.import(&[name]).wat(format!("(if {call} (then unreachable))"))
    }

    /// Call a syscall whose result pointer is given: the one error that comes before the syscall itself.
    pub fn sys_ret(self, name: &str, ret: i64, args: &[Arg]) -> Self {
        let call = self.call_text(name, args).replacen(&format!("(i32.const {RET})"), &format!("(i32.const {ret})"), 1);
        self.import(&[name]).wat(format!("(call $note {call})"))
    }

    /// Copy a part of memory into the answer.
    pub fn keep(self, at: i64, length: i64) -> Self {
        self.wat(format!("(call $keep (i32.const {at}) (i32.const {length}))"))
    }

    /// Write a number of 32 bits into the answer.
    pub fn note(self, text: &str) -> Self {
        self.wat(format!("(call $note {text})"))
    }

    fn call_text(&self, name: &str, args: &[Arg]) -> String {
        let (name, kinds, size) = syscall(name);
        assert_eq!(kinds.len(), args.len(), "{name} takes {kinds}");
        let mut text = format!("(call ${name}");
        if size > 0 {
            write!(text, " (i32.const {RET})").unwrap();
        }
        for (kind, arg) in kinds.chars().zip(args) {
            let width = if kind == 'I' { 64 } else { 32 };
            match arg {
                Arg::Number(number) => write!(text, " (i{width}.const {number})").unwrap(),
                Arg::Text(expression) => write!(text, " {expression}").unwrap(),
            }
        }
        text + ")"
    }

    /// The module's text.
    pub fn text(&self) -> String {
        let mut text = String::from("(module\n");
        for name in &self.imports {
            let (_, kinds, size) = syscall(name);
            let (module, field) = name.split_once('.').unwrap();
            let mut params = if size > 0 { " i32".to_owned() } else { String::new() };
            params.extend(kinds.chars().map(|kind| if kind == 'I' { " i64" } else { " i32" }));
            writeln!(text, "  (import \"{module}\" \"{field}\" (func ${name} (param{params}) (result i32)))").unwrap();
        }
        writeln!(text, "  (memory (export \"memory\") {})", self.memory).unwrap();
        for (at, bytes) in &self.data {
            writeln!(text, "  (data (i32.const {at}) \"{}\")", escape(bytes)).unwrap();
        }
        write!(text, "{}", self.outside).unwrap();
        write!(text, "{}", PRELUDE.replace("OUT", &OUT.to_string())).unwrap();
        if let Some(body) = &self.upgrade {
            let entry = "(func (export \"upgrade\") (param $params i32) (param $info i32) (result i32)";
            write!(text, "  {entry}\n{body}    (call $finish))\n").unwrap();
        }
        write!(text, "  (func (export \"invoke\") (param $params i32) (result i32)\n{}", self.body).unwrap();
        text + "    (call $finish)))\n"
    }

    pub fn build(&self) -> Vec<u8> {
        module(&self.text())
    }
}

/// `$note` appends a number to the answer, `$keep` a part of memory; `$finish` makes the answer a block.
const PRELUDE: &str = r#"  (global $end (mut i32) (i32.const OUT))
  (func $note (param $value i32)
    (i32.store (global.get $end) (local.get $value))
    (global.set $end (i32.add (global.get $end) (i32.const 4))))
  (func $keep (param $at i32) (param $length i32)
    (memory.copy (global.get $end) (local.get $at) (local.get $length))
    (global.set $end (i32.add (global.get $end) (local.get $length))))
  (func $finish (result i32)
    (if (call $ipld.block_create (i32.const 0) (i64.const 0x55) (i32.const OUT)
          (i32.sub (global.get $end) (i32.const OUT)))
      (then unreachable))
    (i32.load (i32.const 0)))
"#;

/// Assemble a module's text.
pub fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}
