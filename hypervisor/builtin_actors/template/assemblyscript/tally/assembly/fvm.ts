// The syscalls that this actor uses; the syscall ABI has the others. A syscall answers 0 or an error number, and writes
// its result where its first argument points.

// @ts-ignore: decorator
@external("vm", "exit")
export declare function exit(code: u32, block: u32, message: usize, length: u32): u32;

// @ts-ignore: decorator
@external("vm", "message_context")
export declare function messageContext(result: usize): u32;

// @ts-ignore: decorator
@external("ipld", "block_open")
export declare function blockOpen(result: usize, cid: usize): u32;

// @ts-ignore: decorator
@external("ipld", "block_create")
export declare function blockCreate(result: usize, codec: u64, data: usize, length: u32): u32;

// @ts-ignore: decorator
@external("ipld", "block_read")
export declare function blockRead(result: usize, block: u32, offset: u32, buffer: usize, length: u32): u32;

// @ts-ignore: decorator
@external("ipld", "block_link")
export declare function blockLink(
  result: usize, block: u32, hash: u64, hashLength: u32, buffer: usize, length: u32
): u32;

// @ts-ignore: decorator
@external("self", "root")
export declare function root(result: usize, buffer: usize, length: u32): u32;

// @ts-ignore: decorator
@external("self", "set_root")
export declare function setRoot(cid: usize): u32;

// @ts-ignore: decorator
@external("debug", "enabled")
export declare function debugEnabled(result: usize): u32;

// @ts-ignore: decorator
@external("debug", "log")
export declare function debugLog(text: usize, length: u32): u32;

export const NO_BLOCK: u32 = 0;
export const CBOR: u64 = 0x51;
export const DAG_CBOR: u64 = 0x71;
export const BLAKE2B_256: u64 = 0xb220;
export const BLAKE2B_256_LENGTH: u32 = 32;

export const USR_ILLEGAL_ARGUMENT: u32 = 16;
export const USR_FORBIDDEN: u32 = 18;
export const USR_SERIALIZATION: u32 = 21;
export const USR_UNHANDLED_MESSAGE: u32 = 22;
export const USR_ASSERTION_FAILED: u32 = 24;
export const USR_READ_ONLY: u32 = 25;

/** Ends the call: nothing that it changed remains. */
export function abort(code: u32, words: string): void {
  const text = String.UTF8.encode(words);
  exit(code, NO_BLOCK, changetype<usize>(text), text.byteLength);
}

/** Ends the call where a syscall refuses. */
export function check(error: u32): void {
  if (error != 0) abort(USR_ASSERTION_FAILED, "a syscall was refused");
}

/** A line for the log, where actors may log. */
export function log(words: string): void {
  const enabled = memory.data(4);
  check(debugEnabled(enabled));
  if (load<i32>(enabled) != 0) return;
  const text = String.UTF8.encode(words);
  check(debugLog(changetype<usize>(text), text.byteLength));
}
