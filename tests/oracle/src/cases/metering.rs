//! Gas of instructions: every numeric instruction, every form of control flow, and programs drawn at random.

use crate::args;
use crate::guest::*;
use crate::plan::{Plans, Versions};
use crate::scene::{GUEST, Scene};

pub fn plans(plans: &mut Plans) {
    plans.group("metering", Versions::One);
    numeric(plans);
    control(plans);
    dynamic(plans);
    stack_heights(plans);
    plans.group("programs", Versions::One);
    for seed in 0..160 {
        plans.add(format!("program-{seed:03}"), move |scene| {
            let program = Program::new(seed).write();
            let guest =
                Guest::new().outside(&program).wat("(call $main)").note("(global.get $a)").note("(global.get $b)");
            scene.guest(GUEST, &guest).invoke().gas_limit(12_000_000);
        });
    }
}

// --- numbers ---------------------------------------------------------------------------------------------------------

const INTEGERS: [&str; 9] = ["0", "1", "-1", "7", "-2147483648", "2147483647", "65536", "-559038737", "33"];
const FLOATS: [&str; 12] =
    ["0", "-0", "1", "-1.5", "inf", "-inf", "nan", "nan:0x200001", "1e-40", "3.5e9", "-7.25", "0.49999997"];

const BINARY_INTEGERS: &str =
    "add sub mul and or xor shl shr_s shr_u rotl rotr eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u";
const DIVISIONS: &str = "div_s div_u rem_s rem_u";
const BINARY_FLOATS: &str = "add sub mul div min max copysign eq ne lt gt le ge";
const UNARY_FLOATS: &str = "abs neg ceil floor trunc nearest sqrt";
const COMPARISONS: &str = "eq ne lt lt_s lt_u gt gt_s gt_u le le_s le_u ge ge_s ge_u eqz";

/// Apply an instruction to operands in memory, so that nothing is computed while compiling; keep the results.
fn applied(scene: &mut Scene, instruction: &str, operands: &[Vec<&str>], from: &str, to: &str) {
    let size = |kind: &str| if kind.ends_with("64") { 8i64 } else { 4 };
    let (mut guest, mut at, mut out) = (Guest::new(), 0x200i64, 0x3000i64);
    for row in operands {
        let loads: Vec<String> = row
            .iter()
            .map(|operand| {
                guest = guest.clone().wat(format!("({from}.store (i32.const {at}) ({from}.const {operand}))"));
                at += size(from);
                format!("({from}.load (i32.const {}))", at - size(from))
            })
            .collect();
        guest = guest.wat(format!("({to}.store (i32.const {out}) ({instruction} {}))", loads.join(" ")));
        out += size(to);
    }
    scene.guest(GUEST, &guest.keep(0x3000, out - 0x3000)).invoke();
}

fn pairs<'a>(values: &[&'a str], keep: impl Fn(&str, &str) -> bool) -> Vec<Vec<&'a str>> {
    let all = values.iter().flat_map(|a| values.iter().map(move |b| vec![*a, *b]));
    all.filter(|row| keep(row[0], row[1])).collect()
}

fn singles<'a>(values: &[&'a str]) -> Vec<Vec<&'a str>> {
    values.iter().map(|value| vec![*value]).collect()
}

