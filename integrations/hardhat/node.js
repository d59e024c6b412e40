// Starts `hypervisor node` on a free port, and ends it together with this process.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

const TIMEOUT = 60_000; // milliseconds until a node must be ready
const INTERVAL = 50;

function reason(command, failure, output) {
  if (failure?.code !== "ENOENT") return `\`${command} node\` ended: ${failure?.message ?? output.trim()}`;
  const remedy = "run `pip install fvm-hypervisor`, or set hypervisor.command in hardhat.config.ts";
  return `the command '${command}' was not found: ${remedy}`;
}

export async function startNode({ command, args }) {
  const folder = await mkdtemp(path.join(tmpdir(), "hardhat-fvm-"));
  const ready = path.join(folder, "url");
  const node = spawn(command, ["node", "--port", "0", "--silent", "--ready-file", ready, ...args], {
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
    for (const start = Date.now(); Date.now() - start < TIMEOUT; ) {
      const url = await readFile(ready, "utf8").catch(() => "");
      if (url !== "") return url.trim();
      if (failure !== undefined || node.exitCode !== null) throw new Error(reason(command, failure, output));
      await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    }
    node.kill();
    throw new Error(`\`${command} node\` was not ready after ${TIMEOUT / 1000} s: ${output.trim()}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
