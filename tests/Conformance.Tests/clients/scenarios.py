"""What people do with memcached, against a running server. Each scenario is a function of a Context and fails by raising.

A scenario's keys start with its own name, the client's and a random part, so that scenarios share a server without meeting.
"""

import functools
import json
import multiprocessing
import os
import pickle
import threading
import time
import uuid
import zlib

PROCESSES = 8


class Context:
    def __init__(self, adapter, servers, scenario):
        self.adapter = adapter
        self.servers = servers
        self.cache = adapter(servers)
        self.prefix = "%s:%s:%s:" % (scenario, adapter.name, uuid.uuid4().hex[:8])

    def key(self, name):
        return self.prefix + str(name)


def equal(expected, actual):
    if expected != actual:
        raise AssertionError("expected %s, got %s" % (short(expected), short(actual)))


def true(condition, what):
    if not condition:
        raise AssertionError(what)


def short(value):
    text = repr(value)
    return text if len(text) < 300 else text[:300] + "... (%d)" % len(text)


def wait_until(condition, what, timeout=10.0):
    """Waits for something that only the server's clock brings about."""
    deadline = time.monotonic() + timeout
    while not condition():
        true(time.monotonic() < deadline, "still not after %s s: %s" % (timeout, what))
        time.sleep(0.05)


def in_processes(context, work, *arguments):
    """Runs work(make_cache, index, *arguments) in PROCESSES processes that start together; returns their results."""
    barrier = multiprocessing.Barrier(PROCESSES)
    results = multiprocessing.Queue()

    def run(index):
        try:
            # Each process enters the cluster through another server first.
            turn = index % len(context.servers)
            cache = context.adapter(context.servers[turn:] + context.servers[:turn])
            barrier.wait(20)
            results.put((index, work(cache, index, *arguments), None))
        except BaseException as error:
            results.put((index, None, repr(error)))
            raise

    processes = [multiprocessing.get_context("fork").Process(target=run, args=(index,), daemon=True) for index in range(PROCESSES)]
    for process in processes:
        process.start()
    collected = [results.get(timeout=50) for _ in processes]
    for process in processes:
        process.join(10)
    for index, _, error in collected:
        true(error is None, "process %d: %s" % (index, error))
    return [result for _, result, _ in sorted(collected, key=lambda entry: entry[0])]


# Values

def basics(context):
    cache, key = context.cache, context.key
    equal(None, cache.get(key("a")))
    true(cache.set(key("a"), b"one"), "set")
    equal(b"one", cache.get(key("a")))
    true(not cache.add(key("a"), b"two"), "add of an existing key")
    true(cache.replace(key("a"), b"three"), "replace")
    true(not cache.replace(key("b"), b"x"), "replace of a missing key")
    true(cache.append(key("a"), b"-after"), "append")
    true(cache.prepend(key("a"), b"before-"), "prepend")
    equal(b"before-three-after", cache.get(key("a")))
    true(cache.delete(key("a")), "delete")
    equal(None, cache.get(key("a")))
    true(cache.set(key("empty"), b""), "set of an empty value")
    equal(b"", cache.get(key("empty")))


def binary_values(context):
    """Any byte may stand in a value, protocol words and line ends too."""
    cache, key = context.cache, context.key
    for number, value in enumerate([bytes(range(256)) * 4, b"\r\n", b"END\r\n", b"VALUE x 0 1\r\n", b"\0" * 5000, os.urandom(100_000)]):
        true(cache.set(key(number), value), "set %d" % number)
        equal(value, cache.get(key(number)))


def json_values(context):
    cache, key = context.cache, context.key
    users = {number: {"id": number, "name": "Grüße %d ✓" % number, "tags": ["a", None, 1.5, True], "nested": {"empty": {}, "list": []}}
             for number in range(200)}
    for number, user in users.items():
        true(cache.set(key(number), json.dumps(user, ensure_ascii=False).encode()), "set")
    for number, user in users.items():
        equal(user, json.loads(cache.get(key(number))))


