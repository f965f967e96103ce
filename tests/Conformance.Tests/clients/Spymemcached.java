import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import net.spy.memcached.CASMutator;
import net.spy.memcached.CASResponse;
import net.spy.memcached.CASValue;
import net.spy.memcached.ConnectionFactoryBuilder;
import net.spy.memcached.DefaultHashAlgorithm;
import net.spy.memcached.FailureMode;
import net.spy.memcached.MemcachedClient;
import net.spy.memcached.internal.OperationFuture;

/**
 * Spymemcached ascii|binary HOST:PORT HOST:PORT: what Java programs do with Debian's libspymemcached-java. Exit code 0 when all is as it must be.
 */
public final class Spymemcached {
    private static final int WORKERS = 4;
    private static final int ROUNDS = 25;

    private interface Step {
        void run() throws Exception;
    }

    private final String protocol;
    private final boolean binary;
    private final String first;
    private final String second;
    private final String prefix;
    private final List<MemcachedClient> clients = new ArrayList<>();
    private final MemcachedClient cache;

    private Spymemcached(String protocol, String first, String second) throws Exception {
        this.protocol = protocol;
        this.binary = protocol.equals("binary");
        this.first = first;
        this.second = second;
        prefix = "java:" + protocol + ":" + UUID.randomUUID().toString().substring(0, 8) + ":";
        cache = connect(ConnectionFactoryBuilder.Locator.ARRAY_MOD, first);
    }

    public static void main(String[] arguments) throws Exception {
        System.setProperty("net.spy.log.LoggerImpl", "net.spy.memcached.compat.log.SunLogger");
        java.util.logging.LogManager.getLogManager().reset();
        System.exit(new Spymemcached(arguments[0], arguments[1], arguments[2]).run() ? 0 : 1);
    }

    private MemcachedClient connect(ConnectionFactoryBuilder.Locator locator, String... servers) throws Exception {
        List<InetSocketAddress> addresses = new ArrayList<>();
        for (String server : servers) {
            String[] parts = server.split(":");
            addresses.add(new InetSocketAddress(parts[0], Integer.parseInt(parts[1])));
        }
        MemcachedClient made = new MemcachedClient(new ConnectionFactoryBuilder()
            .setProtocol(binary ? ConnectionFactoryBuilder.Protocol.BINARY : ConnectionFactoryBuilder.Protocol.TEXT)
            .setLocatorType(locator)
            .setHashAlg(locator == ConnectionFactoryBuilder.Locator.CONSISTENT ? DefaultHashAlgorithm.KETAMA_HASH : DefaultHashAlgorithm.NATIVE_HASH)
            .setOpTimeout(20_000).setFailureMode(FailureMode.Retry).setDaemon(true).build(), addresses);
        synchronized (clients) {
            clients.add(made);
        }
        return made;
    }

    private boolean run() {
        Map<String, Step> steps = new LinkedHashMap<>();
        steps.put("short lives begin", this::shortLivesBegin);
        steps.put("values keep their types", this::valuesKeepTheirTypes);
        steps.put("sizes", this::sizes);
        steps.put("compression", this::compression);
        steps.put("add, replace, append, prepend, delete", this::addReplaceAppendPrependDelete);
        steps.put("many keys at once", this::manyKeysAtOnce);
        steps.put("cas", this::cas);
        steps.put("workers add to one number with cas", this::workersAddToOneNumberWithCas);
        steps.put("counters", this::counters);
        steps.put("bad keys", this::badKeys);
        steps.put("statistics and version", this::statisticsAndVersion);
        steps.put("two servers", this::twoServers);
        steps.put("short lives end", this::shortLivesEnd);
        steps.put("flush", this::flush);
        for (Map.Entry<String, Step> step : steps.entrySet()) {
            try {
                step.getValue().run();
            } catch (Throwable error) {
                System.out.println("spymemcached " + protocol + ", " + step.getKey() + ":");
                error.printStackTrace(System.out);
                return false;
            }
        }
        clients.forEach(MemcachedClient::shutdown);
        System.out.println("spymemcached " + protocol + ": right");
        return true;
    }

