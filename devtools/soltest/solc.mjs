// npm's solc, named by its folder: standard JSON over stdin and stdout.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const solc = createRequire(resolve(process.argv[2], "package.json"))(resolve(process.argv[2]));
process.stdout.write(solc.compile(readFileSync(0, "utf8")));