def pymemcache_json_serde(context):
    """The serializer of pymemcache's documentation: flags tell what is a string and what is JSON."""
    class JsonSerde:
        def serialize(self, _key, value):
            return (value.encode(), 1) if isinstance(value, str) else (json.dumps(value).encode(), 2)

        def deserialize(self, _key, value, flags):
            return {0: value, 1: value.decode() if flags == 1 else None, 2: json.loads(value) if flags == 2 else None}[flags]

    cache = context.cache.with_serde(JsonSerde())
    cache.set(context.key("text"), "héllo")
    cache.set(context.key("object"), {"a": [1, 2, {"b": None}]})
    equal("héllo", cache.get(context.key("text")))
    equal({"a": [1, 2, {"b": None}]}, cache.get(context.key("object")))
    equal({context.key("text"): "héllo", context.key("object"): {"a": [1, 2, {"b": None}]}},
          cache.get_many([context.key("text"), context.key("object"), context.key("absent")]))


def native_objects(context):
    """Objects of Python as each library serialises them, with its own flags."""
    client = context.cache.client
    if context.adapter.name.startswith("pymemcache"):
        from pymemcache import serde
        client = context.cache.with_serde(serde.pickle_serde).client
    values = {"int": 42, "negative": -7, "big": 2 ** 70, "float": 1.25, "text": "ünïcödé", "list": [1, "two", None], "dict": {"a": {"b": (1, 2)}},
              "bool": True}
    for name, value in values.items():
        true(client.set(context.key(name), value), "set %s" % name)
    for name, value in values.items():
        equal(value, client.get(context.key(name)))


def multi_get_and_set(context):
    cache, key = context.cache, context.key
    values = {key(number): ("value %d " % number).encode() * (number % 50) for number in range(1000)}
    equal([], list(cache.set_many(values)))
    wanted = list(values) + [key("absent%d" % number) for number in range(100)]
    equal(values, cache.get_many(wanted))
    for start in range(0, 1000, 7):
        some = list(values)[start:start + 7]
        equal({one: values[one] for one in some}, cache.get_many(some))
    true(cache.delete_many(list(values)[::2]), "delete_many")
    equal({one: values[one] for one in list(values)[1::2]}, cache.get_many(wanted))


def threads_share_a_pool(context):
    """Eight threads over one client: nobody gets another's reply."""
    cache, errors = context.cache, []

    def work(index):
        try:
            for round_number in range(100):
                key = context.key("%d-%d" % (index, round_number % 10))
                value = ("%d %d " % (index, round_number)).encode() * 50
                true(cache.set(key, value), "set")
                equal(value, cache.get(key))
        except BaseException as error:
            errors.append(repr(error))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal([], errors)


# Concurrency

def cas_loop(context):
    """Eight processes add to one number with gets and cas: no addition may be lost."""
    rounds = 100
    key = context.key("total")
    true(context.cache.set(key, b"0"), "set")

    def work(cache, _index):
        retries = 0
        for _ in range(rounds):
            while True:
                value, token = cache.gets(key)
                if cache.cas(key, str(int(value) + 1).encode(), token):
                    break
                retries += 1
        return retries

    retries = in_processes(context, work)
    equal(str(rounds * PROCESSES).encode(), context.cache.get(key))
    return "%d retries" % sum(retries)


def cas_once(context):
    cache, key = context.cache, context.key
    true(cache.set(key("a"), b"one"), "set")
    value, token = cache.gets(key("a"))
    equal(b"one", value)
    true(cache.cas(key("a"), b"two", token), "cas")
    equal(b"two", cache.get(key("a")))
    other = context.adapter(context.servers)
    value, token = cache.gets(key("a"))
    true(other.set(key("a"), b"from elsewhere"), "set")
    true(not cache.cas(key("a"), b"three", token), "cas with a stale token")
    equal(b"from elsewhere", cache.get(key("a")))


