// Builds command lines for `hypervisor`, and parses its JSON output. Does not depend on VS Code.

const escaped = (name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const exactly = (contract) => `^${escaped(contract)}$`;
const named = (test) => `^${escaped(test)}\\(`; // --match-test filters signatures, such as test_add(uint256)

/** Return the arguments of the debug adapter for a launch configuration. */
function adapterArguments(configuration, workspace) {
  if (configuration.test === undefined) return ["step", "--dap"];
  const project = configuration.project ?? workspace;
  const contract = configuration.contract === undefined ? [] : ["--match-contract", configuration.contract];
  return ["test", project, "--debug", "--dap", "--match-test", configuration.test, ...contract];
}

/** Return the arguments that list the tests of a project. */
function listArguments(project) {
  return ["test", project, "--list", "--json"];
}

/** Return the arguments that run one test, one contract (`name` omitted) or all tests of a project. */
function runArguments(project, { file, contract, name } = {}) {
  const filters = [];
  if (file !== undefined) filters.push("--match-path", file);
  if (contract !== undefined) filters.push("--match-contract", exactly(contract));
  if (name !== undefined) filters.push("--match-test", named(name));
  return ["test", project, "--json", ...filters];
}

/** Return the launch configuration that debugs one test. */
function testConfiguration(project, { contract, name }) {
  return {
    type: "hypervisor",
    request: "launch",
    name: `${contract}.${name}`,
    project,
    contract: exactly(contract),
    test: named(name),
    stopOnEntry: true,
  };
}

/** Return the tests of `hypervisor test --list --json` as a list of {file, contract, name}. */
function listedTests(output) {
  return Object.entries(JSON.parse(output)).flatMap(([file, contracts]) =>
    Object.entries(contracts).flatMap(([contract, names]) => names.map((name) => ({ file, contract, name }))),
  );
}

/** Return the results of `hypervisor test --json` as a list of {file, contract, name, status, message, milliseconds}. */
function testResults(output) {
  return Object.entries(JSON.parse(output)).flatMap(([suite, { test_results }]) => {
    const separator = suite.lastIndexOf(":");
    const [file, contract] = [suite.slice(0, separator), suite.slice(separator + 1)];
    return Object.entries(test_results).map(([signature, result]) => ({
      file,
      contract,
      name: signature.slice(0, signature.indexOf("(")),
      status: { Success: "passed", Skipped: "skipped" }[result.status] ?? "failed",
      message: result.reason ?? "",
      milliseconds: milliseconds(result.duration),
    }));
  });
}

const UNITS = { ns: 1e-6, "µs": 1e-3, ms: 1, s: 1e3, m: 6e4, h: 3.6e6 };

/** Return a duration such as "1s 20ms 5µs" in milliseconds. */
function milliseconds(duration = "") {
  const parts = duration.matchAll(/([\d.]+)(ns|µs|ms|s|m|h)/gu);
  return [...parts].reduce((sum, [, number, unit]) => sum + Number(number) * UNITS[unit], 0);
}

module.exports = { adapterArguments, listArguments, runArguments, testConfiguration, listedTests, testResults };
