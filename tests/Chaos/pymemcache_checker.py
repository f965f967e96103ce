"""Writes numbered values with stock pymemcache and reads them back, through whichever gateway answers.

usage: pymemcache_checker.py FILE

FILE holds the gateways, HOST:PORT, one a line, and is read again when it changes; the end of it, or of the process that started this
one, is the end of the run. One writer per key:
a read must give the value that was acknowledged or read last, or one whose answer never came. Exit code 1 if it did not."""

import os
import random
import sys
import time

from pymemcache.client.base import Client

KEYS = 50


def main():
    path = sys.argv[1]
    gateways, clients, stamp = [], {}, None
    known = [0] * KEYS
    last = [0] * KEYS
    open_versions = [set() for _ in range(KEYS)]
    parent = os.getppid()
    operations = errors = lost = stale = foreign = 0
    while os.getppid() == parent:
        try:
            changed = os.stat(path).st_mtime_ns
            if changed != stamp:
                with open(path, encoding="ascii") as file:
                    gateways = [(host, int(port)) for host, port in (line.split(":") for line in file.read().split())]
                stamp = changed
        except FileNotFoundError:
            break
        if not gateways:
            time.sleep(0.01)
            continue

        index = random.randrange(KEYS)
        key = f"py-{index}"
        write = random.random() < 0.5 or known[index] == 0
        gateway = random.choice(gateways)
        client = clients.get(gateway)
        if client is None:
            client = clients[gateway] = Client(gateway, connect_timeout=2, timeout=12, no_delay=True)
        operations += 1
        try:
            if write:
                last[index] += 1
                open_versions[index].add(last[index])
                client.set(key, f"{key} {last[index]}", noreply=False)
                known[index] = last[index]
                open_versions[index].discard(last[index])
            else:
                value = client.get(key)
                words = (value or b"").decode().split()
                if value is None:
                    lost += 1
                    print(f"LOST {key} version {known[index]}")
                    known[index] = 0
                elif len(words) != 2 or words[0] != key:
                    foreign += 1
                    print(f"FOREIGN {key} holds {value!r}")
                elif int(words[1]) != known[index] and int(words[1]) not in open_versions[index]:
                    stale += 1
                    print(f"STALE {key} holds version {words[1]}, not {known[index]}")
                    known[index] = int(words[1])
                else:
                    known[index] = int(words[1])
                    open_versions[index].discard(known[index])
        except Exception:  # whatever the library raises for an error reply or a lost connection
            errors += 1
            client.close()
            clients.pop(gateway, None)
            time.sleep(0.005)
        time.sleep(0.002)
    print(f"{operations} operations, {errors} failed, lost {lost}, stale {stale}, foreign {foreign}")
    return 1 if lost or stale or foreign else 0


sys.exit(main())
