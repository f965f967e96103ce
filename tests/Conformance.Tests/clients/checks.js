// Shared by the node scripts: runs one scenario by name and ends with exit code 0 when everything was as it must be.
'use strict';

const assert = require('node:assert');
const crypto = require('node:crypto');

async function run(scenarios, makeClient, closeClient) {
  const [scenario, ...servers] = process.argv.slice(2);
  if (!(scenario in scenarios) || servers.length === 0) {
    console.log(`SCRIPT SCENARIO HOST:PORT...\nscenarios: ${Object.keys(scenarios).join(' ')}`);
    process.exit(64);
  }
  const prefix = `${scenario}:${crypto.randomUUID().slice(0, 8)}:`;
  const client = makeClient(servers);
  try {
    await scenarios[scenario](client, (name) => prefix + name, servers);
  } catch (error) {
    console.log(error.stack);
    process.exit(1);
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
