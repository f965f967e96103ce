// The npm package `memcached` (text protocol): what a node service does with it.
'use strict';

const assert = require('node:assert');
const { promisify } = require('node:util');
const Memcached = require('memcached');
const { run, waitUntil } = require('./checks.js');

// The package's functions with promises instead of callbacks.
function promises(client) {
  const wrapped = { client };
  for (const name of ['get', 'gets', 'getMulti', 'set', 'add', 'replace', 'append', 'prepend', 'cas', 'incr', 'decr', 'touch', 'del', 'flush', 'stats', 'version']) {
    wrapped[name] = promisify(client[name]).bind(client);
  }
  return wrapped;
}

function connect(servers) {
  return promises(new Memcached(servers, { timeout: 20_000, retries: 0, poolSize: 600, maxValue: 1 << 26 }));
}

const scenarios = {
  async basics(cache, key) {
    assert.strictEqual(await cache.get(key('a')), undefined);
    assert.strictEqual(await cache.set(key('a'), 'one', 0), true);
    assert.strictEqual(await cache.get(key('a')), 'one');
    await assert.rejects(cache.add(key('a'), 'two', 0));
    assert.strictEqual(await cache.replace(key('a'), 'three', 0), true);
    assert.strictEqual(await cache.append(key('a'), '-after'), true);
    assert.strictEqual(await cache.prepend(key('a'), 'before-'), true);
    assert.strictEqual(await cache.get(key('a')), 'before-three-after');
    assert.strictEqual(await cache.del(key('a')), true);
    assert.strictEqual(await cache.get(key('a')), undefined);
    const bytes = Buffer.from(Array.from({ length: 4096 }, (_, index) => index % 256));
    assert.strictEqual(await cache.set(key('bytes'), bytes, 0), true);
    assert.deepStrictEqual(await cache.get(key('bytes')), bytes);
  },

  async json_values(cache, key) {
    const users = Array.from({ length: 200 }, (_, id) => ({ id, name: `Grüße ${id} ✓`, tags: ['a', null, 1.5, true], nested: { empty: {}, list: [] } }));
    await Promise.all(users.map((user) => cache.set(key(user.id), user, 0)));
    const found = await Promise.all(users.map((user) => cache.get(key(user.id))));
    assert.deepStrictEqual(found, users);
    await cache.set(key('number'), 42, 0);
    assert.strictEqual(await cache.get(key('number')), 42);
  },

  async multi_get(cache, key) {
    const values = Object.fromEntries(Array.from({ length: 500 }, (_, number) => [key(number), `value ${number} `.repeat(number % 50 + 1)]));
    await Promise.all(Object.entries(values).map(([name, value]) => cache.set(name, value, 0)));
    const found = await cache.getMulti([...Object.keys(values), key('absent')]);
    assert.deepStrictEqual({ ...found }, values);
  },

  async cas_loop(cache, key, servers) {
    await cache.set(key('total'), 0, 0);
    const workers = Array.from({ length: 8 }, () => connect(servers));
    await Promise.all(workers.map(async (worker) => {
      for (let round = 0; round < 50; round++) {
        for (;;) {
          const found = await worker.gets(key('total'));
          // The package answers a lost race with an error-less false.
          if (await worker.cas(key('total'), Number(found[key('total')]) + 1, found.cas, 0)) break;
        }
      }
    }));
    workers.forEach((worker) => worker.client.end());
    assert.strictEqual(await cache.get(key('total')), 400);
  },

  async counters_and_lock(cache, key) {
    assert.strictEqual(await cache.incr(key('n'), 1), false);
    await cache.set(key('n'), 10, 0);
    const replies = await Promise.all(Array.from({ length: 100 }, () => cache.incr(key('n'), 1)));
    assert.deepStrictEqual(replies.sort((a, b) => a - b), Array.from({ length: 100 }, (_, index) => index + 11));
    assert.strictEqual(await cache.decr(key('n'), 1000), 0);
    const holders = await Promise.allSettled(Array.from({ length: 20 }, (_, holder) => cache.add(key('lock'), `token ${holder}`, 60)));
    assert.strictEqual(holders.filter((holder) => holder.status === 'fulfilled' && holder.value === true).length, 1);
  },

  async expiry(cache, key) {
    await cache.set(key('short'), 'x', 1);
    await cache.set(key('touched'), 'x', 1);
    assert.strictEqual(await cache.touch(key('touched'), 1000), true);
    await waitUntil(async () => await cache.get(key('short')) === undefined, 'the item expires');
    assert.strictEqual(await cache.get(key('touched')), 'x');
  },

  async sizes(cache, key, servers) {
    for (const size of [1, 2048, 65_536, 1_000_000]) {
      const value = 'abcdefghij'.repeat(Math.ceil(size / 10)).slice(0, size);
      assert.strictEqual(await cache.set(key(size), value, 0), true);
      assert.strictEqual(await cache.get(key(size)), value);
    }
    await cache.set(key('limit'), 'old', 0);
    // The package answers SERVER_ERROR with false and then takes the server for lost: hence the second client.
    const other = connect(servers);
    assert.strictEqual(await other.set(key('limit'), 'x'.repeat(1_048_576), 0), false);
    other.client.end();
    assert.strictEqual(await cache.get(key('limit')), undefined);
    const longest = key('').padEnd(250, 'k');
    assert.strictEqual(await cache.set(longest, 'x', 0), true);
    assert.strictEqual(await cache.get(longest), 'x');
  },

  async monitoring(cache) {
    const [version] = await cache.version();
    assert.match(version.version, /^\d+\.\d+\.\d+/);
    const [statistics] = await cache.stats();
    for (const name of ['pid', 'uptime', 'curr_items', 'get_hits', 'get_misses', 'bytes', 'limit_maxbytes', 'evictions']) {
      assert.ok(name in statistics, name);
    }
  },
};

run(scenarios, connect, (cache) => cache.client.end());
