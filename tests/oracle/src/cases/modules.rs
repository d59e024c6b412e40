//! Code that is no good: modules that cannot be loaded, linked or started, and guests that misbehave.

use wasm_encoder as we;

use super::own::{ALL_GAS, call};
use crate::args;
use crate::guest::*;
use crate::plan::{Plans, Versions};
use crate::scene::{GUEST, Scene};

pub fn plans(plans: &mut Plans) {
    plans.group("modules", Versions::Two);
    unloadable(plans);
    odd(plans);
    traps(plans);
    endless(plans);
    memory(plans);
    tables(plans);
    stack(plans);
}

/// What most modules here have: a memory and an `invoke` that answers nothing.
const PLAIN: &str = r#"(memory (export "memory") 1) (func (export "invoke") (param i32) (result i32) (i32.const 0))"#;

fn run(scene: &mut Scene, module: &[u8]) {
    scene.code(GUEST, module).invoke();
}

fn text(plans: &mut Plans, name: &str, fields: impl Into<String>) {
    let fields = fields.into();
    let bytes = module(&format!("(module {fields})"));
    plans.add(name, move |scene| run(scene, &bytes));
}

fn unloadable(plans: &mut Plans) {
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("garbage", b"this is no module".to_vec()),
        ("header-only", b"\0asm\x01\0\0\0".to_vec()),
        ("version-2", b"\0asm\x02\0\0\0".to_vec()),
        ("component", b"\0asm\x0d\0\x01\0".to_vec()),
        ("cut", module(&format!("(module {PLAIN})"))[..40].to_vec()),
        ("trailing", [module(&format!("(module {PLAIN})")), vec![0x77]].concat()),
    ];
    for (name, bytes) in rows {
        plans.add(format!("unloadable/{name}"), move |scene| run(scene, &bytes));
    }
    for (name, fields) in [
        ("no-memory", r#"(func (export "invoke") (param i32) (result i32) (i32.const 0))"#.to_owned()),
        ("memory-not-exported", r#"(memory 1) (func (export "invoke") (param i32) (result i32) (i32.const 0))"#.to_owned()),
        ("memory-is-a-function", r#"(memory 1) (func (export "memory")) (func (export "invoke") (param i32) (result i32) (i32.const 0))"#.to_owned()),
        ("no-invoke", r#"(memory (export "memory") 1) (func (export "main") (param i32) (result i32) (i32.const 0))"#.to_owned()),
        ("invoke-is-a-memory", r#"(memory (export "memory") (export "invoke") 1) (func)"#.to_owned()),
        ("invoke-without-parameter", r#"(memory (export "memory") 1) (func (export "invoke") (result i32) (i32.const 0))"#.to_owned()),
        ("invoke-of-64-bits", r#"(memory (export "memory") 1) (func (export "invoke") (param i64) (result i32) (i32.const 0))"#.to_owned()),
        ("invoke-without-result", r#"(memory (export "memory") 1) (func (export "invoke") (param i32))"#.to_owned()),
        ("invoke-with-two-parameters", r#"(memory (export "memory") 1) (func (export "invoke") (param i32 i32) (result i32) (i32.const 0))"#.to_owned()),
        ("unknown-import", format!(r#"(import "vm" "no_such_call" (func)) {PLAIN}"#)),
        ("unknown-module", format!(r#"(import "env" "abort" (func (param i32 i32 i32 i32))) {PLAIN}"#)),
        ("unknown-import-of-later", format!(r#"(import "actor" "upgrade_actor" (func (param i32 i32 i32) (result i32))) {PLAIN}"#)),
        ("unknown-import-install", format!(r#"(import "actor" "install_actor" (func (param i32) (result i32))) {PLAIN}"#)),
        ("import-of-wrong-type", format!(r#"(import "ipld" "block_open" (func (param i32) (result i32))) {PLAIN}"#)),
        ("import-of-no-result", format!(r#"(import "debug" "log" (func (param i32 i32))) {PLAIN}"#)),
        ("old-abi", format!(r#"(import "rand" "get_chain_randomness" (func (param i32 i64 i64 i32 i32) (result i32))) {PLAIN}"#)),
        ("import-as-global", format!(r#"(import "vm" "exit" (global i32)) {PLAIN}"#)),
        ("imported-memory", r#"(import "env" "memory" (memory 1)) (export "memory" (memory 0)) (func (export "invoke") (param i32) (result i32) (i32.const 0))"#.to_owned()),
        ("imported-table", format!(r#"(import "env" "table" (table 1 funcref)) {PLAIN}"#)),
        ("imported-global", format!(r#"(import "env" "g" (global i32)) {PLAIN}"#)),
        ("imported-gas-counter", format!(r#"(import "gas" "gas_counter" (global (mut i64))) {PLAIN}"#)),
        ("imported-gas-counter-of-32-bits", format!(r#"(import "gas" "gas_counter" (global (mut i32))) {PLAIN}"#)),
        ("imported-gas-function", format!(r#"(import "gas" "charge" (func (param i32 i32 i64) (result i32))) {PLAIN}"#)),
        ("imported-counter-of-another-name", format!(r#"(import "gas" "other" (global (mut i64))) {PLAIN}"#)),
        ("multi-value", format!("{PLAIN} (func (result i32 i32) (i32.const 1) (i32.const 2))")),
        ("multi-value-block", format!("{PLAIN} (func (drop (drop (block (result i32 i32) (i32.const 1) (i32.const 2)))))")),
        ("block-with-parameter", format!("{PLAIN} (func (i32.const 1) (block (param i32) (drop)))")),
        ("simd", format!("{PLAIN} (func (drop (v128.const i64x2 1 2)))")),
        ("simd-local", format!("{PLAIN} (func (local v128))")),
        ("atomics", r#"(memory (export "memory") 1 1 shared) (func (export "invoke") (param i32) (result i32) (i32.const 0))"#.to_owned()),
        ("atomic-fence", format!("{PLAIN} (func (atomic.fence))")),
        ("tail-call", format!("{PLAIN} (func $f (return_call $f))")),
        ("exception", format!("{PLAIN} (tag $t) (func (throw $t))")),
        ("memory-64", r#"(memory (export "memory") i64 1) (func (export "invoke") (param i32) (result i32) (i32.const 0))"#.to_owned()),
        ("two-memories", r#"(memory (export "memory") 1) (memory 1) (func (export "invoke") (param i32) (result i32) (i32.const 0))"#.to_owned()),
        ("ref-null", format!("{PLAIN} (func (drop (ref.null func)))")),
        ("ref-is-null", format!("{PLAIN} (table 1 funcref) (func (drop (ref.is_null (table.get 0 (i32.const 0)))))")),
        ("ref-func", format!("{PLAIN} (func $f (drop (ref.func $f))) (elem declare func $f)")),
        ("externref-parameter", format!("{PLAIN} (func (param externref))")),
        ("externref-local", format!("{PLAIN} (func (local externref))")),
        ("externref-table", format!("{PLAIN} (table 1 externref)")),
        ("funcref-local", format!("{PLAIN} (func (local funcref))")),
        ("funcref-global", format!("{PLAIN} (global funcref (ref.null func))")),
        ("typed-select", format!("{PLAIN} (func (drop (select (result i32) (i32.const 1) (i32.const 2) (i32.const 3))))")),
        ("typed-reference", format!("{PLAIN} (type $t (func)) (func (param (ref null $t)))")),
        ("extended-const", format!("{PLAIN} (global i32 (i32.add (i32.const 1) (i32.const 2)))")),
        ("wide-arithmetic", format!("{PLAIN} (func (param i64 i64) (drop) (drop (i64.mul_wide_u (local.get 0) (local.get 1))))")),
        ("two-tables", format!("{PLAIN} (table 1 funcref) (table 1 funcref)")),
        ("data-offset-of-global", format!(r#"{PLAIN} (global $g i32 (i32.const 3)) (data (global.get $g) "x")"#)),
        ("data-outside", format!(r#"{PLAIN} (data (i32.const 65536) "x")"#)),
        ("data-crossing", format!(r#"{PLAIN} (data (i32.const 65530) "0123456789")"#)),
        ("data-empty-at-end", format!(r#"{PLAIN} (data (i32.const 65536) "")"#)),
        ("data-empty-beyond", format!(r#"{PLAIN} (data (i32.const 65537) "")"#)),
        ("element-outside", format!("{PLAIN} (table 1 funcref) (func $f) (elem (i32.const 1) func $f)")),
        ("element-expressions", format!("{PLAIN} (table 1 funcref) (func $f) (elem (i32.const 0) funcref (ref.func $f))")),
        ("element-null", format!("{PLAIN} (table 1 funcref) (elem (i32.const 0) funcref (ref.null func))")),
        ("element-passive", format!("{PLAIN} (table 1 funcref) (func $f) (elem func $f)")),
        ("element-declared", format!("{PLAIN} (func $f) (elem declare func $f)")),
        ("start-empty", format!("{PLAIN} (func $s) (start $s)")),
        ("start-works", format!("{PLAIN} (global $g (mut i32) (i32.const 0)) (func $s (global.set $g (i32.const 5))) (start $s)")),
        ("start-traps", format!("{PLAIN} (func $s unreachable) (start $s)")),
        ("start-endless", format!("{PLAIN} (func $s (loop $l (br $l))) (start $s)")),
        ("start-grows", format!("{PLAIN} (func $s (drop (memory.grow (i32.const 3)))) (start $s)")),
        ("start-recurses", format!("{PLAIN} (func $s (call $s)) (start $s)")),
        ("names-and-custom-sections", format!(r#"(@custom "note" "some text") {PLAIN} (func $a_name)"#)),
        ("exported-global", format!(r#"{PLAIN} (global (export "g") (mut i32) (i32.const 7)) (global (export "h") i64 (i64.const 8))"#)),
        ("unused-parts", format!(r#"{PLAIN} (table (export "t") 3 funcref) (func $f (param i64 f32 f64) (result f64) (f64.const 1)) (elem (i32.const 0) func $f) (data "passive")"#)),
        ("data-count-section", format!(r#"{PLAIN} (data $d "abc") (func (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)))"#)),
    ] {
        text(plans, &format!("loading/{name}"), fields);
    }
}

/// Sizes at the edges of what a validator takes.
fn odd(plans: &mut Plans) {
    let with_locals = |count: u32, groups: u32| {
        let mut bytes = we::Module::new();
        let mut types = we::TypeSection::new();
        types.ty().function([we::ValType::I32], [we::ValType::I32]);
        let mut functions = we::FunctionSection::new();
        functions.function(0);
        let mut memories = we::MemorySection::new();
        memories.memory(we::MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut exports = we::ExportSection::new();
        exports.export("memory", we::ExportKind::Memory, 0).export("invoke", we::ExportKind::Func, 0);
        let mut code = we::CodeSection::new();
        let mut function = we::Function::new((0..groups).map(|_| (count / groups, we::ValType::I64)));
        function.instructions().i32_const(0).end();
        code.function(&function);
        bytes.section(&types).section(&functions).section(&memories).section(&exports).section(&code);
        bytes.finish()
    };
    for (count, groups) in [
        (49_999, 1),
        (50_000, 1),
        (50_001, 1),
        (2040, 2040),
        (2044, 2044),
        (2045, 2045),
        (2046, 2046),
        (2047, 2047),
        (2048, 2048),
        (3000, 3000),
    ] {
        plans.add(format!("sizes/locals-{count}-in-{groups}"), move |scene| run(scene, &with_locals(count, groups)));
    }
    for count in [999, 1000, 1001] {
        text(plans, &format!("sizes/parameters-{count}"), format!("{PLAIN} (func (param {}))", "i32 ".repeat(count)));
    }
    for count in [1000, 10_000] {
        text(plans, &format!("sizes/functions-{count}"), format!("{PLAIN} {}", "(func)".repeat(count)));
        text(
            plans,
            &format!("sizes/globals-{count}"),
            format!("{PLAIN} {}", "(global i32 (i32.const 0))".repeat(count)),
        );
        text(plans, &format!("sizes/types-{count}"), format!("{PLAIN} {}", "(type (func (param i32)))".repeat(count)));
    }
    for depth in [100, 1000, 5000] {
        let nest = format!("{}{}", "(block ".repeat(depth), ")".repeat(depth));
        text(plans, &format!("sizes/nested-blocks-{depth}"), format!("{PLAIN} (func {nest})"));
    }
    for count in [100, 10_000] {
        let labels = "0 ".repeat(count);
        text(
            plans,
            &format!("sizes/br-table-{count}"),
            format!("{PLAIN} (func (block (br_table {labels} 0 (i32.const 3))))"),
        );
    }
    for length in [1000, 100_000] {
        let name = "n".repeat(length);
        text(plans, &format!("sizes/export-name-{length}"), format!("{PLAIN} (func (export \"{name}\"))"));
    }
    for count in [1000usize, 100_000] {
        let data = (0..count).map(|_| "(data \"\")").collect::<String>();
        text(plans, &format!("sizes/data-segments-{count}"), format!("{PLAIN} {data}"));
    }
}

fn traps(plans: &mut Plans) {
    for (name, statement) in [
        ("unreachable", "unreachable"),
        ("divide-by-zero", "(drop (i32.div_s (i32.const 1) (i32.const 0)))"),
        ("divide-by-zero-64", "(drop (i64.rem_u (i64.const 1) (i64.const 0)))"),
        ("divide-overflow", "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))"),
        ("divide-overflow-64", "(drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1)))"),
        ("remainder-no-overflow", "(drop (i32.rem_s (i32.const 0x80000000) (i32.const -1)))"),
        ("truncate-nan", "(drop (i32.trunc_f64_s (f64.const nan)))"),
        ("truncate-large", "(drop (i32.trunc_f32_u (f32.const 1e30)))"),
        ("truncate-negative", "(drop (i64.trunc_f64_u (f64.const -1)))"),
        ("truncate-saturating", "(drop (i32.trunc_sat_f64_s (f64.const nan)))"),
        ("load-outside", "(drop (i32.load (i32.const 65533)))"),
        ("load-offset", "(drop (i32.load offset=0xffffffff (i32.const 0)))"),
        ("load-wrapping", "(drop (i64.load offset=8 (i32.const -4)))"),
        ("load-at-edge", "(drop (i32.load (i32.const 65532)))"),
        ("load-misaligned", "(drop (i64.load align=8 (i32.const 1)))"),
        ("store-outside", "(i64.store (i32.const 65529) (i64.const 1))"),
        ("store-8-outside", "(i32.store8 (i32.const 65536) (i32.const 1))"),
        ("fill-outside", "(memory.fill (i32.const 65530) (i32.const 1) (i32.const 7))"),
        ("fill-nothing-at-end", "(memory.fill (i32.const 65536) (i32.const 1) (i32.const 0))"),
        ("fill-nothing-beyond", "(memory.fill (i32.const 65537) (i32.const 1) (i32.const 0))"),
        ("copy-outside", "(memory.copy (i32.const 0) (i32.const 65530) (i32.const 7))"),
        ("copy-overlapping", "(memory.copy (i32.const 1) (i32.const 0) (i32.const 100))"),
    ] {
        plans.add(format!("traps/{name}"), move |scene| {
            scene.guest(GUEST, &Guest::new().wat(statement)).invoke();
        });
    }
    let table =
        "(table 4 funcref) (type $none (func)) (type $one (func (param i32))) (func $f) (elem (i32.const 0) func $f)";
    for (name, statement) in [
        ("call-null", "(call_indirect (type $none) (i32.const 2))"),
        ("call-outside", "(call_indirect (type $none) (i32.const 4))"),
        ("call-negative", "(call_indirect (type $none) (i32.const -1))"),
        ("call-wrong-type", "(call_indirect (type $one) (i32.const 1) (i32.const 0))"),
        ("call-right", "(call_indirect (type $none) (i32.const 0))"),
    ] {
        plans.add(format!("traps/{name}"), move |scene| {
            scene.guest(GUEST, &Guest::new().outside(table).wat(statement)).invoke();
        });
    }
    plans.add("traps/in-a-call-with-answer", |scene| {
        let callee = Guest::new().wat("unreachable");
        let caller = call(call(Guest::new(), GUEST + 1, 2, 0, ALL_GAS, 0), GUEST + 1, 2, 0, ALL_GAS, 0);
        scene.guest(GUEST, &caller).guest(GUEST + 1, &callee).invoke();
    });
    for name in ["vm.exit", "ipld.block_create", "ipld.block_open", "send.send", "event.emit_event", "crypto.hash"] {
        plans.add(format!("traps/wild-pointers-{name}"), move |scene| {
            let wild = [0xffff_ffffi64, 0x8000_0000, 0x7fff_ffff, 65535];
            let guest = wild.iter().fold(Guest::new().import(&["vm.exit"]), |guest, pointer| match name {
                "vm.exit" => guest,
                "ipld.block_create" => guest.sys(name, args![0x55, *pointer, *pointer]),
                "ipld.block_open" => guest.sys(name, args![*pointer]),
                "send.send" => guest.sys(name, args![*pointer, *pointer, 2, *pointer, *pointer, *pointer, *pointer, 0]),
                "event.emit_event" => {
                    guest.sys(name, args![*pointer, *pointer, *pointer, *pointer, *pointer, *pointer])
                }
                _ => guest.sys(name, args![0x12, *pointer, *pointer, *pointer, *pointer]),
            });
            let guest = if name == "vm.exit" { guest.sys(name, args![77, 0, 0xffff_ffff, 0xffff_ffff]) } else { guest };
            scene.guest(GUEST, &guest).invoke();
        });
    }
}

fn endless(plans: &mut Plans) {
    for (name, statement) in [
        ("loop", "(loop $l (br $l))"),
        ("loop-of-nothing", "(loop $l (block (br $l)))"),
        ("loop-of-free-instructions", "(loop $l nop nop (drop (block (result i32) (i32.const 1))) (br $l))"),
        ("loop-of-table", "(loop $l (br_table $l $l (i32.const 0)))"),
        ("loop-of-growing", "(loop $l (drop (memory.grow (i32.const 1))) (br $l))"),
        ("loop-of-filling", "(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $l))"),
        ("loop-of-syscalls", "(loop $l (drop (call $gas.available (i32.const 256))) (br $l))"),
        ("loop-of-failing-syscalls", "(loop $l (drop (call $gas.available (i32.const -1))) (br $l))"),
        (
            "loop-of-blocks",
            "(loop $l (drop (call $ipld.block_create (i32.const 256) (i64.const 0x55) (i32.const 0) (i32.const 60000))) (br $l))",
        ),
    ] {
        plans.add(format!("endless/{name}"), move |scene| {
            scene.guest(GUEST, &Guest::new().import(&["gas.available"]).wat(statement)).invoke().gas_limit(20_000_000);
        });
    }
    plans.add("endless/mutual-calls", |scene| {
        // Two actors call each other until there is no gas or no depth.
        let one = call(Guest::new(), GUEST + 1, 2, 0, ALL_GAS, 0);
        let two = call(Guest::new(), GUEST, 2, 0, ALL_GAS, 0);
        scene.guest(GUEST, &one).guest(GUEST + 1, &two).invoke().gas_limit(30_000_000);
    });
}

fn memory(plans: &mut Plans) {
    for (name, limits) in [
        ("none", "0"),
        ("most", "8192"),
        ("too-much", "8193"),
        ("all-of-32-bits", "65536"),
        ("maximum-reached", "1 1"),
        ("maximum-large", "1 65536"),
    ] {
        plans.add(format!("memory/initial-{name}"), move |scene| {
            let bytes = module(&format!(
                r#"(module (memory (export "memory") {limits}) (func (export "invoke") (param i32) (result i32) (i32.const 0)))"#
            ));
            run(scene, &bytes);
        });
    }
    for (name, limits, pages) in [
        ("nothing", "1", 0i64),
        ("one", "1", 1),
        ("to-the-limit", "1", 8191),
        ("beyond-the-limit", "1", 8192),
        ("far-beyond", "1", 65536),
        ("negative", "1", -1),
        ("to-maximum", "1 3", 2),
        ("beyond-maximum", "1 3", 3),
    ] {
        plans.add(format!("memory/grow-{name}"), move |scene| {
            let guest = Guest::new()
                .memory(limits)
                .outside(&format!("(global $pages i32 (i32.const {pages}))"))
                .note("(memory.grow (global.get $pages))")
                .note("(memory.size)");
            scene.guest(GUEST, &guest).invoke().gas_limit(5_000_000_000);
        });
        if pages >= 0 {
            plans.add(format!("memory/grow-constant-{name}"), move |scene| {
                let guest = Guest::new()
                    .memory(limits)
                    .note(&format!("(memory.grow (i32.const {pages}))"))
                    .note("(memory.size)");
                scene.guest(GUEST, &guest).invoke().gas_limit(5_000_000_000);
            });
        }
    }
    plans.add("memory/grow-constant-negative", |scene| {
        // A constant below zero before a linearly priced instruction: the module is refused.
        scene.guest(GUEST, &Guest::new().note("(memory.grow (i32.const -1))")).invoke();
    });
    plans.add("memory/use-of-grown", |scene| {
        let guest = Guest::new()
            .note("(memory.grow (i32.const 2))")
            .wat("(i32.store (i32.const 131072) (i32.const 77))")
            .note("(i32.load (i32.const 131072))")
            .sys("crypto.hash", args![0x12, 65536, 131_072, BUF, 32])
            .keep(BUF, 32);
        scene.guest(GUEST, &guest).invoke();
    });
    for levels in [3u64, 4, 5] {
        plans.add(format!("memory/together-{levels}"), move |scene| {
            // Each level of the call stack takes 512 MiB; together they may have 2 GiB, freed when a call returns.
            for level in 0..levels {
                let guest = Guest::new().note("(memory.grow (i32.const 8191))").note("(memory.size)");
                let guest = if level + 1 < levels { call(guest, GUEST + level + 1, 2, 0, ALL_GAS, 0) } else { guest };
                let guest = guest.sys("ipld.block_read", args![1, 0, 0x4000, 200]).keep(0x4000, 200);
                scene.guest(GUEST + level, &guest);
            }
            scene.invoke();
        });
    }
    plans.add("memory/together-again", |scene| {
        let large = Guest::new().note("(memory.grow (i32.const 8191))");
        let mut caller = Guest::new();
        for _ in 0..6 {
            caller = call(caller, GUEST + 1, 2, 0, ALL_GAS, 0);
        }
        let caller = (1..=6)
            .fold(caller, |guest, block| guest.sys("ipld.block_read", args![block, 0, 0x4000, 4]).keep(0x4000, 4));
        scene.guest(GUEST, &caller).guest(GUEST + 1, &large).invoke();
    });
    plans.add("memory/initial-together", |scene| {
        // The fifth instance does not fit: it cannot be made at all.
        for level in 0..5u64 {
            let guest = Guest::new().memory("8000");
            let guest = if level < 4 { call(guest, GUEST + level + 1, 2, 0, ALL_GAS, 0) } else { guest };
            let guest = guest.sys("ipld.block_read", args![1, 0, 0x4000, 200]).keep(0x4000, 200);
            scene.guest(GUEST + level, &guest);
        }
        scene.invoke();
    });
}

fn tables(plans: &mut Plans) {
    for (name, limits) in [
        ("small", "10"),
        ("most", "20000"),
        ("too-large", "20001"),
        ("maximum", "1 20001"),
        ("maximum-of-32-bits", "1 4294967295"),
    ] {
        for (kind, export) in [
            ("", ""),
            ("-exported", "(export \"table\")"),
            ("-exported-otherwise", "(export \"__indirect_function_table\")"),
        ] {
            text(plans, &format!("table/{name}{kind}"), format!("{PLAIN} (table {export} {limits} funcref)"));
        }
    }
    let table = "(table $t 5 30 funcref) (func $f) (elem $e func $f $f $f) (elem (i32.const 0) func $f $f)";
    for (name, statement) in [
        ("size", "(call $note (table.size $t))"),
        ("get", "(table.set $t (i32.const 3) (table.get $t (i32.const 0))) (call_indirect (i32.const 3))"),
        ("get-outside", "(table.set $t (i32.const 5) (table.get $t (i32.const 0)))"),
        (
            "grow",
            "(call $note (table.grow $t (table.get $t (i32.const 0)) (i32.const 4))) (call_indirect (i32.const 8))",
        ),
        ("grow-beyond", "(call $note (table.grow $t (table.get $t (i32.const 0)) (i32.const 26)))"),
        (
            "grow-dynamic",
            "(call $note (table.grow $t (table.get $t (i32.const 0)) (i32.add (i32.const 2) (i32.const 2))))",
        ),
        (
            "fill",
            "(table.fill $t (i32.const 1) (table.get $t (i32.const 0)) (i32.const 4)) (call_indirect (i32.const 4))",
        ),
        (
            "fill-dynamic",
            "(table.fill $t (i32.const 1) (table.get $t (i32.const 0)) (i32.add (i32.const 1) (i32.const 1)))",
        ),
        ("fill-outside", "(table.fill $t (i32.const 1) (table.get $t (i32.const 0)) (i32.const 5))"),
        ("copy", "(table.copy (i32.const 2) (i32.const 0) (i32.const 2)) (call_indirect (i32.const 3))"),
        ("copy-dynamic", "(table.copy (i32.const 2) (i32.const 0) (i32.add (i32.const 1) (i32.const 1)))"),
        ("copy-outside", "(table.copy (i32.const 4) (i32.const 0) (i32.const 2))"),
        ("init", "(table.init $e (i32.const 2) (i32.const 0) (i32.const 3)) (call_indirect (i32.const 4))"),
        ("init-dynamic", "(table.init $e (i32.const 2) (i32.const 0) (i32.add (i32.const 1) (i32.const 1)))"),
        ("init-outside", "(table.init $e (i32.const 2) (i32.const 1) (i32.const 3))"),
        ("drop", "(elem.drop $e) (table.init $e (i32.const 2) (i32.const 0) (i32.const 1))"),
        ("drop-and-nothing", "(elem.drop $e) (table.init $e (i32.const 2) (i32.const 0) (i32.const 0))"),
    ] {
        plans.add(format!("table/{name}"), move |scene| {
            scene.guest(GUEST, &Guest::new().outside(table).wat(statement)).invoke();
        });
    }
}

/// Recursion until the limiter stops it.
fn stack(plans: &mut Plans) {
    plans.add("stack/endless", |scene| {
        scene.guest(GUEST, &Guest::new().outside("(func $r (call $r))").wat("(call $r)")).invoke();
    });
    plans.add("stack/overflow-in-a-call", |scene| {
        let callee = Guest::new().outside("(func $r (call $r))").wat("(call $r)");
        scene.guest(GUEST, &call(Guest::new(), GUEST + 1, 2, 0, ALL_GAS, 0)).guest(GUEST + 1, &callee).invoke();
    });
}
