// A tally: anybody adds to a number, everybody reads it.
//
// `interface.ipldsch` declares state, parameters and answers. State and parameters are CBOR lists of one number, which is
// all of CBOR that this actor needs; a real one takes a library for it.

import * as fvm from "./fvm";

const METHOD_CONSTRUCTOR: u64 = 1;
const METHOD_ADD: u64 = 45300949; // the FRC-42 hash of "Add"
const METHOD_TOTAL: u64 = 4253370110; // the FRC-42 hash of "Total"

const RESULT = memory.data(80);
const BUFFER = memory.data(112);
const ROOM: u32 = 100;

// --- CBOR: numbers, and lists of one number ---------------------------------------------------------------------------

function writeNumber(at: usize, number: u64): u32 {
  const size: u32 = number < 24 ? 0 : number < 1 << 8 ? 1 : number < 1 << 16 ? 2 : number >> 32 == 0 ? 4 : 8;
  const head: u8 = size == 0 ? <u8>number : size == 1 ? 24 : size == 2 ? 25 : size == 4 ? 26 : 27;
  store<u8>(at, head);
  for (let place: u32 = 0; place < size; place++) {
    store<u8>(at + 1 + place, <u8>(number >> (8 * (size - 1 - place))));
  }
  return 1 + size;
}

function readNumber(at: usize, length: i32): u64 {
  const head: u32 = length > 0 ? load<u8>(at) : 0xff;
  const size: i32 = head < 24 ? 0 : head <= 27 ? 1 << (head - 24) : 99;
  if (length != 1 + size) fvm.abort(fvm.USR_SERIALIZATION, "expected one number that is not negative");
  let number: u64 = size == 0 ? head : 0;
  for (let place = 0; place < size; place++) number = (number << 8) | load<u8>(at + 1 + place);
  return number;
}

/** The number in a block: a list of one. */
function readBlock(block: u32): u64 {
  fvm.check(fvm.blockRead(RESULT, block, 0, BUFFER, 16));
  const left = load<i32>(RESULT);
  if (left > 0 || left <= -16 || load<u8>(BUFFER) != 0x81) {
    fvm.abort(fvm.USR_SERIALIZATION, "expected a list of one number");
  }
  return readNumber(BUFFER + 1, 16 + left - 1);
}

// --- state and answers ------------------------------------------------------------------------------------------------

function loadTotal(): u64 {
  fvm.check(fvm.root(RESULT, BUFFER, ROOM));
  fvm.check(fvm.blockOpen(RESULT, BUFFER));
  return readBlock(load<u32>(RESULT + 8)); // codec, handle, size
}

function saveTotal(total: u64): void {
  store<u8>(BUFFER, 0x81);
  const size = 1 + writeNumber(BUFFER + 1, total);
  fvm.check(fvm.blockCreate(RESULT, fvm.DAG_CBOR, BUFFER, size));
  fvm.check(fvm.blockLink(RESULT, load<u32>(RESULT), fvm.BLAKE2B_256, fvm.BLAKE2B_256_LENGTH, BUFFER, ROOM));
  if (fvm.setRoot(BUFFER) != 0) fvm.abort(fvm.USR_READ_ONLY, "no changes in a read-only call");
}

function answer(number: u64): u32 {
  fvm.check(fvm.blockCreate(RESULT, fvm.CBOR, BUFFER, writeNumber(BUFFER, number)));
  return load<u32>(RESULT);
}

// --- methods ----------------------------------------------------------------------------------------------------------

function construct(caller: u64): u32 {
  if (caller != 1) fvm.abort(fvm.USR_FORBIDDEN, "an actor is constructed once, by the init actor");
  saveTotal(0);
  return fvm.NO_BLOCK;
}

function add(params: u32): u32 {
  if (params == fvm.NO_BLOCK) fvm.abort(fvm.USR_ILLEGAL_ARGUMENT, "this method takes parameters");
  const amount = readBlock(params);
  const total = loadTotal();
  if (total + amount < total) fvm.abort(fvm.USR_ILLEGAL_ARGUMENT, "the total would not fit in 64 bits");
  fvm.log("added");
  saveTotal(total + amount);
  return answer(total + amount);
}

/** The VM's way in: the handle of the parameter block, 0 for none; answers the handle of the return block. */
export function invoke(params: u32): u32 {
  fvm.check(fvm.messageContext(RESULT));
  const caller = load<u64>(RESULT + 16); // origin, nonce, caller, receiver, method, ...
  const method = load<u64>(RESULT + 32);
  if (method == METHOD_CONSTRUCTOR) return construct(caller);
  if (method == METHOD_ADD) return add(params);
  if (method == METHOD_TOTAL) return answer(loadTotal());
  fvm.abort(fvm.USR_UNHANDLED_MESSAGE, "this actor has no such method");
  return fvm.NO_BLOCK;
}

/** What AssemblyScript calls when a check of its own fails. */
export function trap(message: string | null, file: string | null, line: u32, column: u32): void {
  fvm.abort(fvm.USR_ASSERTION_FAILED, "a check of the compiler failed");
}
