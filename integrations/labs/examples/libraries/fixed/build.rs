//! A library's memory has a maximum, and each page costs its users gas: one is enough for this one's stack.
fn main() {
    for option in ["-zstack-size=16384", "--initial-memory=65536", "--max-memory=65536"] {
        println!("cargo::rustc-link-arg={option}");
    }
}