    private void shortLivesBegin() throws Exception {
        // A life of one second may end with the clock's next tick: hence two.
        yes(cache.set(key("touched"), 2, "x"), "set");
        yes(cache.set(key("fetched"), 2, "x"), "set");
        yes(cache.touch(key("touched"), 1000), "touch");
        no(cache.touch(key("absent"), 1000), "touch of an absent key");
        if (binary) {
            same("x", cache.getAndTouch(key("fetched"), 1000).getValue(), "gat");
            same(null, cache.getAndTouch(key("absent"), 1000), "gat of an absent key");
        } else {
            yes(cache.touch(key("fetched"), 1000), "touch");
        }
        yes(cache.set(key("short"), 2, "x"), "set");
        int now = (int) (System.currentTimeMillis() / 1000);
        yes(cache.set(key("absolute"), now + 1000, "x"), "set with an absolute time");
        yes(cache.set(key("past"), now - 1000, "x"), "set with a time in the past");
        same(null, cache.get(key("past")), "a time in the past");
    }

    private void valuesKeepTheirTypes() throws Exception {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("text", "Grüße ✓");
        values.put("empty", "");
        values.put("integer", -42);
        values.put("long", Long.MAX_VALUE);
        values.put("double", 1.25);
        values.put("boolean", true);
        values.put("date", new Date(1_700_000_000_000L));
        values.put("list", new ArrayList<Object>(Arrays.asList(1, "two", null, new HashMap<>(Map.of("three", 3.5)))));
        values.put("lines", "END\r\nVALUE x 0 1\r\n");
        for (Map.Entry<String, Object> value : values.entrySet()) {
            yes(cache.set(key(value.getKey()), 1000, value.getValue()), "set of " + value.getKey());
        }
        for (Map.Entry<String, Object> value : values.entrySet()) {
            same(value.getValue(), cache.get(key(value.getKey())), "get of " + value.getKey());
        }
    }

    private void sizes() throws Exception {
        for (int size : new int[] {0, 1, 2047, 2048, 16384, 100 * 1024, 1_048_000}) {
            byte[] value = noise(size);
            yes(cache.set(key("size" + size), 1000, value), "set of " + size + " bytes");
            if (!Arrays.equals(value, (byte[]) cache.get(key("size" + size)))) {
                throw new AssertionError("get of " + size + " bytes");
            }
        }
        yes(cache.set(key("limit"), 1000, "old"), "set");
        // The text protocol's error is an exception, binary's is a status. After the exception the library takes a second to connect again: hence
        // another client.
        MemcachedClient other = connect(ConnectionFactoryBuilder.Locator.ARRAY_MOD, first);
        try {
            no(other.set(key("limit"), 1000, noise(1_048_576)), "set beyond the limit");
        } catch (java.util.concurrent.ExecutionException error) {
            if (!String.valueOf(error.getCause()).contains("too large")) {
                throw error;
            }
        }
        same(null, cache.get(key("limit")), "the old value is gone");
        yes(cache.set(key("limit"), 1000, "new"), "the next set");
        same("new", cache.get(key("limit")), "the next get");
    }

    private void compression() throws Exception {
        String text = "a line that compresses well; ".repeat(100_000);
        yes(cache.set(key("compressed"), 1000, text), "set of 2.9 MB that compress");
        same(text, cache.get(key("compressed")), "get");
    }

    private void addReplaceAppendPrependDelete() throws Exception {
        String key = key("a");
        same(null, cache.get(key), "before");
        no(cache.replace(key, 1000, "x"), "replace of an absent key");
        yes(cache.add(key, 1000, "one"), "add");
        no(cache.add(key, 1000, "two"), "add of a present key");
        yes(cache.replace(key, 1000, "three"), "replace");
        yes(cache.append(key, "-after"), "append");
        yes(cache.prepend(key, "before-"), "prepend");
        no(cache.append(key("absent"), "x"), "append to an absent key");
        same("before-three-after", cache.get(key), "get");
        yes(cache.delete(key), "delete");
        no(cache.delete(key), "delete of an absent key");
        same(null, cache.get(key), "after");
    }

