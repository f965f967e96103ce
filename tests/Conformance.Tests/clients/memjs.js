// The npm package `memjs` (binary protocol): what a node service does with it. It has neither multi-get nor cas.
'use strict';

const assert = require('node:assert');
const crypto = require('node:crypto');
const memjs = require('memjs');
const { run, waitUntil } = require('./checks.js');

function connect(servers) {
  return memjs.Client.create(servers.join(','), { timeout: 20, conntimeout: 10, retries: 0, logger: { log() {} } });
}

const scenarios = {
  async everyday(cache, key) {
    assert.strictEqual((await cache.get(key('a'))).value, null);
    assert.strictEqual(await cache.replace(key('a'), 'x', {}), false);
    await assert.rejects(cache.append(key('a'), 'x'), /not stored/);
    assert.strictEqual(await cache.set(key('a'), JSON.stringify({ name: 'Grüße ✓' }), { expires: 600 }), true);
    assert.deepStrictEqual(JSON.parse((await cache.get(key('a'))).value), { name: 'Grüße ✓' });
    assert.strictEqual(await cache.add(key('a'), 'two', {}), false);
    assert.strictEqual(await cache.replace(key('a'), 'three', {}), true);
    assert.strictEqual(await cache.append(key('a'), '-after'), true);
    // memjs 1.3.2 sends append for its prepend.
    assert.strictEqual((await cache.get(key('a'))).value.toString(), 'three-after');
    assert.strictEqual(await cache.delete(key('a')), true);
    assert.strictEqual(await cache.delete(key('a')), false);
    assert.strictEqual((await cache.get(key('a'))).value, null);
  },

  async many_at_once(cache, key) {
    const numbers = Array.from({ length: 300 }, (_, number) => number);
    await Promise.all(numbers.map((number) => cache.set(key(number), `value ${number} `.repeat(number % 50), {})));
    const found = await Promise.all(numbers.map((number) => cache.get(key(number))));
    assert.deepStrictEqual(found.map((one) => one.value.toString()), numbers.map((number) => `value ${number} `.repeat(number % 50)));
  },

  async counters(cache, key) {
    assert.strictEqual((await cache.increment(key('n'), 5, { initial: 10 })).value, 10);
    assert.strictEqual((await cache.increment(key('n'), 5, { initial: 10 })).value, 15);
    assert.strictEqual((await cache.decrement(key('n'), 100, { initial: 10 })).value, 0);
    const replies = await Promise.all(Array.from({ length: 100 }, () => cache.increment(key('n'), 1, {})));
    assert.deepStrictEqual(replies.map((reply) => reply.value).sort((a, b) => a - b), Array.from({ length: 100 }, (_, index) => index + 1));
    await cache.set(key('word'), 'word', {});
    await assert.rejects(cache.increment(key('word'), 1, {}));
    assert.strictEqual((await cache.get(key('word'))).value.toString(), 'word');
  },

  async sizes(cache, key) {
    for (const size of [0, 1, 2048, 102_400, 1_048_000]) {
      const bytes = crypto.randomBytes(size);
      assert.strictEqual(await cache.set(key(size), bytes, {}), true);
      assert.ok((await cache.get(key(size))).value.equals(bytes), `${size} bytes`);
    }
    await cache.set(key('limit'), 'old', {});
    await assert.rejects(cache.set(key('limit'), crypto.randomBytes(1_048_576), {}), /too large/i);
    assert.strictEqual((await cache.get(key('limit'))).value, null);
    assert.strictEqual(await cache.set(key('limit'), 'new', {}), true);
    const longest = key('').padEnd(250, 'k');
    assert.strictEqual(await cache.set(longest, 'x', {}), true);
    assert.strictEqual((await cache.get(longest)).value.toString(), 'x');
  },

  async expiry(cache, key) {
    // A life of one second may end with the clock's next tick: hence two.
    await cache.set(key('touched'), 'x', { expires: 2 });
    assert.strictEqual(await cache.touch(key('touched'), 1000), true);
    await cache.set(key('short'), 'x', { expires: 2 });
    assert.strictEqual(await cache.touch(key('absent'), 1000), false);
    await waitUntil(async () => (await cache.get(key('short'))).value === null, 'the item expires');
    assert.strictEqual((await cache.get(key('touched'))).value.toString(), 'x');
  },

  async monitoring(cache, key, servers) {
    await cache.set(key('a'), 'x', {});
    const statistics = (name) => new Promise((resolve, reject) => {
      cache.statsWithKey(name, (error, server, values) => (error ? reject(error) : resolve([server, values])));
    });
    const [server, values] = await statistics('');
    assert.strictEqual(server, servers[0]);
    for (const name of ['pid', 'uptime', 'version', 'curr_items', 'get_hits', 'get_misses', 'bytes', 'limit_maxbytes', 'evictions']) {
      assert.ok(name in values, name);
    }
    assert.ok('maxbytes' in (await statistics('settings'))[1]);
    assert.ok('active_slabs' in (await statistics('slabs'))[1]);
    assert.ok(Object.keys((await statistics('items'))[1]).some((name) => /^items:\d+:number$/.test(name)));
  },

  async two_servers(cache, key, servers) {
    const both = connect(servers);
    const numbers = Array.from({ length: 200 }, (_, number) => number);
    await Promise.all(numbers.map((number) => both.set(key(number), `value ${number}`, {})));
    const found = await Promise.all(numbers.map((number) => both.get(key(number))));
    assert.deepStrictEqual(found.map((one) => one.value.toString()), numbers.map((number) => `value ${number}`));
    both.close();
    const together = new Set();
    for (const server of servers) {
      const one = connect([server]);
      const here = await Promise.all(numbers.map((number) => one.get(key(number))));
      one.close();
      assert.ok(here.some((entry) => entry.value !== null), `${server} is in use`);
      here.forEach((entry, number) => entry.value !== null && together.add(number));
    }
    assert.strictEqual(together.size, numbers.length);
  },

  async flush(cache, key, servers) {
    await cache.set(key('before'), 'x', {});
    assert.deepStrictEqual(await cache.flush(), { [servers[0]]: true });
    assert.strictEqual((await cache.get(key('before'))).value, null);
    assert.strictEqual(await cache.set(key('after'), 'y', {}), true);
    assert.strictEqual((await cache.get(key('after'))).value.toString(), 'y');
  },
};

run(scenarios, connect, (cache) => cache.close());
