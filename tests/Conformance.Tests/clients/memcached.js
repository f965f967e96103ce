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
    await assert.rejects(cache.replace(key('absent'), 'x', 0));
    await assert.rejects(cache.append(key('absent'), 'x'));
    assert.strictEqual(await cache.del(key('absent')), false);
    assert.strictEqual(await cache.touch(key('absent'), 10), false);
    assert.strictEqual(await cache.set(key('empty'), '', 0), true);
    assert.strictEqual(await cache.get(key('empty')), '');
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
    const workers = Array.from({ length: 8 }, () => connect(servers.slice(0, 1)));
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
    const found = await cache.gets(key('total'));
    await cache.set(key('total'), 0, 0);
    assert.strictEqual(await cache.cas(key('total'), 1, found.cas, 0), false);
    assert.strictEqual(await cache.cas(key('absent'), 1, found.cas, 0), false);
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
    // A life of one second may end with the clock's next tick: hence two.
    await cache.set(key('touched'), 'x', 2);
    assert.strictEqual(await cache.touch(key('touched'), 1000), true);
    await cache.set(key('short'), 'x', 2);
    await waitUntil(async () => await cache.get(key('short')) === undefined, 'the item expires');
    assert.strictEqual(await cache.get(key('touched')), 'x');
  },

  async sizes(cache, key, servers) {
    for (const size of [1, 2048, 102_400, 1_048_000]) {
      const value = 'abcdefghij'.repeat(Math.ceil(size / 10)).slice(0, size);
      assert.strictEqual(await cache.set(key(size), value, 0), true);
      assert.strictEqual(await cache.get(key(size)), value);
    }
    await cache.set(key('limit'), 'old', 0);
    // The package answers SERVER_ERROR with false and then takes the server for lost: hence the second client.
    const other = connect(servers.slice(0, 1));
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
    const [settings] = await promisify(cache.client.settings).call(cache.client);
    assert.ok('maxbytes' in settings);
    const [slabs] = await promisify(cache.client.slabs).call(cache.client);
    assert.ok(Object.keys(slabs).some((name) => /^\d+$/.test(name)), 'slabs');
    const [items] = await promisify(cache.client.items).call(cache.client);
    assert.ok(Object.keys(items).some((name) => /^\d+$/.test(name)), 'items');
  },

  async errors(cache, key) {
    // The package hashes a key that is too long.
    const long = key('').padEnd(300, 'k');
    assert.strictEqual(await cache.set(long, 'x', 0), true);
    assert.strictEqual(await cache.get(long), 'x');
    await assert.rejects(cache.set(key('with\nline'), 'x', 0));
    await cache.set(key('word'), 'word', 0);
    await assert.rejects(cache.incr(key('word'), 1), /non-numeric/);
    assert.strictEqual(await cache.get(key('word')), 'word');
  },

  async two_servers(cache, key, servers) {
    const both = connect(servers);
    const values = Object.fromEntries(Array.from({ length: 200 }, (_, number) => [key(number), `value ${number}`]));
    await Promise.all(Object.entries(values).map(([name, value]) => both.set(name, value, 0)));
    assert.deepStrictEqual({ ...await both.getMulti(Object.keys(values)) }, values);
    both.client.end();
    const together = {};
    for (const server of servers) {
      const one = connect([server]);
      const found = await one.getMulti(Object.keys(values));
      one.client.end();
      assert.notDeepStrictEqual({ ...found }, {}, `${server} is in use`);
      Object.assign(together, found);
    }
    assert.deepStrictEqual(together, values);
  },

  async flush(cache, key) {
    await cache.set(key('before'), 'x', 0);
    assert.deepStrictEqual(await cache.flush(), [true]);
    assert.strictEqual(await cache.get(key('before')), undefined);
    assert.strictEqual(await cache.set(key('after'), 'y', 0), true);
    assert.strictEqual(await cache.get(key('after')), 'y');
  },
};

run(scenarios, connect, (cache) => cache.client.end());
