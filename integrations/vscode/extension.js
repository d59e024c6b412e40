// The debug type `hypervisor`, and the Solidity tests of a workspace in the Testing view.

const { execFile } = require("node:child_process");
const path = require("node:path");
const vscode = require("vscode");
const commands = require("./commands.js");

const MAX_OUTPUT = 64 << 20; // bytes

const command = () => vscode.workspace.getConfiguration("hypervisor").get("command");

/** Run the hypervisor command and return its output. Exit status 1 means that a test failed. */
function run(args, token) {
  return new Promise((resolve, reject) => {
    const child = execFile(command(), args, { maxBuffer: MAX_OUTPUT }, (error, stdout, stderr) => {
      if (error?.code === "ENOENT") {
        reject(new Error(`the command '${command()}' was not found: set hypervisor.command to the path of the installed one`));
      } else if (error && (error.code !== 1 || stdout.trim() === "")) {
        reject(new Error(stderr.trim() || error.message));
      } else {
        resolve(stdout);
      }
    });
    token?.onCancellationRequested(() => child.kill("SIGINT"));
  });
}

class AdapterFactory {
  createDebugAdapterDescriptor({ configuration, workspaceFolder }) {
    const folder = workspaceFolder?.uri.fsPath ?? process.cwd();
    const args = commands.adapterArguments(configuration, folder);
    return new vscode.DebugAdapterExecutable(command(), args, { cwd: folder });
  }
}

class Tests {
  constructor(context) {
    this.controller = vscode.tests.createTestController("hypervisor", "Solidity tests (hypervisor)");
    this.controller.resolveHandler = (item) => (item ? undefined : this.discover());
    this.controller.refreshHandler = () => this.discover();
    const { Run, Debug } = vscode.TestRunProfileKind;
    this.controller.createRunProfile("Run", Run, (request, token) => this.run(request, token), true);
    this.controller.createRunProfile("Debug", Debug, (request) => this.debug(request), true);
    context.subscriptions.push(this.controller);
    this.details = new WeakMap();
  }

  async discover() {
    const configs = await vscode.workspace.findFiles("**/foundry.toml", "**/{node_modules,lib}/**");
    const projects = await Promise.all(configs.map((config) => this.project(path.dirname(config.fsPath))));
    this.controller.items.replace(projects);
  }

  async project(folder) {
    const root = this.item(folder, path.basename(folder), vscode.Uri.file(folder), { project: folder });
    try {
      for (const test of commands.listedTests(await run(commands.listArguments(folder)))) {
        const { file, contract, name } = test;
        const uri = vscode.Uri.file(path.join(folder, file));
        const id = `${folder}:${file}:${contract}`;
        const suite = root.children.get(id) ?? this.item(id, contract, uri, { project: folder, file, contract });
        root.children.add(suite);
        suite.children.add(this.item(`${id}.${name}`, name, uri, { project: folder, ...test }));
      }
    } catch (error) {
      root.error = error.message;
    }
    return root;
  }

  item(id, label, uri, details) {
    const item = this.controller.createTestItem(id, label, uri);
    this.details.set(item, details);
    return item;
  }

  chosen(request) {
    if (request.include) return [...request.include];
    return [...this.controller.items].map(([, item]) => item);
  }

  async run(request, token) {
    const execution = this.controller.createTestRun(request);
    for (const item of this.chosen(request)) {
      const { project, ...filter } = this.details.get(item);
      const leaves = new Map(this.leaves(item).map((leaf) => [leaf.id, leaf]));
      leaves.forEach((leaf) => execution.started(leaf));
      try {
        for (const result of commands.testResults(await run(commands.runArguments(project, filter), token))) {
          const leaf = leaves.get(`${project}:${result.file}:${result.contract}.${result.name}`);
          if (leaf) this.report(execution, leaf, result);
        }
      } catch (error) {
        leaves.forEach((leaf) => execution.errored(leaf, new vscode.TestMessage(error.message)));
      }
    }
    execution.end();
  }

  report(execution, leaf, { status, message, milliseconds }) {
    if (status === "passed") execution.passed(leaf, milliseconds);
    else if (status === "skipped") execution.skipped(leaf);
    else execution.failed(leaf, new vscode.TestMessage(message || "the test failed"), milliseconds);
  }

  leaves(item) {
    if (item.children.size === 0) return this.details.get(item).name === undefined ? [] : [item];
    return [...item.children].flatMap(([, child]) => this.leaves(child));
  }

  async debug(request) {
    const [item] = this.chosen(request);
    const { project, contract, name } = this.details.get(item);
    if (name === undefined) throw new Error("select one test to debug");
    const folder = vscode.workspace.getWorkspaceFolder(item.uri);
    await vscode.debug.startDebugging(folder, commands.testConfiguration(project, { contract, name }));
  }
}

function activate(context) {
  context.subscriptions.push(vscode.debug.registerDebugAdapterDescriptorFactory("hypervisor", new AdapterFactory()));
  new Tests(context);
}

module.exports = { activate };
