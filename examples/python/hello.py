"""Run with: python3 examples/python/hello.py [port]. Needs pymemcache."""
import sys

from pymemcache.client.base import Client

cache = Client(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 11211))

cache.set("session:42", b"alice", expire=3600)
print(cache.get("session:42"))

# A lock: only one client gets it, and only its holder gives it back.
if cache.add("lock:report", b"token-1", expire=30, noreply=False):
    print("locked")
    cache.delete("lock:report")

# A rate limit: the first request of a minute creates the counter.
if not cache.add("hits:home", b"1", expire=60, noreply=False):
    cache.incr("hits:home", 1)
print(cache.get("hits:home"))
