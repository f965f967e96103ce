<?php
// php-memcached.php ascii|binary HOST:PORT HOST:PORT: what PHP programs do with Debian's php-memcached (libmemcached). Exit code 0 when all is as it must be.

declare(strict_types=1);

error_reporting(E_ALL);
set_error_handler(function (int $level, string $message, string $file, int $line): bool {
    throw new ErrorException($message, 0, $level, $file, $line);
});

const WORKERS = 4;
const ROUNDS = 25;

[, $protocol, $first, $second] = $argv;
$binary = $protocol === 'binary';
$prefix = sprintf('php:%s:%s:', $protocol, bin2hex(random_bytes(4)));
// What PHP puts into a session; its default handler speaks binary.
ini_set('session.save_handler', 'memcached');
ini_set('session.save_path', $first);
ini_set('session.use_cookies', '0');
ini_set('session.cache_limiter', '');
ini_set('memcached.sess_binary_protocol', $binary ? '1' : '0');
ini_set('memcached.sess_prefix', $prefix);

function connect(string ...$addresses): Memcached
{
    global $binary;
    $cache = new Memcached();
    $cache->setOption(Memcached::OPT_BINARY_PROTOCOL, $binary);
    $cache->setOption(Memcached::OPT_TCP_NODELAY, true);
    $cache->setOption(Memcached::OPT_POLL_TIMEOUT, 20000);
    $cache->setOption(Memcached::OPT_CONNECT_TIMEOUT, 10000);
    foreach ($addresses as $address) {
        [$host, $port] = explode(':', $address);
        $cache->addServer($host, (int) $port);
    }
    return $cache;
}

function key_of(int|string $name): string
{
    global $prefix;
    return $prefix . $name;
}

function shown(mixed $value): string
{
    return substr(var_export($value, true), 0, 300);
}

function same(mixed $expected, mixed $actual, string $what): void
{
    if ($expected !== $actual) {
        throw new RuntimeException("$what: expected " . shown($expected) . ', got ' . shown($actual));
    }
}

// The call's result and the code that the library keeps of it.
function ends(Memcached $cache, bool $expected, int $code, bool $actual, string $what): void
{
    same([$expected, $code], [$actual, $cache->getResultCode()], "$what ({$cache->getResultMessage()})");
}

function missing(Memcached $cache, string $key, string $what): void
{
    same(false, $cache->get($key), $what);
    same(Memcached::RES_NOTFOUND, $cache->getResultCode(), $what);
}

function wait_until(callable $condition, string $what): void
{
    $deadline = microtime(true) + 10;
    while (!$condition()) {
        if (microtime(true) > $deadline) {
            throw new RuntimeException("still not: $what");
        }
        usleep(50000);
    }
}