def lock(context):
    """A lock with add and a token: only the holder may release it, and the guarded read-modify-write loses nothing."""
    rounds = 25
    lock_key, counter_key = context.key("lock"), context.key("counter")
    true(context.cache.set(counter_key, b"0"), "set")

    def work(cache, index):
        for round_number in range(rounds):
            token = ("%d-%d" % (index, round_number)).encode()
            while not cache.add(lock_key, token, 60):
                time.sleep(0.0005)
            equal(token, cache.get(lock_key))
            number = int(cache.get(counter_key))
            true(cache.set(counter_key, str(number + 1).encode()), "set under the lock")
            held, cas_token = cache.gets(lock_key)
            equal(token, held)
            # Release: give it a dead token first, so that a lock that had run out and been taken by another is not deleted.
            true(cache.cas(lock_key, b"released", cas_token), "release by the holder")
            true(cache.delete(lock_key), "delete of the lock")
        return rounds

    in_processes(context, work)
    equal(str(rounds * PROCESSES).encode(), context.cache.get(counter_key))
    equal(None, context.cache.get(lock_key))


def lock_runs_out(context):
    """A holder that dies gives its lock back through the expiry."""
    cache, key = context.cache, context.key("lock")
    true(cache.add(key, b"dead", 2), "add")
    true(not cache.add(key, b"next", 60), "add while held")
    wait_until(lambda: cache.add(key, b"next", 60), "the lock runs out")
    equal(b"next", cache.get(key))


def rate_limiter(context):
    """A fixed window counted with add and incr from eight processes: exactly the allowed number pass."""
    limit, attempts = 300, 100
    key = context.key("window")

    def work(cache, _index):
        passed = 0
        for _ in range(attempts):
            count = cache.incr(key)
            if count is None:
                if cache.add(key, "1", 60):
                    count = 1
                else:
                    count = cache.incr(key)
            if count <= limit:
                passed += 1
        return passed

    if context.adapter.name.startswith("pylibmc"):
        # pylibmc raises NotFound instead of returning None.
        import pylibmc
        plain = context.adapter.incr

        def incr(self, key, delta=1):
            try:
                return plain(self, key, delta)
            except pylibmc.NotFound:
                return None
        context.adapter.incr = incr
    equal(limit, sum(in_processes(context, work)))
    equal(str(PROCESSES * attempts), context.cache.get(key).decode().strip())


def counters(context):
    cache, key = context.cache, context.key("n")
    true(cache.set(key, "10"), "set")
    equal(15, cache.incr(key, 5))
    equal(9, cache.decr(key, 6))
    equal(0, cache.decr(key, 1000))
    true(cache.set(key, str(2 ** 64 - 1)), "set")
    equal(0, cache.incr(key, 1))


# Time

def expiry(context):
    cache, key = context.cache, context.key
    # A life of one second may end with the clock's next tick: hence two.
    true(cache.set(key("touched"), b"x", 2), "set")
    true(cache.touch(key("touched"), 1000), "touch")
    true(cache.set(key("short"), b"x", 2), "set")
    true(cache.set(key("long"), b"x", 1000), "set")
    true(cache.set(key("absolute"), b"x", int(time.time()) + 1000), "set with an absolute time")
    true(cache.set(key("past"), b"x", int(time.time()) - 1000), "set with a time in the past")
    equal(None, cache.get(key("past")))
    true(cache.set(key("forever"), b"x", 0), "set")
    wait_until(lambda: cache.get(key("short")) is None, "the item expires")
    for name in ("long", "touched", "absolute", "forever"):
        equal(b"x", cache.get(key(name)))
    true(not cache.touch(key("short"), 1000), "touch of an expired item")
    true(cache.add(key("short"), b"again"), "add after expiry")


