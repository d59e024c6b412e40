// npm's solc under the command line that forge uses, for sources that it cannot compile in one go: through the IR a
// whole project takes it half an hour and gigabytes. All sources are read each time, so that numbers of sources and
// of syntax trees, and with them the code, are those of one run; code is asked for by file, and every answer is kept.
import { createHash } from "node:crypto";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const BESIDE = 2;
const home = resolve(process.env.CLIENTS ?? ".");
const kept = join(home, "compiled");
const require = createRequire(join(home, "package.json"));
const compiler = process.env.SOLC_PACKAGE ?? "solc";
const version = () => require(compiler).version();

// Files that are asked for one by one: the project's own. The libraries' are one part.
function parts(asked) {
  const files = Object.keys(asked.sources);
  if (!asked.settings.viaIR) return [files];
  const libraries = files.filter((file) => /^(lib|node_modules)\//.test(file));
  const own = files.filter((file) => !libraries.includes(file)).map((file) => [file]);
  return libraries.length ? [...own, libraries] : own;
}

function ask(asked, files) {
  const wanted = asked.settings.outputSelection;
  const outputSelection = Object.fromEntries(
    files.filter((file) => wanted[file] ?? wanted["*"]).map((file) => [file, wanted[file] ?? wanted["*"]]),
  );
  return JSON.stringify({ ...asked, settings: { ...asked.settings, outputSelection } });
}

async function answer(text, name) {
  const key = createHash("sha256").update(`${require(`${compiler}/package.json`).version}:${text}`).digest("hex");
  const file = join(kept, `${key}.json`);
  if (existsSync(file)) return JSON.parse(readFileSync(file));
  const begin = Date.now();
  const options = ["--stack-size=4000", "--max-old-space-size=6144", fileURLToPath(import.meta.url), "--part"];
  const child = spawn(process.execPath, options, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(text);
  const chunks = [];
  for await (const chunk of child.stdout) chunks.push(chunk);
  const found = JSON.parse(Buffer.concat(chunks));
  writeFileSync(`${file}.${process.pid}`, JSON.stringify(found));
  renameSync(`${file}.${process.pid}`, file);
  console.error(`${name}: ${Math.round((Date.now() - begin) / 1000)} s`);
  return found;
}

async function compiled(asked) {
  mkdirSync(kept, { recursive: true });
  const todo = parts(asked);
  const whole = { contracts: {}, sources: {} };
  const errors = new Map();
  const work = async () => {
    for (let files = todo.shift(); files; files = todo.shift()) {
      const found = await answer(ask(asked, files), files.length > 1 ? "libraries" : files[0]);
      Object.assign(whole.contracts, found.contracts);
      for (const [file, source] of Object.entries(found.sources ?? {})) {
        whole.sources[file] = { ...whole.sources[file], ...source };
      }
      for (const error of found.errors ?? []) errors.set(error.formattedMessage, error);
    }
  };
  await Promise.all(Array.from({ length: BESIDE }, work));
  return { ...whole, errors: [...errors.values()] };
}

if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${version()}`);
} else if (process.argv.includes("--standard-json")) {
  process.stdout.write(JSON.stringify(await compiled(JSON.parse(readFileSync(0, "utf8")))));
} else if (process.argv.includes("--part")) {
  process.stdout.write(require(compiler).compile(readFileSync(0, "utf8")));
} else if (process.argv.includes("--lines")) {
  for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
    console.log(JSON.stringify(JSON.parse(require(compiler).compile(line))));
  }
} else {
  console.error("solc.mjs understands --version, --standard-json and --lines (an input per line)");
  process.exit(1);
}
