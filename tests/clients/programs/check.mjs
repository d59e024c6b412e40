// What the clients' programs share: named checks, one line of JSON for each, and the compiled contracts.
//
//     node PROGRAM.mjs URL
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const url = process.argv[2];
export const socket = url.replace("http", "ws");
export const chainId = 31415926;
export const mnemonic = "test test test test test test test test test test test junk";

let done = 0;

/// Runs a check; the test of the same name reads the outcome. A check that takes a minute has failed.
export async function check(name, body) {
  let error = null;
  const late = new Promise((_, reject) => setTimeout(reject, 60_000, new Error("no answer within a minute")).unref());
  try {
    await Promise.race([body(), late]);
  } catch (caught) {
    error = String(caught?.stack ?? caught);
  }
  done += 1;
  console.log(JSON.stringify({ check: name, error }));
}

/// Ends the program, whatever sockets are open; says how many checks there were, so that none gets lost.
export function finish() {
  console.log(JSON.stringify({ done }));
  process.exit(0);
}

/// A contract as forge compiled it: { abi, bytecode }.
export function contract(name, file = name) {
  const path = new URL(`../contracts/out/${file}.sol/${name}.json`, import.meta.url);
  const { abi, bytecode } = JSON.parse(readFileSync(path, "utf8"));
  return { abi, bytecode: bytecode.object };
}

/// Waits until the condition holds.
export async function until(condition) {
  while (!(await condition())) await new Promise((wake) => setTimeout(wake, 20));
}

export { assert };