    private void manyKeysAtOnce() throws Exception {
        Map<String, Object> values = new HashMap<>();
        List<OperationFuture<Boolean>> writes = new ArrayList<>();
        for (int number = 0; number < 300; number++) {
            values.put(key("many" + number), ("value " + number + " ").repeat(number % 50));
        }
        // The library sends what is queued in one go.
        values.forEach((key, value) -> writes.add(cache.set(key, 1000, value)));
        for (OperationFuture<Boolean> write : writes) {
            yes(write, "set");
        }
        List<String> wanted = new ArrayList<>(values.keySet());
        wanted.add(key("absent1"));
        wanted.add(key("absent2"));
        same(values, cache.getBulk(wanted), "getBulk");
        same(Map.of(), cache.getBulk(key("absent1")), "getBulk of absent keys");
        List<Future<Object>> reads = new ArrayList<>();
        for (String key : wanted) {
            reads.add(cache.asyncGet(key));
        }
        for (int index = 0; index < wanted.size(); index++) {
            same(values.get(wanted.get(index)), reads.get(index).get(), "asyncGet");
        }
    }

    private void cas() throws Exception {
        String key = key("cas");
        yes(cache.set(key, 1000, "one"), "set");
        CASValue<Object> read = cache.gets(key);
        same("one", read.getValue(), "gets");
        same(CASResponse.OK, cache.cas(key, read.getCas(), "two"), "cas");
        same(CASResponse.EXISTS, cache.cas(key, read.getCas(), "three"), "cas with a stale token");
        same(CASResponse.NOT_FOUND, cache.cas(key("absent"), read.getCas(), "x"), "cas of an absent key");
        same(null, cache.gets(key("absent")), "gets of an absent key");
        same("two", cache.get(key), "get");
        if (binary) {
            no(cache.delete(key, read.getCas()), "delete with a stale token");
            OperationFuture<Boolean> stored = cache.set(key, 1000, "four");
            yes(stored, "set");
            same(stored.getCas(), cache.gets(key).getCas(), "the token in set's answer");
            yes(cache.delete(key, stored.getCas()), "delete with the token");
        }
    }

    private void workersAddToOneNumberWithCas() throws Exception {
        ExecutorService workers = Executors.newFixedThreadPool(WORKERS);
        List<Callable<Void>> work = new ArrayList<>();
        for (int worker = 0; worker < WORKERS; worker++) {
            work.add(() -> {
                MemcachedClient own = connect(ConnectionFactoryBuilder.Locator.ARRAY_MOD, first);
                CASMutator<Object> mutator = new CASMutator<>(own, own.getTranscoder(), Integer.MAX_VALUE);
                for (int round = 0; round < ROUNDS; round++) {
                    mutator.cas(key("total"), 1, 1000, found -> (Integer) found + 1);
                }
                return null;
            });
        }
        for (Future<Void> done : workers.invokeAll(work)) {
            done.get();
        }
        workers.shutdown();
        same(WORKERS * ROUNDS, cache.get(key("total")), "the total");
    }

    private void counters() throws Exception {
        String key = key("n");
        same(-1L, cache.incr(key, 1), "incr of an absent key");
        same(10L, cache.incr(key, 5, 10, 1000), "incr with a first value");
        same(15L, cache.incr(key, 5, 10, 1000), "incr");
        same(9L, cache.decr(key, 6), "decr");
        same(0L, cache.decr(key, 1000), "decr stops at 0");
        same(50L, cache.decr(key("down"), 1, 50, 1000), "decr with a first value");
        same(49L, cache.decr(key("down"), 1, 50, 1000), "decr");
        if (binary) {
            same(7L, cache.asyncIncr(key("later"), 1L, 7L, 1000).get(), "incr with a first value");
        }
        yes(cache.set(key("word"), 1000, "word"), "set");
        try {
            long number = cache.incr(key("word"), 1);
            same(-1L, number, "incr of a word");
        } catch (RuntimeException error) {
            if (!error.toString().toLowerCase().contains("non-numeric") && !String.valueOf(error.getCause()).toLowerCase().contains("non-numeric")) {
                throw error;
            }
        }
        same("word", cache.get(key("word")), "get after the error");
    }

