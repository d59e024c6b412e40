// Adds the network `filecoin`. Its URL is that of a node, which is started on the first connection.

import { startNode } from "./node.js";

export const NETWORK = "filecoin";
const PLACEHOLDER = "http://127.0.0.1:8545";

function validate(options = {}) {
  const problem = (path, message) => ({ path: ["hypervisor", ...path], message });
  const errors = Object.keys(options)
    .filter((key) => !["command", "args", "throwOnTransactionFailures"].includes(key))
    .map((key) => problem([key], `unknown option '${key}': expected command, args or throwOnTransactionFailures`));
  if (options.command !== undefined && typeof options.command !== "string") {
    errors.push(problem(["command"], "expected the path of the hypervisor command, as a string"));
  }
  const { args = [] } = options;
  if (!Array.isArray(args) || args.some((each) => typeof each !== "string")) {
    errors.push(problem(["args"], "expected a list of strings, the options of `hypervisor node`"));
  }
  if (!["undefined", "boolean"].includes(typeof options.throwOnTransactionFailures)) {
    errors.push(problem(["throwOnTransactionFailures"], "expected true or false"));
  }
  return errors;
}

// Returns a Hardhat configuration variable that starts a node and resolves to its URL.
function nodeUrl(options) {
  let url;
  const start = () => (url ??= startNode(options));
  const unsupported = async () => {
    throw new Error(`the URL of the network '${NETWORK}' is not a number`);
  };
  return {
    _type: "ResolvedConfigurationVariable",
    format: "{variable}",
    get: start,
    getUrl: start,
    getBigInt: unsupported,
    getHexString: unsupported,
  };
}

export default async () => ({
  async extendUserConfig(config, next) {
    const extended = await next(config);
    const network = { type: "http", chainType: "generic", url: PLACEHOLDER };
    return { ...extended, networks: { [NETWORK]: network, ...extended.networks } };
  },

  async validateUserConfig(config) {
    return validate(config.hypervisor);
  },

  async resolveUserConfig(userConfig, resolveConfigurationVariable, next) {
    const resolved = await next(userConfig, resolveConfigurationVariable);
    const defaults = { command: "hypervisor", args: [], throwOnTransactionFailures: false };
    const hypervisor = { ...defaults, ...userConfig.hypervisor };
    const network = resolved.networks[NETWORK];
    const ours = userConfig.networks?.[NETWORK]?.url === PLACEHOLDER;
    const networks = ours
      ? { ...resolved.networks, [NETWORK]: { ...network, url: nodeUrl(hypervisor) } }
      : resolved.networks;
    return { ...resolved, hypervisor, networks };
  },
});