fn numeric(plans: &mut Plans) {
    let mut add = |instruction: String, operands: Vec<Vec<&'static str>>, from: &'static str, to: &'static str| {
        plans.add(format!("numeric/{instruction}"), move |scene| applied(scene, &instruction, &operands, from, to));
    };
    for kind in ["i32", "i64"] {
        for name in BINARY_INTEGERS.split(' ') {
            let to = if COMPARISONS.split(' ').any(|known| known == name) { "i32" } else { kind };
            add(format!("{kind}.{name}"), pairs(&INTEGERS, |_, _| true), kind, to);
        }
        for name in DIVISIONS.split(' ') {
            // The smallest number by itself is left out: for a divisor known to be the smallest number, the compiler
            // of the reference (Cranelift of wasmtime 36) shifts, and the quotient comes out as -1.
            let smallest = |a: &str, b: &str| a == INTEGERS[4] && (b == "-1" || b == INTEGERS[4]);
            add(format!("{kind}.{name}"), pairs(&INTEGERS, |a, b| b != "0" && !smallest(a, b)), kind, kind);
        }
        for name in ["clz", "ctz", "popcnt", "extend8_s", "extend16_s"] {
            add(format!("{kind}.{name}"), singles(&INTEGERS), kind, kind);
        }
        add(format!("{kind}.eqz"), singles(&INTEGERS), kind, "i32");
    }
    for kind in ["f32", "f64"] {
        for name in BINARY_FLOATS.split(' ') {
            let to = if COMPARISONS.split(' ').any(|known| known == name) { "i32" } else { kind };
            add(format!("{kind}.{name}"), pairs(&FLOATS, |_, _| true), kind, to);
        }
        for name in UNARY_FLOATS.split(' ') {
            add(format!("{kind}.{name}"), singles(&FLOATS), kind, kind);
        }
        for integer in ["i32", "i64"] {
            for sign in ["s", "u"] {
                let small = singles(&["0", "-0", "1", "0.49999997", "1e-40", "7.99"]);
                add(format!("{integer}.trunc_{kind}_{sign}"), small, kind, integer);
                add(format!("{integer}.trunc_sat_{kind}_{sign}"), singles(&FLOATS), kind, integer);
                add(format!("{kind}.convert_{integer}_{sign}"), singles(&INTEGERS), integer, kind);
            }
        }
    }
    for (instruction, from, to) in [
        ("i32.wrap_i64", "i64", "i32"),
        ("i64.extend_i32_s", "i32", "i64"),
        ("i64.extend_i32_u", "i32", "i64"),
        ("i64.extend32_s", "i64", "i64"),
        ("i32.reinterpret_f32", "f32", "i32"),
        ("f32.reinterpret_i32", "i32", "f32"),
        ("i64.reinterpret_f64", "f64", "i64"),
        ("f64.reinterpret_i64", "i64", "f64"),
        ("f32.demote_f64", "f64", "f32"),
        ("f64.promote_f32", "f32", "f64"),
    ] {
        let values: &[&str] = if from.starts_with('f') { &FLOATS } else { &INTEGERS };
        add(instruction.to_owned(), singles(values), from, to);
    }
    plans.add("numeric/loads-and-stores", |scene| {
        let guest = Guest::new().data(DATA, (1..=16).map(|byte| byte * 17 ^ 0x80).collect::<Vec<u8>>()).wat(
            "(i32.store8 (i32.const 0x3000) (i32.load8_s (i32.const 0x400)))
             (i32.store16 (i32.const 0x3004) (i32.load16_s (i32.const 0x401)))
             (i32.store (i32.const 0x3008) (i32.load8_u (i32.const 0x402)))
             (i32.store offset=4 align=1 (i32.const 0x3008) (i32.load16_u offset=3 (i32.const 0x400)))
             (i64.store8 (i32.const 0x3010) (i64.load8_s (i32.const 0x405)))
             (i64.store16 (i32.const 0x3012) (i64.load16_s (i32.const 0x406)))
             (i64.store32 (i32.const 0x3014) (i64.load32_s (i32.const 0x407)))
             (i64.store (i32.const 0x3018) (i64.load8_u (i32.const 0x408)))
             (i64.store (i32.const 0x3020) (i64.load16_u (i32.const 0x409)))
             (i64.store (i32.const 0x3028) (i64.load32_u (i32.const 0x40a)))
             (f32.store (i32.const 0x3030) (f32.load (i32.const 0x401)))
             (f64.store (i32.const 0x3038) (f64.load (i32.const 0x403)))",
        );
        scene.guest(GUEST, &guest.keep(0x3000, 64)).invoke();
    });
}

// --- control flow ----------------------------------------------------------------------------------------------------

