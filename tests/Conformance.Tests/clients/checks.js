// Shared by the node scripts: runs one scenario by name, or `all` of them one after the other, and ends with exit code 0 when everything was as it must be.
// A scenario's client has the first server only; the scenarios that want several make their own from the list.
'use strict';

const assert = require('node:assert');
const crypto = require('node:crypto');

async function run(scenarios, makeClient, closeClient) {
  const [scenario, ...servers] = process.argv.slice(2);
  const wanted = scenario === 'all' ? Object.keys(scenarios) : [scenario];
  if (wanted.some((name) => !(name in scenarios)) || servers.length === 0) {
    console.log(`SCRIPT all|SCENARIO HOST:PORT...\nscenarios: ${Object.keys(scenarios).join(' ')}`);
    process.exit(64);
  }
  const client = makeClient(servers.slice(0, 1));
  for (const name of wanted) {
    const prefix = `${name}:${crypto.randomUUID().slice(0, 8)}:`;
    try {
      await scenarios[name](client, (key) => prefix + key, servers);
    } catch (error) {
      console.log(`${name}: ${error.stack}`);
      process.exit(1);
    }
  }
  closeClient(client);
  console.log(`${scenario}: right`);
  process.exit(0);
}

async function waitUntil(condition, what) {
  const deadline = Date.now() + 10_000;
  while (!await condition()) {
    assert.ok(Date.now() < deadline, `still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

module.exports = { run, waitUntil };
