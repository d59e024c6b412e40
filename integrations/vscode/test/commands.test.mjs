import assert from "node:assert/strict";
import { test } from "node:test";

import commands from "../commands.js";

const { adapterArguments, listedTests, runArguments, testConfiguration, testResults } = commands;

test("a transaction is debugged by `hypervisor step`", () => {
  assert.deepEqual(adapterArguments({ what: "0x00" }, "/project"), ["step", "--dap"]);
});

test("a Solidity test is debugged in its project", () => {
  const started = adapterArguments(testConfiguration("/other", { contract: "A$", name: "test_a" }), "/project");
  const filters = ["--match-test", "^test_a\\(", "--match-contract", "^A\\$$"];
  assert.deepEqual(started, ["test", "/other", "--debug", "--dap", ...filters]);
  assert.equal(adapterArguments({ test: "test_a" }, "/project")[1], "/project");
});

test("one test, one contract and a whole project are run", () => {
  const whole = ["test", "/p", "--json"];
  assert.deepEqual(runArguments("/p"), whole);
  const contract = [...whole, "--match-path", "test/A.t.sol", "--match-contract", "^A$"];
  assert.deepEqual(runArguments("/p", { file: "test/A.t.sol", contract: "A" }), contract);
  const single = runArguments("/p", { file: "test/A.t.sol", contract: "A", name: "test_a" });
  assert.deepEqual(single, [...contract, "--match-test", "^test_a\\("]);
});

test("tests are listed by file and contract", () => {
  const listed = listedTests('{"test/A.t.sol":{"A":["test_a","test_b"]}}');
  assert.deepEqual(listed.map(({ file, contract, name }) => `${file}:${contract}.${name}`), [
    "test/A.t.sol:A.test_a",
    "test/A.t.sol:A.test_b",
  ]);
});

test("results have the state, the reason and the duration of each test", () => {
  // The form of `forge test --json`, forge 1.7.1.
  const output = {
    "test/A.t.sol:A": {
      test_results: {
        "test_a()": { status: "Success", reason: null, duration: "1s 20ms 5µs" },
        "test_b(uint256)": { status: "Failure", reason: "not four", duration: "80ns" },
        "test_c()": { status: "Skipped", reason: "later", duration: "0ns" },
      },
    },
  };
  const results = testResults(JSON.stringify(output));
  assert.deepEqual(results.map(({ name, status }) => [name, status]), [
    ["test_a", "passed"],
    ["test_b", "failed"],
    ["test_c", "skipped"],
  ]);
  assert.equal(results[1].message, "not four");
  assert.ok(Math.abs(results[0].milliseconds - 1020.005) < 1e-9);
});