fn control(plans: &mut Plans) {
    let tick = "(global.set $n (i32.add (global.get $n) (i32.const 1)))";
    let rows: Vec<(&str, String)> = vec![
        ("block", format!("(block {tick} {tick})")),
        ("block-left-early", format!("(block {tick} (br 0) {tick} {tick})")),
        ("block-left-perhaps", format!("(block {tick} (br_if 0 (global.get $n)) {tick} {tick}) {tick}")),
        ("block-not-left", format!("(block {tick} (br_if 0 (i32.eqz (global.get $n))) {tick} {tick}) {tick}")),
        ("blocks-left-together", format!("(block (block (block {tick} (br 2) {tick}) {tick}) {tick}) {tick}")),
        (
            "blocks-left-by-halves",
            format!("(block (block (block {tick} (br_if 1 (global.get $n)) {tick}) {tick}) {tick}) {tick}"),
        ),
        (
            "block-with-result",
            format!(
                "{tick} (drop (block (result i32) (drop (br_if 0 (i32.const 5) (global.get $n))) {tick} (i32.const 6)))"
            ),
        ),
        ("if-taken", format!("(if (i32.const 1) (then {tick} {tick})) {tick}")),
        ("if-not-taken", format!("(if (global.get $n) (then {tick} {tick})) {tick}")),
        ("if-else", format!("(if (global.get $n) (then {tick} {tick}) (else {tick})) {tick}")),
        (
            "if-else-with-result",
            format!("(drop (if (result i32) (global.get $n) (then {tick} (i32.const 1)) (else (i32.const 2)))) {tick}"),
        ),
        ("if-with-branch", format!("(block (if (i32.const 1) (then {tick} (br 1) {tick})) {tick}) {tick}")),
        (
            "if-in-if",
            format!(
                "(if (i32.const 1) (then (if (global.get $n) (then {tick}) (else {tick} {tick})) {tick}) (else {tick})) {tick}"
            ),
        ),
        ("loop", format!("(loop {tick} (br_if 0 (i32.lt_u (global.get $n) (i32.const 9)))) {tick}")),
        ("loop-once", format!("(loop {tick}) {tick}")),
        (
            "loop-in-loop",
            format!(
                "(loop $a {tick} (loop $b {tick} (br_if $b (i32.rem_u (global.get $n) (i32.const 5)))) (br_if $a (i32.lt_u (global.get $n) (i32.const 30)))) {tick}"
            ),
        ),
        (
            "loop-left",
            format!("(block (loop {tick} (br_if 1 (i32.gt_u (global.get $n) (i32.const 7))) (br 0))) {tick}"),
        ),
        (
            "loop-with-result",
            format!(
                "(drop (loop (result i32) {tick} (br_if 0 (i32.lt_u (global.get $n) (i32.const 4))) (i32.const 3)))"
            ),
        ),
        ("return", format!("(call $f) {tick}")),
        ("return-perhaps", format!("(call $g (i32.const 0)) (call $g (i32.const 1)) {tick}")),
        ("unreachable-code", format!("(block (br 0) {tick} (block (br 0)) (loop (br 0)) {tick}) {tick}")),
        ("after-return", format!("(call $h) {tick}")),
        ("select", format!("(drop (select (i32.const 1) (i32.const 2) (global.get $n))) {tick}")),
        (
            "calls",
            format!(
                "(call $p (i32.const 1) (i64.const 2) (f64.const 3)) (call $p (i32.const 4) (i64.const 5) (f64.const 6)) {tick}"
            ),
        ),
        (
            "indirect-calls",
            format!(
                "(call_indirect (type $none) (i32.const 0)) (call_indirect (type $three) (i32.const 1) (i64.const 2) (f64.const 3) (i32.const 1)) {tick}"
            ),
        ),
        ("free-instructions", format!("nop nop (block nop) (drop (i32.const 1)) {tick}")),
        ("locals", format!("(call $l (i32.const 3)) {tick}")),
    ];
    let outside = format!(
        "(global $n (mut i32) (i32.const 0)) (table 2 funcref) (elem (i32.const 0) func $f $p)
         (type $none (func)) (type $three (func (param i32 i64 f64)))
         (func $f {tick} (return))
         (func $g (param i32) (if (local.get 0) (then (return))) {tick} {tick})
         (func $h (return) {tick} (block {tick} (br 0)) {tick})
         (func $p (type $three) (local i32 i64 i32) {tick} (local.set 3 (local.get 0)) {tick})
         (func $l (param i32) (local i32 i32) (local.set 1 (local.tee 2 (local.get 0))) (drop (local.get 1)))"
    );
    for (name, statements) in rows {
        let outside = outside.clone();
        plans.add(format!("control/{name}"), move |scene| {
            let guest = Guest::new().outside(&outside).wat(&statements).note("(global.get $n)");
            scene.guest(GUEST, &guest).invoke();
        });
    }
    // The metering pass forgets the default label of a table of branches.
    let tables = [
        ("all-labels", "(block $a (block $b (block $c (br_table $a $b $c (INDEX))) T) T T) T"),
        ("default-outermost", "(block $a (block $b (block $c (br_table $c $c $a (INDEX)) T) T) T T) T"),
        ("default-only", "(block $a (block $b T (br_table $a (INDEX)) T) T T) T"),
        (
            "default-only-in-loop",
            "(block $a (loop $b T (br_if $b (i32.lt_u (global.get $n) (i32.const 5))) (br_table $a (INDEX))) T) T",
        ),
        ("default-is-loop", "(block $a (loop $b T (br_table $a $b (i32.lt_u (global.get $n) (i32.const 3)))) T) T"),
        ("default-is-function", "(block $a T (br_table $a 1 (INDEX)) T) T"),
        ("default-inner", "(block $a (block $b (block $c (br_table $a $a $c (INDEX))) T T) T) T T"),
        ("inside-if", "(block $a (if (i32.const 1) (then T (br_table $a (INDEX)))) T T) T"),
        ("two-tables", "(block $a (block $b (br_table $b $a (INDEX))) T (block $c (br_table $c $a (INDEX))) T) T"),
    ];
    for (name, text) in tables {
        for index in [0i32, 1, 2, 5, -1] {
            plans.add(format!("tables/{name}-{index}"), move |scene| {
                let tick = "(global.set $n (i32.add (global.get $n) (i32.const 1)))";
                let statements =
                    text.replace("(INDEX)", &format!("(i32.const {index})")).replace(" T", &format!(" {tick}"));
                let outside = format!("(global $n (mut i32) (i32.const 0)) (func $work {statements})");
                scene
                    .guest(GUEST, &Guest::new().outside(&outside).wat("(call $work)").note("(global.get $n)"))
                    .invoke();
            });
        }
    }
}

