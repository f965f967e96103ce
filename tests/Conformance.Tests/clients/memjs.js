// The npm package `memjs` (binary protocol): what a node service does with it.
'use strict';

const assert = require('node:assert');
const memjs = require('memjs');
const { run, waitUntil } = require('./checks.js');

const scenarios = {
  async everyday(cache, key) {
    assert.strictEqual((await cache.get(key('a'))).value, null);
    assert.strictEqual(await cache.set(key('a'), JSON.stringify({ name: 'Grüße ✓' }), { expires: 600 }), true);
    assert.deepStrictEqual(JSON.parse((await cache.get(key('a'))).value), { name: 'Grüße ✓' });
    assert.strictEqual(await cache.add(key('a'), 'two', {}), false);
    assert.strictEqual(await cache.replace(key('a'), 'three', {}), true);
    assert.strictEqual(await cache.append(key('a'), '-after'), true);
    assert.strictEqual((await cache.get(key('a'))).value.toString(), 'three-after');
    assert.strictEqual(await cache.delete(key('a')), true);
    assert.strictEqual((await cache.increment(key('n'), 5, { initial: 10 })).value, 10);
    assert.strictEqual((await cache.increment(key('n'), 5, { initial: 10 })).value, 15);
    assert.strictEqual((await cache.decrement(key('n'), 100, { initial: 10 })).value, 0);
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 256));
    assert.strictEqual(await cache.set(key('bytes'), bytes, {}), true);
    assert.deepStrictEqual((await cache.get(key('bytes'))).value, bytes);
    await cache.set(key('short'), 'x', { expires: 1 });
    await waitUntil(async () => (await cache.get(key('short'))).value === null, 'the item expires');
  },
};

run(scenarios, (servers) => memjs.Client.create(servers.join(','), { timeout: 20, retries: 0 }), (cache) => cache.close());
