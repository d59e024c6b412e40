// Debugs a Solidity test as the VS Code extension does, with VS Code's test client for debug adapters.
//
//     COMMANDS=commands.js node dap.mjs HYPERVISOR PROJECT FILE LINE
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { DebugClient } = require("@vscode/debugadapter-testsupport");
const { adapterArguments, testConfiguration } = require(process.env.COMMANDS);

const [hypervisor, project, file, line] = process.argv.slice(2);
const configuration = testConfiguration(project, { contract: "CounterTest", name: "test_broken" });
const adapter = spawn(hypervisor, adapterArguments(configuration, project), { stdio: ["pipe", "pipe", "inherit"] });
const client = new DebugClient("", "", "hypervisor"); // connects to the adapter below, and starts none itself
client.defaultTimeout = 60_000;
client.connect(adapter.stdout, adapter.stdin);

const capabilities = (await client.initializeRequest()).body;
assert.equal(capabilities.supportsStepBack, true);
await Promise.all([client.launchRequest({ ...configuration, breakpoints: ["exit 33"] }), client.waitForEvent("initialized")]);
const set = await client.setBreakpointsRequest({ source: { path: file }, breakpoints: [{ line: Number(line) }] });
assert.equal(set.body.breakpoints[0].verified, true);

const stopped = async (request) => {
  const [, event] = await Promise.all([request, client.waitForEvent("stopped")]);
  return event.body;
};
await stopped(client.configurationDoneRequest());
assert.equal((await stopped(client.continueRequest({ threadId: 1 }))).reason, "breakpoint");
const [frame] = (await client.stackTraceRequest({ threadId: 1 })).body.stackFrames;
assert.equal(frame.line, Number(line));
const { scopes } = (await client.scopesRequest({ frameId: frame.id })).body;
assert.ok(scopes.some(({ name }) => name === "Stack"), JSON.stringify(scopes));
assert.match((await stopped(client.continueRequest({ threadId: 1 }))).description, /exit 33/);
await stopped(client.stepBackRequest({ threadId: 1 }));
await client.disconnectRequest();
await new Promise((resolve) => adapter.once("exit", resolve));
assert.equal(adapter.exitCode, 0);
console.log("passed");