    private void badKeys() throws Exception {
        String longest = (key("") + "k".repeat(250)).substring(0, 250);
        yes(cache.set(longest, 1000, "x"), "set of the longest key");
        same("x", cache.get(longest), "get of the longest key");
        List<String> bad = new ArrayList<>(List.of(longest + "k", ""));
        if (!binary) {
            bad.add("with space");
            bad.add("with\nline");
        }
        for (String key : bad) {
            try {
                cache.get(key);
            } catch (IllegalArgumentException expected) {
                continue;
            }
            throw new AssertionError("get of a bad key");
        }
    }

    private void statisticsAndVersion() {
        Map<SocketAddress, Map<String, String>> all = cache.getStats();
        same(1, all.size(), "statistics of one server");
        Map<String, String> statistics = all.values().iterator().next();
        for (String name : List.of("pid", "uptime", "time", "version", "curr_items", "total_items", "get_hits", "get_misses", "bytes", "limit_maxbytes",
                "evictions", "curr_connections", "threads")) {
            if (!statistics.containsKey(name)) {
                throw new AssertionError("no " + name + " in " + statistics);
            }
        }
        if (cache.getStats("settings").values().iterator().next().get("maxbytes") == null
                || cache.getStats("slabs").values().iterator().next().get("active_slabs") == null
                || cache.getStats("items").values().iterator().next().keySet().stream().noneMatch(name -> name.matches("items:\\d+:number"))) {
            throw new AssertionError("stats settings, slabs, items");
        }
        String version = cache.getVersions().values().iterator().next();
        if (!version.matches("\\d+\\.\\d+\\.\\d+.*")) {
            throw new AssertionError("version " + version);
        }
    }

    private void twoServers() throws Exception {
        for (ConnectionFactoryBuilder.Locator locator : ConnectionFactoryBuilder.Locator.values()) {
            if (locator == ConnectionFactoryBuilder.Locator.VBUCKET) {
                continue;
            }
            MemcachedClient both = connect(locator, first, second);
            Map<String, Object> values = new HashMap<>();
            for (int number = 0; number < 200; number++) {
                values.put(key("two" + locator + number), "value " + number);
            }
            for (Map.Entry<String, Object> value : values.entrySet()) {
                yes(both.set(value.getKey(), 1000, value.getValue()), "set");
            }
            same(values, both.getBulk(values.keySet()), "getBulk");
            Map<String, Object> together = new HashMap<>();
            for (String server : List.of(first, second)) {
                Map<String, Object> found = connect(ConnectionFactoryBuilder.Locator.ARRAY_MOD, server).getBulk(values.keySet());
                if (found.isEmpty()) {
                    throw new AssertionError("both servers are in use");
                }
                together.putAll(found);
            }
            same(values, together, "what the servers hold together");
            same(2, both.getStats().size(), "statistics of both");
        }
    }

    private void shortLivesEnd() throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        while (cache.get(key("short")) != null) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("still not: the item expires");
            }
            Thread.sleep(50);
        }
        for (String name : List.of("touched", "fetched", "absolute")) {
            same("x", cache.get(key(name)), name + " lives on");
        }
        yes(cache.add(key("short"), 1000, "again"), "add after expiry");
    }

    private void flush() throws Exception {
        yes(cache.flush(), "flush");
        same(null, cache.get(key("touched")), "after flush");
        yes(cache.set(key("after"), 1000, "y"), "set");
        same("y", cache.get(key("after")), "straight after flush");
    }

    private String key(String name) {
        return prefix + name;
    }

    private static byte[] noise(int size) {
        byte[] made = new byte[size];
        new Random().nextBytes(made);
        return made;
    }

    private static void same(Object expected, Object actual, String what) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError(what + ": expected " + shown(expected) + ", got " + shown(actual));
        }
    }

    private static String shown(Object value) {
        String text = String.valueOf(value);
        return text.length() < 300 ? text : text.substring(0, 300) + "... (" + text.length() + ")";
    }

    private static void yes(OperationFuture<Boolean> answer, String what) throws Exception {
        if (!answer.get()) {
            throw new AssertionError(what + ": " + answer.getStatus());
        }
    }

    private static void no(OperationFuture<Boolean> answer, String what) throws Exception {
        if (answer.get()) {
            throw new AssertionError(what + ": " + answer.getStatus());
        }
    }
}
