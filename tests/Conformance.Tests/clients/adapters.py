"""One small face over each client library, so that the scenarios say what people do and the libraries do it their own way.

Values are str or bytes unless a scenario says otherwise. `servers` is a list of (host, port).
"""


class Base:
    """What every adapter offers. Keys are str."""

    def __init__(self, servers):
        self.servers = servers

    def get_json(self, key):
        raise NotImplementedError

    def close(self):
        pass


class Pymemcache(Base):
    """pymemcache's plain Client: one connection to the first server."""

    name = "pymemcache"

    def __init__(self, servers, **options):
        super().__init__(servers)
        self.client = self.make(options)

    def make(self, options):
        from pymemcache.client.base import Client
        return Client(self.servers[0], connect_timeout=10, timeout=20, no_delay=True, default_noreply=False, **options)

    def with_serde(self, serde):
        return type(self)(self.servers, serde=serde)

    def get(self, key):
        return self.client.get(key)

    def set(self, key, value, ttl=0):
        return self.client.set(key, value, expire=ttl)

    def add(self, key, value, ttl=0):
        return self.client.add(key, value, expire=ttl)

    def replace(self, key, value):
        return self.client.replace(key, value)

    def append(self, key, value):
        return self.client.append(key, value)

    def prepend(self, key, value):
        return self.client.prepend(key, value)

    def gets(self, key):
        return self.client.gets(key)

    def cas(self, key, value, token):
        return bool(self.client.cas(key, value, token))

    def incr(self, key, delta=1):
        return self.client.incr(key, delta)

    def decr(self, key, delta=1):
        return self.client.decr(key, delta)

    def touch(self, key, ttl):
        return self.client.touch(key, expire=ttl)

    def delete(self, key):
        return self.client.delete(key)

    def get_many(self, keys):
        return self.client.get_many(keys)

    def set_many(self, values, ttl=0):
        """Returns the keys that could not be stored."""
        return self.client.set_many(values, expire=ttl)

    def delete_many(self, keys):
        return self.client.delete_many(keys)

    def flush(self):
        return self.client.flush_all()

    def set_too_large(self, key, value):
        """True when the server said that the value is too large."""
        from pymemcache.exceptions import MemcacheServerError
        try:
            self.client.set(key, value)
        except MemcacheServerError as error:
            return b"too large" in error.args[0]
        return False

    def refuses(self, key):
        """True when the library or the server refuses the key."""
        from pymemcache.exceptions import MemcacheError
        try:
            self.client.set(key, b"x")
        except MemcacheError:
            return True
        return False

    def stats(self, name=None):
        """Statistics of the first server: names and values as str."""
        found = self.client.stats(*([name] if name else []))
        return {key.decode(): value.decode() if isinstance(value, bytes) else str(value) for key, value in found.items()}

    def close(self):
        self.client.close()


class PymemcachePooled(Pymemcache):
    """pymemcache's PooledClient: a pool of connections shared by threads."""

    name = "pymemcache-pooled"

    def make(self, options):
        from pymemcache.client.base import PooledClient
        return PooledClient(self.servers[0], max_pool_size=8, connect_timeout=10, timeout=20, no_delay=True, default_noreply=False, **options)


class PymemcacheHash(Pymemcache):
    """pymemcache's HashClient: keys spread over all servers by the client."""

    name = "pymemcache-hash"

    def make(self, options):
        from pymemcache.client.hash import HashClient
        return HashClient(self.servers, connect_timeout=10, timeout=20, no_delay=True, default_noreply=False, **options)

    def stats(self, name=None):
        return Pymemcache(self.servers).stats(name)