def cached_function(context):
    """A decorator that keeps a function's results for a while."""
    cache = context.cache
    calls = []

    def cached(ttl):
        def decorate(function):
            @functools.wraps(function)
            def wrapper(*arguments):
                key = context.key("%s-%08x" % (function.__name__, zlib.crc32(repr(arguments).encode())))
                found = cache.get(key)
                if found is not None:
                    return pickle.loads(found)
                result = function(*arguments)
                cache.set(key, pickle.dumps(result), ttl)
                return result
            return wrapper
        return decorate

    @cached(ttl=1)
    def report(year, month):
        calls.append((year, month))
        return {"year": year, "rows": [month] * 100}

    for _ in range(20):
        equal({"year": 2026, "rows": [1] * 100}, report(2026, 1))
        equal({"year": 2026, "rows": [2] * 100}, report(2026, 2))
    true(2 <= len(calls) <= 4, "calculated %d times" % len(calls))
    before = len(calls)
    wait_until(lambda: report(2026, 1) and len(calls) > before, "the result is calculated again")


# Sizes

def compressed_values(context):
    """Compression as each library offers it."""
    text = "a line that compresses well\n" * 20_000
    key = context.key("text")
    if context.adapter.name.startswith("pymemcache"):
        class CompressedSerde:
            def serialize(self, _key, value):
                return zlib.compress(value.encode()), 1 << 3

            def deserialize(self, _key, value, flags):
                return zlib.decompress(value).decode() if flags == 1 << 3 else value

        cache = context.cache.with_serde(CompressedSerde())
        true(cache.set(key, text), "set")
        equal(text, cache.get(key))
        equal({key: text}, cache.get_many([key, context.key("absent")]))
    elif context.adapter.name.startswith("pylibmc"):
        true(context.cache.client.set(key, text, min_compress_len=1000, compress_level=6), "set")
        equal(text, context.cache.client.get(key))
        true(not context.cache.client.set_multi({key + "2": text}, min_compress_len=1000), "set_multi")
        equal({key + "2": text}, context.cache.client.get_multi([key + "2"]))
    else:
        true(context.cache.client.set(key, text, min_compress_len=1000), "set")
        equal(text, context.cache.client.get(key))
    # What is stored is the compressed form, byte by byte.
    from pymemcache.client.base import Client
    raw = None
    for server in context.servers:
        raw = raw or Client(server).get(key)
    true(0 < len(raw) < 50_000, "stored %d bytes" % len(raw))


def longest_keys(context):
    cache = context.cache
    keys = [(context.prefix + "%03d-" % number + "k" * 250)[:250] for number in range(50)]
    equal([], list(cache.set_many({key: key.encode() for key in keys})))
    equal({key: key.encode() for key in keys}, cache.get_many(keys))
    for key in keys[:3]:
        equal(key.encode(), cache.get(key))
        true(cache.add(key, b"x") is False, "add of an existing key")
        true(cache.delete(key), "delete")
        equal(None, cache.get(key))