/// Instructions priced by an operand: known while instrumenting, or only when they run.
fn dynamic(plans: &mut Plans) {
    for (name, text) in [
        ("memory.fill", "(memory.fill (i32.const 0x4000) (i32.const 7) (AMOUNT))"),
        ("memory.copy", "(memory.copy (i32.const 0x4000) (i32.const 0x5000) (AMOUNT))"),
        ("memory.grow", "(drop (memory.grow (AMOUNT)))"),
    ] {
        let amounts: &[i64] = if name == "memory.grow" { &[0, 1, 2] } else { &[0, 1, 100, 4096] };
        for amount in amounts.iter().copied() {
            let unique = format!("{name}-{amount}");
            for (kind, operand) in [
                ("constant", format!("i32.const {amount}")),
                ("global", "global.get $amount".to_owned()),
                ("computed", format!("i32.add (i32.const {amount}) (i32.const 0)")),
                ("block", format!("block (result i32) (i32.const {amount})")),
            ] {
                let statement = text.replace("(AMOUNT)", &format!("({operand})"));
                plans.add(format!("dynamic/{unique}-{kind}"), move |scene| {
                    let guest =
                        Guest::new().outside(&format!("(global $amount i32 (i32.const {amount}))")).wat(&statement);
                    scene.guest(GUEST, &guest).invoke();
                });
            }
        }
    }
    for (name, amount) in [("nothing", 0), ("all", 6), ("part", 3), ("too-much", 7)] {
        for (kind, operand) in
            [("constant", format!("i32.const {amount}")), ("global", "global.get $amount".to_owned())]
        {
            plans.add(format!("dynamic/memory.init-{name}-{kind}"), move |scene| {
                let guest = Guest::new()
                    .outside(&format!("(data $d \"passiv\") (global $amount i32 (i32.const {amount}))"))
                    .wat(format!("(memory.init $d (i32.const 0x4000) (i32.const 0) ({operand}))"))
                    .keep(0x4000, 8)
                    .wat("(data.drop $d)");
                scene.guest(GUEST, &guest).invoke();
            });
        }
    }
    plans.add("dynamic/init-after-drop", |scene| {
        let guest = Guest::new()
            .outside("(data $d \"passiv\")")
            .wat("(data.drop $d) (memory.init $d (i32.const 0x4000) (i32.const 0) (i32.const 0))")
            .wat("(memory.init $d (i32.const 0x4000) (i32.const 0) (i32.const 1))");
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("dynamic/huge-fill", |scene| {
        // The price is taken before the bounds are looked at.
        scene.guest(GUEST, &Guest::new().wat("(memory.fill (i32.const 0) (i32.const 0) (i32.const -1))")).invoke();
    });
    plans.add("dynamic/huge-fill-computed", |scene| {
        let fill = "(memory.fill (i32.const 0) (i32.const 0) (i32.sub (i32.const 0) (i32.const 1)))";
        scene.guest(GUEST, &Guest::new().wat(fill)).invoke();
    });
    plans.add("dynamic/several-in-a-row", |scene| {
        let guest = Guest::new().outside("(global $x i32 (i32.const 33))").wat(
            "(memory.fill (i32.const 0x4000) (i32.const 1) (global.get $x))
             (memory.copy (i32.const 0x5000) (i32.const 0x4000) (global.get $x))
             (loop (memory.fill (i32.const 0x4000) (i32.const 1) (global.get $x))
               (br_if 0 (i32.eqz (i32.load (i32.const 0x4000)))))
             (call $note (memory.grow (memory.grow (i32.const 1))))",
        );
        scene.guest(GUEST, &guest).invoke();
    });
    plans.add("dynamic/swept", |scene| {
        let guest = Guest::new().outside("(global $x i32 (i32.const 3000))").wat(
            "(memory.fill (i32.const 0x4000) (i32.const 1) (global.get $x)) (call $note (memory.grow (i32.const 2)))",
        );
        scene.guest(GUEST, &guest).invoke();
        scene.sweep = true;
    });
}

/// One actor that recurses as often as its parameter says, called with every number around the limit.
fn stack_heights(plans: &mut Plans) {
    let recursion = "(if (local.get 0) (then (call $r (i32.sub (local.get 0) (i32.const 1)))))";
    let rows: Vec<(&str, String, u32)> = vec![
        ("plain", format!("(func $r (param i32) {recursion})"), 510),
        ("one-local", format!("(func $r (param i32) (local i64) {recursion})"), 408),
        ("equal-locals", format!("(func $r (param i32) (local i64 i64 i64 i64) {recursion})"), 408),
        ("mixed-locals", format!("(func $r (param i32) (local i32 i64 i32 f32 f64) {recursion})"), 226),
        ("parameters", "(func $r (param i32) (call $s (local.get 0) (i64.const 1) (f64.const 2))) (func $s (param i32 i64 f64) (if (local.get 0) (then (call $r (i32.sub (local.get 0) (i32.const 1))))))".to_owned(), 227),
        ("values", "(func $r (param i32) (if (local.get 0) (then (drop (i32.add (i32.const 1) (i32.add (i32.const 2) (call $t (i32.sub (local.get 0) (i32.const 1)))))))))  (func $t (param i32) (result i32) (call $r (local.get 0)) (i32.const 3))".to_owned(), 270),
        ("unreachable-code", "(func $r (param i32) (if (local.get 0) (then (call $r (i32.sub (local.get 0) (i32.const 1))) (return) (drop (i32.add (i32.const 1) (i32.add (i32.const 2) (i32.const 3)))))))".to_owned(), 510),
        ("indirect", "(table 1 funcref) (elem (i32.const 0) func $r) (func $r (param i32) (if (local.get 0) (then (call_indirect (param i32) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))))".to_owned(), 510),
    ];
    for (name, functions, around) in rows {
        plans.add(format!("heights/{name}"), move |scene| {
            let guest = Guest::new()
                .outside(&functions)
                .must("ipld.block_read", args!["(local.get $params)", 1, 64, 4])
                .wat("(call $r (i32.load (i32.const 64)))");
            scene.guest(GUEST, &guest);
            for depth in around.saturating_sub(25)..around + 25 {
                scene.call(GUEST, 2, &[&[0x44], depth.to_le_bytes().as_slice()].concat());
                let mut message = scene.messages.pop().expect("just sent").message;
                message.sequence = 0;
                scene.variant(format!("depth-{depth}"), vec![crate::world::Applied::explicit(message)]);
            }
        });
    }
}

// --- random programs -------------------------------------------------------------------------------------------------

/// A writer of valid functions: nested blocks, loops that end, branches to any label, tables, calls downwards.
struct Program {
    state: u64,
    text: String,
    labels: Vec<usize>,
    count: usize,
    budget: usize,
    function: usize,
}

const FUNCTIONS: usize = 4;

impl Program {
    fn new(seed: u64) -> Self {
        let state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { state, text: String::new(), labels: Vec::new(), count: 0, budget: 0, function: 0 }
    }

    /// xorshift64*, a number below `bound`.
    fn draw(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn write(mut self) -> String {
        self.text.push_str("(global $a (mut i32) (i32.const 1)) (global $b (mut i32) (i32.const 2))\n");
        self.text.push_str(
            "(table 4 funcref) (elem (i32.const 0) func $f1 $f2 $f3 $f4) (type $t (func (param i32) (result i32)))\n",
        );
        for function in 0..=FUNCTIONS {
            (self.function, self.budget) = (function, 24);
            let head = if function == 0 { "$main".to_owned() } else { format!("$f{function} (type $t)") };
            let parameter = if function == 0 { "(local $p i32)" } else { "" };
            let head = if function == 0 { head } else { head.replace("(type $t)", "(param $p i32) (result i32)") };
            self.text.push_str(&format!(
                "(func {head} {parameter} (local $x i32) (local $y i32) (local $w i64) (local $z i32)\n"
            ));
            for _ in 0..4 {
                self.statement(0);
            }
            if function > 0 {
                self.expression(0);
            }
            self.text.push_str(")\n");
        }
        self.text
    }

    fn label(&mut self) -> usize {
        let index = self.draw(self.labels.len());
        self.labels[index]
    }

    fn variable(&mut self) -> &'static str {
        ["local.get $x", "local.get $y", "local.get $p", "global.get $a", "global.get $b", "local.get $z"][self.draw(6)]
    }

    fn expression(&mut self, depth: usize) {
        let choice = if depth > 4 { self.draw(3) } else { self.draw(12) };
        match choice {
            0 => {
                let number = self.draw(100);
                self.text.push_str(&format!("(i32.const {number}) "));
            }
            1 | 2 => {
                let variable = self.variable();
                self.text.push_str(&format!("({variable}) "));
            }
            3..=6 => {
                let name = ["add", "sub", "mul", "and", "xor", "lt_u", "rotl", "eq"][self.draw(8)];
                self.text.push_str(&format!("(i32.{name} "));
                self.expression(depth + 1);
                self.expression(depth + 1);
                self.text.push_str(") ");
            }
            7 => {
                self.text.push_str("(select ");
                (0..3).for_each(|_| self.expression(depth + 1));
                self.text.push_str(") ");
            }
            8 => {
                self.text.push_str("(i32.load (i32.and (i32.const 0xfff8) ");
                self.expression(depth + 1);
                self.text.push_str(")) ");
            }
            9 if self.function < FUNCTIONS => {
                let callee = self.function + 1 + self.draw(FUNCTIONS - self.function);
                if self.draw(3) == 0 {
                    self.text.push_str("(call_indirect (type $t) ");
                    self.expression(depth + 1);
                    self.text.push_str(&format!("(i32.const {})) ", callee - 1));
                } else {
                    self.text.push_str(&format!("(call $f{callee} "));
                    self.expression(depth + 1);
                    self.text.push_str(") ");
                }
            }
            10 => {
                self.text.push_str("(if (result i32) ");
                self.expression(depth + 1);
                self.text.push_str("(then ");
                self.expression(depth + 1);
                self.text.push_str(") (else ");
                self.expression(depth + 1);
                self.text.push_str(")) ");
            }
            _ => {
                self.text.push_str("(i32.wrap_i64 (i64.add (local.get $w) (i64.extend_i32_s ");
                self.expression(depth + 1);
                self.text.push_str("))) ");
            }
        }
    }

    fn assignment(&mut self) {
        let target = ["local.set $x", "local.set $y", "global.set $a", "global.set $b"][self.draw(4)];
        self.text.push_str(&format!("({target} "));
        self.expression(1);
        self.text.push_str(")\n");
    }

    fn body(&mut self, depth: usize) {
        for _ in 0..1 + self.draw(3) {
            self.statement(depth + 1);
        }
    }

    fn statement(&mut self, depth: usize) {
        self.budget = self.budget.saturating_sub(1);
        if depth > 5 || self.budget == 0 {
            return self.assignment();
        }
        match self.draw(16) {
            0 | 1 => {
                self.count += 1;
                let label = self.count;
                self.text.push_str(&format!("(block $l{label} "));
                self.labels.push(label);
                self.body(depth);
                self.labels.pop();
                self.text.push_str(")\n");
            }
            2 | 3 => self.counted_loop(depth),
            4..=6 => {
                self.text.push_str("(if ");
                self.expression(1);
                self.text.push_str("(then ");
                self.body(depth);
                self.text.push_str(") ");
                if self.draw(2) == 0 {
                    self.text.push_str("(else ");
                    self.body(depth);
                    self.text.push_str(")");
                }
                self.text.push_str(")\n");
            }
            7 | 8 if !self.labels.is_empty() => {
                let label = self.label();
                self.text.push_str(&format!("(br_if $l{label} "));
                self.expression(1);
                self.text.push_str(")\n");
            }
            9 if !self.labels.is_empty() => {
                let label = self.label();
                self.text.push_str(&format!("(br $l{label})\n"));
            }
            10 | 11 if !self.labels.is_empty() => {
                let labels: Vec<String> = (0..1 + self.draw(4)).map(|_| format!("$l{}", self.label())).collect();
                self.text.push_str(&format!("(br_table {} (i32.and (i32.const 3) ", labels.join(" ")));
                self.expression(1);
                self.text.push_str("))\n");
            }
            12 => {
                self.text.push_str("(memory.fill (i32.const 256) (i32.const 1) (i32.and (i32.const 255) ");
                self.expression(1);
                self.text.push_str("))\n");
            }
            13 if self.draw(3) == 0 => {
                self.text.push_str(if self.function == 0 { "(return)\n" } else { "(return (local.get $x))\n" });
            }
            14 => {
                self.text.push_str("(i32.store (i32.and (i32.const 0xff8) ");
                self.expression(1);
                self.text.push_str(") ");
                self.expression(1);
                self.text.push_str(")\n");
            }
            _ => self.assignment(),
        }
    }

    /// A loop of a few rounds; its own label may be branched to only by its end, so that it ends.
    fn counted_loop(&mut self, depth: usize) {
        self.count += 1;
        let (label, rounds) = (self.count, 1 + self.draw(5));
        self.text.push_str(&format!("(local.set $z (i32.const 0)) (block $l{label} (loop $m{label} "));
        self.labels.push(label);
        self.body(depth);
        self.labels.pop();
        self.text.push_str(&format!(
            "(local.set $z (i32.add (local.get $z) (i32.const 1))) (br_if $m{label} (i32.lt_u (local.get $z) (i32.const {rounds})))))\n"
        ));
    }
}