class Pylibmc(Base):
    """pylibmc, the wrapper of libmemcached."""

    name = "pylibmc"
    binary = False

    def __init__(self, servers):
        import pylibmc
        super().__init__(servers)
        self.client = pylibmc.Client(["%s:%d" % server for server in servers], binary=self.binary, behaviors={
            "cas": True, "tcp_nodelay": True, "receive_timeout": 20000000, "send_timeout": 20000000, "_poll_timeout": 20000})

    def get(self, key):
        value = self.client.get(key)
        return value.encode() if isinstance(value, str) else value

    def set(self, key, value, ttl=0):
        return self.client.set(key, value, time=ttl)

    def add(self, key, value, ttl=0):
        return self.client.add(key, value, time=ttl)

    def replace(self, key, value):
        return self.client.replace(key, value)

    def append(self, key, value):
        return self.client.append(key, value)

    def prepend(self, key, value):
        return self.client.prepend(key, value)

    def gets(self, key):
        value, token = self.client.gets(key)
        return (value.encode() if isinstance(value, str) else value), token

    def cas(self, key, value, token):
        return bool(self.client.cas(key, value, token))

    def incr(self, key, delta=1):
        return self.client.incr(key, delta)

    def decr(self, key, delta=1):
        return self.client.decr(key, delta)

    def touch(self, key, ttl):
        return self.client.touch(key, ttl)

    def delete(self, key):
        return self.client.delete(key)

    def get_many(self, keys):
        return {key: value.encode() if isinstance(value, str) else value for key, value in self.client.get_multi(keys).items()}

    def set_many(self, values, ttl=0):
        return self.client.set_multi(values, time=ttl)

    def delete_many(self, keys):
        return self.client.delete_multi(keys)

    def flush(self):
        return self.client.flush_all()

    def set_too_large(self, key, value):
        import pylibmc
        try:
            self.client.set(key, value)
        except pylibmc.TooBig:
            return True
        except pylibmc.Error as error:
            return "SERVER ERROR" in str(error) or "too large" in str(error)
        return False

    def refuses(self, key):
        import pylibmc
        try:
            self.client.set(key, b"x")
        except (pylibmc.Error, ValueError):
            return True
        return False

    def stats(self, name=None):
        # One (server, values) for each server.
        found = self.client.get_stats(name) if name else self.client.get_stats()
        text = lambda value: value.decode() if isinstance(value, bytes) else value
        return {text(key): text(value) for key, value in found[0][1].items()}


class PylibmcBinary(Pylibmc):
    """pylibmc with the binary protocol."""

    name = "pylibmc-binary"
    binary = True

    def replace(self, key, value):
        # In this protocol an absent key is an error of its own, for which the library raises.
        import pylibmc
        try:
            return super().replace(key, value)
        except pylibmc.NotFound:
            return False


class PythonMemcached(Base):
    """python-memcached, the oldest of them, pure Python."""

    name = "memcache"

    def __init__(self, servers):
        import memcache
        super().__init__(servers)
        # The library refuses large values itself unless its own limit is raised above the server's.
        self.client = memcache.Client(["%s:%d" % server for server in servers], cache_cas=True, socket_timeout=20, server_max_value_length=1 << 30)

    @staticmethod
    def bytes_of(value):
        return value.encode() if isinstance(value, str) else value

    def get(self, key):
        return self.bytes_of(self.client.get(key))

    def set(self, key, value, ttl=0):
        return bool(self.client.set(key, value, time=ttl))

    def add(self, key, value, ttl=0):
        return bool(self.client.add(key, value, time=ttl))

    def replace(self, key, value):
        return bool(self.client.replace(key, value))

    def append(self, key, value):
        return bool(self.client.append(key, value))

    def prepend(self, key, value):
        return bool(self.client.prepend(key, value))

    def gets(self, key):
        # The library keeps the tokens itself; a new round must forget the old one.
        self.client.reset_cas()
        return self.bytes_of(self.client.gets(key)), None

    def cas(self, key, value, token):
        return bool(self.client.cas(key, value))

    def incr(self, key, delta=1):
        return self.client.incr(key, delta)

    def decr(self, key, delta=1):
        return self.client.decr(key, delta)

    def touch(self, key, ttl):
        return bool(self.client.touch(key, ttl))

    def delete(self, key):
        return bool(self.client.delete(key))

    def get_many(self, keys):
        return {key: self.bytes_of(value) for key, value in self.client.get_multi(keys).items()}

    def set_many(self, values, ttl=0):
        return self.client.set_multi(values, time=ttl)

    def delete_many(self, keys):
        return bool(self.client.delete_multi(keys))

    def flush(self):
        self.client.flush_all()
        return True

    def set_too_large(self, key, value):
        return not self.client.set(key, value)

    def refuses(self, key):
        import memcache
        try:
            self.client.set(key, b"x")
        except memcache.Client.MemcachedKeyError:
            return True
        return False

    def stats(self, name=None):
        found = self.client.get_stats(*([name] if name else []))
        return dict(found[0][1])

    def close(self):
        self.client.disconnect_all()


CLIENTS = {adapter.name: adapter for adapter in (Pymemcache, PymemcachePooled, PymemcacheHash, Pylibmc, PylibmcBinary, PythonMemcached)}