def large_values(context):
    """Values up to the limit come back whole; one beyond is refused and the old value is gone."""
    cache, key = context.cache, context.key
    for size in (1, 2047, 2048, 2049, 16_384, 65_535, 65_536, 524_288, 1_000_000, 1_048_000):
        value = os.urandom(min(size, 1000)) * (size // min(size, 1000) + 1)
        value = value[:size]
        true(cache.set(key(size), value), "set of %d bytes" % size)
        equal(value, cache.get(key(size)))
    true(cache.set(key("limit"), b"old"), "set")
    true(cache.set_too_large(key("limit"), b"x" * 1_048_576), "too large is refused")
    equal(None, cache.get(key("limit")))
    true(cache.set(key("limit"), b"new"), "the connection goes on")
    equal(b"new", cache.get(key("limit")))


# Errors, statistics, several servers

def errors(context):
    cache, key = context.cache, context.key
    # A client of its own: libmemcached takes a server that has refused something for lost.
    true(context.adapter(context.servers).refuses("k" * 251), "a key that is too long")
    if context.adapter.name != "pylibmc-binary":
        true(context.adapter(context.servers).refuses("with space"), "a key with a space")
    true(cache.set(key("a"), b"x"), "the connection goes on")
    equal(b"x", cache.get(key("a")))


def monitoring(context):
    statistics = context.cache.stats()
    for name in ("pid", "uptime", "time", "curr_items", "total_items", "cmd_get", "cmd_set", "get_hits", "get_misses", "bytes", "limit_maxbytes", "evictions",
                 "curr_connections", "total_connections", "threads", "bytes_read", "bytes_written"):
        true(statistics[name].isdigit(), "%s is %r" % (name, statistics.get(name)))
    true(statistics["version"][:1].isdigit(), "version %r" % statistics["version"])
    if context.adapter.name.startswith("pylibmc"):
        return  # libmemcached keeps only the names of the plain statistics.
    true("maxbytes" in context.cache.stats("settings"), "settings")
    true("active_slabs" in context.cache.stats("slabs"), "slabs")
    true(context.cache.set(context.key("a"), b"x"), "set")
    true(any(name.startswith("items:") and name.endswith(":number") for name in context.cache.stats("items")), "items")


def two_servers(context):
    """The library spreads the keys itself, and each server alone has its part of them."""
    values = {context.key(number): b"value %d" % number for number in range(200)}
    equal([], list(context.cache.set_many(values)))
    equal(values, context.cache.get_many(list(values) + [context.key("absent")]))
    for key in list(values)[:20]:
        equal(values[key], context.cache.get(key))
    together = {}
    for server in context.servers:
        found = context.adapter([server]).get_many(list(values))
        # A plain pymemcache client has one server.
        true(found or context.adapter.name in ("pymemcache", "pymemcache-pooled"), "%s:%d is in use" % server)
        together.update(found)
    equal(values, together)


# Sessions

def flask_sessions(context):
    """Flask-Session with its memcached back end: log in, count, log out, another visitor beside."""
    from flask import Flask, session
    from flask_session import Session

    app = Flask("conformance")
    app.config.update(SECRET_KEY="test", SESSION_TYPE="memcached", SESSION_MEMCACHED=context.cache.client, SESSION_KEY_PREFIX=context.key("session:"))
    Session(app)

    @app.route("/login/<name>")
    def login(name):
        session["user"] = {"name": name, "roles": ["reader"]}
        session["visits"] = 0
        return "ok"

    @app.route("/visit")
    def visit():
        session["visits"] = session.get("visits", 0) + 1
        return "%s %d" % (session.get("user", {}).get("name"), session["visits"])

    @app.route("/logout")
    def logout():
        session.clear()
        return "bye"

    anna, ben = app.test_client(), app.test_client()
    equal(b"ok", anna.get("/login/anna").data)
    equal(b"ok", ben.get("/login/ben").data)
    for number in range(1, 21):
        equal(b"anna %d" % number, anna.get("/visit").data)
    equal(b"ben 1", ben.get("/visit").data)
    equal(b"bye", anna.get("/logout").data)
    equal(b"None 1", anna.get("/visit").data)
    equal(b"ben 2", ben.get("/visit").data)


def flush(context):
    cache, key = context.cache, context.key
    for number in range(100):
        true(cache.set(key(number), b"x"), "set")
    cache.flush()
    equal({}, cache.get_many([key(number) for number in range(100)]))
    true(cache.set(key("after"), b"y"), "set straight after")
    equal(b"y", cache.get(key("after")))


SCENARIOS = {function.__name__: function for function in (
    basics, binary_values, json_values, pymemcache_json_serde, native_objects, multi_get_and_set, threads_share_a_pool, cas_once, cas_loop, lock, lock_runs_out,
    rate_limiter, counters, expiry, cached_function, compressed_values, longest_keys, large_values, errors, monitoring, two_servers, flask_sessions, flush)}

# What the client matrix asks of every library, with one server, and with all servers.
MATRIX = ("basics", "binary_values", "native_objects", "multi_get_and_set", "cas_once", "cas_loop", "counters", "expiry", "compressed_values", "longest_keys",
          "large_values", "errors", "monitoring", "flush")
MATRIX_SERVERS = ("two_servers",)
