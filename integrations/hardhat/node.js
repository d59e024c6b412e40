// Starts `hypervisor node` on a free port, and stops it when this process exits.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

const STARTUP_TIMEOUT = 60_000; // milliseconds
const POLL_INTERVAL = 50; // milliseconds

function exitReason(command, failure, output) {
  if (failure?.code !== "ENOENT") return `\`${command} node\` exited: ${failure?.message ?? output.trim()}`;
  const remedy = "activate the Python environment that has it, or set hypervisor.command in hardhat.config.ts";
  return `the command '${command}' was not found: ${remedy}`;
}

export async function startNode({ command, args, throwOnTransactionFailures }) {
  const folder = await mkdtemp(path.join(tmpdir(), "hardhat-fvm-"));
  const ready = path.join(folder, "url");
  const failures = throwOnTransactionFailures ? ["--throw-on-transaction-failures"] : [];
  const node = spawn(command, ["node", "--port", "0", "--silent", "--ready-file", ready, ...failures, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let output = "";
  let failure;
  node.stderr.on("data", (data) => (output = (output + data).slice(-4_000)));
  node.on("error", (error) => (failure = error));
  node.stderr.unref();
  node.unref();
  process.once("exit", () => node.kill());
  try {
    for (const start = Date.now(); Date.now() - start < STARTUP_TIMEOUT; ) {
      const url = await readFile(ready, "utf8").catch(() => "");
      if (url !== "") return url.trim();
      if (failure !== undefined || node.exitCode !== null) throw new Error(exitReason(command, failure, output));
      await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
    }
    node.kill();
    throw new Error(`\`${command} node\` was not ready after ${STARTUP_TIMEOUT / 1000} s: ${output.trim()}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