$cache = connect($first);
$steps = [
    // Set first, looked at when the other steps are through. A life of one second may end with the clock's next tick: hence two.
    'short lives begin' => function () use ($cache): void {
        same(true, $cache->set(key_of('touched'), 'x', 2), 'set');
        same(true, $cache->touch(key_of('touched'), 1000), 'touch');
        same(true, $cache->set(key_of('short'), 'x', 2), 'set');
        ends($cache, false, Memcached::RES_NOTFOUND, $cache->touch(key_of('absent'), 1000), 'touch of an absent key');
        same(true, $cache->set(key_of('absolute'), 'x', time() + 1000), 'set with an absolute time');
        same(true, $cache->set(key_of('past'), 'x', time() - 1000), 'set with a time in the past');
        missing($cache, key_of('past'), 'a time in the past');
    },
    'values keep their types' => function () use ($cache): void {
        $values = ['text' => 'Grüße ✓', 'empty' => '', 'integer' => -42, 'large' => PHP_INT_MAX, 'float' => 1.25, 'true' => true, 'false' => false,
            'null' => null, 'list' => [1, 'two', null, ['three' => 3.5]], 'bytes' => implode('', array_map('chr', range(0, 255))), 'lines' => "END\r\nVALUE x 0 1\r\n"];
        foreach ($values as $name => $value) {
            same(true, $cache->set(key_of($name), $value), "set of $name");
        }
        foreach ($values as $name => $value) {
            same($value, $cache->get(key_of($name)), "get of $name");
            same(Memcached::RES_SUCCESS, $cache->getResultCode(), "get of $name");
        }
        $cache->setOption(Memcached::OPT_SERIALIZER, Memcached::SERIALIZER_JSON_ARRAY);
        same(true, $cache->set(key_of('json'), ['a' => [1, null, 'ü']]), 'set as JSON');
        same(['a' => [1, null, 'ü']], $cache->get(key_of('json')), 'get of JSON');
        $cache->setOption(Memcached::OPT_SERIALIZER, Memcached::SERIALIZER_PHP);
        same($values['list'], $cache->get(key_of('list')), 'the flags say how a value was serialised');
    },
    'sizes' => function () use ($cache): void {
        foreach ([1, 2047, 2048, 16384, 100 * 1024, 1048000] as $size) {
            $value = random_bytes($size);
            same(true, $cache->set(key_of("size$size"), $value), "set of $size bytes");
            same($value, $cache->get(key_of("size$size")), "get of $size bytes");
        }
        same(true, $cache->set(key_of('limit'), 'old'), 'set');
        ends($cache, false, Memcached::RES_E2BIG, $cache->set(key_of('limit'), random_bytes(1048576)), 'set beyond the limit');
        missing($cache, key_of('limit'), 'the old value is gone');
        same(true, $cache->set(key_of('limit'), 'new'), 'the connection goes on');
    },
    'compression' => function () use ($cache, $first): void {
        $text = str_repeat('a line that compresses well; ', 20000);
        foreach (['zlib', 'fastlz'] as $type) {
            $cache->setOption(Memcached::OPT_COMPRESSION_TYPE, constant('Memcached::COMPRESSION_' . strtoupper($type)));
            same(true, $cache->set(key_of($type), $text), "set with $type");
            same($text, $cache->get(key_of($type)), "get with $type");
            // The stored form, as another client sees it.
            [$host, $port] = explode(':', $first);
            $socket = fsockopen($host, (int) $port, $code, $message, 10);
            fwrite($socket, 'get ' . key_of($type) . "\r\n");
            sscanf(fgets($socket), 'VALUE %s %d %d', $name, $flags, $length);
            fclose($socket);
            if ($length < 1 || $length > 50000) {
                throw new RuntimeException("$type stored $length bytes");
            }
        }
        same(true, $cache->set(key_of('compressible'), str_repeat('x', 4 << 20)), 'set of 4 MiB that compress');
        same(4 << 20, strlen($cache->get(key_of('compressible'))), 'get of 4 MiB');
    },
    'add, replace, append, prepend, delete' => function () use ($cache, $binary): void {
        // The protocols name these differently.
        $absent = $binary ? Memcached::RES_NOTFOUND : Memcached::RES_NOTSTORED;
        $present = $binary ? Memcached::RES_DATA_EXISTS : Memcached::RES_NOTSTORED;
        $key = key_of('a');
        missing($cache, $key, 'before');
        ends($cache, false, $absent, $cache->replace($key, 'x'), 'replace of an absent key');
        same(true, $cache->add($key, 'one'), 'add');
        ends($cache, false, $present, $cache->add($key, 'two'), 'add of a present key');
        same(true, $cache->replace($key, 'three'), 'replace');
        $cache->setOption(Memcached::OPT_COMPRESSION, false);
        same(true, $cache->append($key, '-after'), 'append');
        same(true, $cache->prepend($key, 'before-'), 'prepend');
        ends($cache, false, Memcached::RES_NOTSTORED, $cache->append(key_of('absent'), 'x'), 'append to an absent key');
        same('before-three-after', $cache->get($key), 'get');
        $cache->setOption(Memcached::OPT_COMPRESSION, true);
        same(true, $cache->delete($key), 'delete');
        ends($cache, false, Memcached::RES_NOTFOUND, $cache->delete($key), 'delete of an absent key');
        missing($cache, $key, 'after');
    },
    'many keys at once' => function () use ($cache): void {
        $values = [];
        for ($number = 0; $number < 300; $number++) {
            $values[key_of("many$number")] = str_repeat("value $number ", $number % 50);
        }
        same(true, $cache->setMulti($values, 1000), 'setMulti');
        $wanted = array_merge(array_keys($values), [key_of('absent1'), key_of('absent2')]);
        $found = $cache->getMulti($wanted, Memcached::GET_PRESERVE_ORDER);
        same($values + [key_of('absent1') => null, key_of('absent2') => null], $found, 'getMulti in order');
        $found = $cache->getMulti($wanted);
        ksort($found);
        ksort($values);
        same($values, $found, 'getMulti');
        same([], $cache->getMulti([key_of('absent1')]), 'getMulti of absent keys');
        same(true, $cache->getDelayed(array_slice($wanted, 0, 20), true), 'getDelayed');
        $delayed = $cache->fetchAll();
        same(20, count($delayed), 'fetchAll');
        foreach ($delayed as $entry) {
            same($values[$entry['key']], $entry['value'], 'fetchAll');
        }
        $results = $cache->deleteMulti([key_of('many0'), key_of('absent1')]);
        same([key_of('many0') => true, key_of('absent1') => Memcached::RES_NOTFOUND], $results, 'deleteMulti');
    },
    'cas' => function () use ($cache): void {
        $key = key_of('cas');
        same(true, $cache->set($key, 'one'), 'set');
        $read = $cache->get($key, null, Memcached::GET_EXTENDED);
        same('one', $read['value'], 'get');
        same(true, $cache->cas($read['cas'], $key, 'two'), 'cas');
        ends($cache, false, Memcached::RES_DATA_EXISTS, $cache->cas($read['cas'], $key, 'three'), 'cas with a stale token');
        ends($cache, false, Memcached::RES_NOTFOUND, $cache->cas($read['cas'], key_of('absent'), 'x'), 'cas of an absent key');
        same('two', $cache->get($key), 'get');
        $extended = $cache->getMulti([$key, key_of('absent')], Memcached::GET_EXTENDED);
        same([$key], array_keys($extended), 'getMulti with cas');
        same(true, $cache->cas($extended[$key]['cas'], $key, 'four'), 'cas');
    },
    'processes add to one number with cas' => function () use ($cache, $first): void {
        $key = key_of('total');
        same(true, $cache->set($key, 0), 'set');
        $children = [];
        for ($worker = 0; $worker < WORKERS; $worker++) {
            $child = pcntl_fork();
            if ($child === 0) {
                $own = connect($first);
                for ($round = 0; $round < ROUNDS; $round++) {
                    do {
                        $read = $own->get($key, null, Memcached::GET_EXTENDED);
                    } while (!$own->cas($read['cas'], $key, $read['value'] + 1));
                }
                // Ends without PHP's own tidying up, which would close the parent's connections.
                posix_kill(posix_getpid(), SIGKILL);
            }
            $children[] = $child;
        }
        foreach ($children as $child) {
            pcntl_waitpid($child, $status);
        }
        same(WORKERS * ROUNDS, $cache->get($key), 'the total');
    },
    'counters' => function () use ($cache, $binary): void {
        $key = key_of('n');
        ends($cache, false, Memcached::RES_NOTFOUND, (bool) $cache->increment($key), 'increment of an absent key');
        same(true, $cache->set($key, 10), 'set');
        same(15, $cache->increment($key, 5), 'increment');
        same(9, $cache->decrement($key, 6), 'decrement');
        same(0, $cache->decrement($key, 1000), 'decrement stops at 0');
        if ($binary) {
            same(7, $cache->increment(key_of('initial'), 1, 7, 1000), 'the initial value');
            same(8, $cache->increment(key_of('initial'), 1, 7, 1000), 'increment');
            same(50, $cache->decrement(key_of('down'), 1, 50, 1000), 'the initial value');
            same(49, $cache->decrement(key_of('down'), 1, 50, 1000), 'decrement');
        }
        same(true, $cache->set(key_of('word'), 'word'), 'set');
        same(false, $cache->increment(key_of('word')), 'increment of a word');
        same('word', $cache->get(key_of('word')), 'the connection goes on');
    },
    'bad keys' => function () use ($cache): void {
        $longest = substr(key_of(str_repeat('k', 250)), 0, 250);
        same(true, $cache->set($longest, 'x'), 'set of the longest key');
        same('x', $cache->get($longest), 'get of the longest key');
        ends($cache, false, Memcached::RES_BAD_KEY_PROVIDED, $cache->set($longest . 'k', 'x'), 'set of a key that is too long');
        ends($cache, false, Memcached::RES_BAD_KEY_PROVIDED, $cache->set('', 'x'), 'set of an empty key');
        same('x', $cache->get($longest), 'the connection goes on');
    },
    'statistics and version' => function () use ($cache, $first): void {
        $statistics = $cache->getStats()[$first];
        foreach (['pid', 'uptime', 'time', 'version', 'curr_items', 'total_items', 'get_hits', 'get_misses', 'bytes', 'limit_maxbytes', 'evictions', 'curr_connections', 'threads'] as $name) {
            if (!isset($statistics[$name])) {
                throw new RuntimeException("no $name in " . shown($statistics));
            }
        }
        if (!preg_match('/^\d+\.\d+\.\d+/', $cache->getVersion()[$first])) {
            throw new RuntimeException('version ' . shown($cache->getVersion()));
        }
    },
    'noreply and buffered writes' => function () use ($first): void {
        $cache = connect($first);
        $cache->setOption(Memcached::OPT_NOREPLY, true);
        for ($number = 0; $number < 200; $number++) {
            $cache->set(key_of("quiet$number"), "quiet $number");
        }
        for ($number = 0; $number < 200; $number += 2) {
            $cache->delete(key_of("quiet$number"));
        }
        for ($number = 0; $number < 200; $number++) {
            same($number % 2 === 0 ? false : "quiet $number", $cache->get(key_of("quiet$number")), "get of quiet$number");
        }
        $buffered = connect($first);
        $buffered->setOption(Memcached::OPT_BUFFER_WRITES, true);
        for ($number = 0; $number < 100; $number++) {
            $buffered->set(key_of("buffered$number"), "buffered $number");
        }
        for ($number = 0; $number < 100; $number++) {
            same("buffered $number", $buffered->get(key_of("buffered$number")), "get of buffered$number");
        }
    },
    'sessions' => function (): void {
        session_id('visitor1');
        session_start();
        same([], $_SESSION, 'a new session');
        $_SESSION = ['user' => ['name' => 'anna', 'roles' => ['reader']], 'visits' => 1];
        session_write_close();
        for ($visit = 2; $visit <= 5; $visit++) {
            session_id('visitor1');
            session_start();
            same($visit - 1, $_SESSION['visits'], 'visits');
            $_SESSION['visits'] = $visit;
            session_write_close();
        }
        session_id('visitor2');
        session_start();
        same([], $_SESSION, "another visitor's session");
        session_write_close();
        session_id('visitor1');
        session_start();
        same('anna', $_SESSION['user']['name'], 'the session');
        session_destroy();
        session_id('visitor1');
        session_start();
        same([], $_SESSION, 'after the end of the session');
        session_write_close();
    },
    'two servers' => function () use ($first, $second): void {
        foreach ([Memcached::DISTRIBUTION_MODULA, Memcached::DISTRIBUTION_CONSISTENT] as $distribution) {
            $both = connect($first, $second);
            $both->setOption(Memcached::OPT_DISTRIBUTION, $distribution);
            $values = [];
            for ($number = 0; $number < 200; $number++) {
                $values[key_of("two$distribution-$number")] = "value $number";
            }
            same(true, $both->setMulti($values), 'setMulti');
            $found = $both->getMulti(array_keys($values));
            ksort($found);
            ksort($values);
            same($values, $found, 'getMulti');
            $used = array_unique(array_map(fn (string $key): int => $both->getServerByKey($key)['port'], array_keys($values)));
            same(2, count($used), 'servers in use');
            foreach (array_slice($values, 0, 20) as $key => $value) {
                $server = $both->getServerByKey($key);
                same($value, connect("{$server['host']}:{$server['port']}")->get($key), "get from the key's server");
            }
            same(2, count($both->getStats()), 'statistics of both');
        }
    },
    'short lives end' => function () use ($cache): void {
        wait_until(fn (): bool => $cache->get(key_of('short')) === false, 'the item expires');
        same('x', $cache->get(key_of('touched')), 'the touched item lives on');
        same('x', $cache->get(key_of('absolute')), 'the item with an absolute time lives on');
        same(true, $cache->add(key_of('short'), 'again'), 'add after expiry');
    },
    'flush' => function () use ($cache): void {
        same(true, $cache->flush(), 'flush');
        missing($cache, key_of('touched'), 'after flush');
        same(true, $cache->set(key_of('after'), 'y'), 'set');
        same('y', $cache->get(key_of('after')), 'straight after flush');
    },
];

foreach ($steps as $name => $step) {
    try {
        $step();
    } catch (Throwable $error) {
        echo "php-memcached $protocol, $name: $error\n";
        exit(1);
    }
}
echo "php-memcached $protocol: right\n";
