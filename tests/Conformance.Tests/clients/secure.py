"""secure.py tls PLAIN-PORT TLS-PORT FOLDER | mutual TLS-PORT FOLDER | sasl PORT | sasl-tls PORT FOLDER

TLS and logins as Python's clients do them. FOLDER holds the certificates. Exit code 0 when everything is as it must be.
"""

import os
import socket
import ssl
import struct
import sys

HOST = "127.0.0.1"
USER, PASSWORD = "ann", "secret"


def context(folder, authority="ca", client=None):
    """Checks the server's certificate and name."""
    made = ssl.create_default_context(cafile=os.path.join(folder, authority + ".pem"))
    if client is not None:
        made.load_cert_chain(os.path.join(folder, client + ".pem"), os.path.join(folder, client + ".key"))
    return made


def pymemcache_client(port, tls=None):
    from pymemcache.client.base import Client
    return Client((HOST, port), connect_timeout=10, timeout=20, no_delay=True, default_noreply=False, tls_context=tls)


def same(expected, actual, what):
    if expected != actual:
        raise AssertionError("%s: expected %.200r, got %.200r" % (what, expected, actual))


def fails(errors, what, action):
    try:
        answer = action()
    except errors:
        return
    raise AssertionError("%s: must fail, but gave %.200r" % (what, answer))


def tls(plain_port, tls_port, folder):
    secret, plain = pymemcache_client(int(tls_port), context(folder)), pymemcache_client(int(plain_port))
    same(None, secret.get("nothing"), "a miss")
    same(True, secret.set("text", b"over TLS"), "set")
    same(b"over TLS", secret.get("text"), "get")
    same(b"over TLS", plain.get("text"), "get from the plain port")
    many = {"many%d" % number: b"value %d" % number * number for number in range(200)}
    same([], secret.set_many(many), "set_many")
    same(many, secret.get_many(list(many) + ["absent"]), "get_many")
    same(many, plain.get_many(list(many)), "get_many from the plain port")
    for size in 16383, 16384, 16385, 100_000, 1_000_000:
        large = os.urandom(size)
        same(True, secret.set("large", large), "set of %d bytes" % size)
        same(large, secret.get("large"), "get of %d bytes" % size)
        same(large, plain.get("large"), "get of %d bytes from the plain port" % size)
    large = os.urandom(1_000_000)
    same(True, plain.set("large", large), "set on the plain port")
    same({"large": large, "text": b"over TLS"}, secret.get_many(["large", "text"]), "get_many with a large value")
    same(True, secret.set("counter", b"5"), "set")
    same(12, secret.incr("counter", 7), "incr")
    same(True, secret.delete("counter"), "delete")

    fails(ssl.SSLCertVerificationError, "a server whose authority is unknown", lambda: pymemcache_client(int(tls_port), context(folder, "other-ca")).get("text"))
    fails(Exception, "plain text on the TLS port", lambda: pymemcache_client(int(tls_port)).get("text"))
    fails(Exception, "TLS on the plain port", lambda: pymemcache_client(int(plain_port), context(folder)).get("text"))
    same(b"over TLS", secret.get("text"), "get after all that")


def mutual(tls_port, folder):
    """In TLS 1.3 a client hears only when it reads that its certificate was not taken."""
    from pymemcache.exceptions import MemcacheUnexpectedCloseError
    refusals = (ssl.SSLError, ConnectionError, MemcacheUnexpectedCloseError)
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        for name in "client", None, "other-client":
            made = context(folder, client=name)
            made.minimum_version = made.maximum_version = version
            client = pymemcache_client(int(tls_port), made)
            what = "%s with the certificate %s" % (version.name, name)
            if name == "client":
                same(True, client.set(version.name, b"x" * 100_000), what)
                same(b"x" * 100_000, client.get(version.name), what)
            else:
                fails(refusals, what, lambda: client.get("TLSv1_2"))


def sasl(port):
    import pylibmc

    def client(**credentials):
        return pylibmc.Client(["%s:%s" % (HOST, port)], binary=True, **credentials)

    right = client(username=USER, password=PASSWORD)
    same(True, right.set("text", b"behind a login"), "set")
    same(b"behind a login", right.get("text"), "get")
    many = {"many%d" % number: b"v" * number for number in range(1, 100)}
    same([], right.set_multi(many), "set_multi")
    same(many, right.get_multi(list(many) + ["absent"]), "get_multi")
    fails(pylibmc.Error, "a wrong password", lambda: client(username=USER, password="wrong").get("text"))
    fails(pylibmc.Error, "an unknown user", lambda: client(username="eve", password=PASSWORD).set("text", b"eve's"))
    fails(pylibmc.Error, "no login", lambda: client().set("text", b"nobody's"))
    same(b"behind a login", right.get("text"), "get after failed logins")
    same(b"behind a login", client(username=USER, password=PASSWORD).get("text"), "get of a new client")


def packet(opcode, key=b"", extras=b"", value=b""):
    return struct.pack(">BBHBBHIIQ", 0x80, opcode, len(key), len(extras), 0, 0, len(extras) + len(key) + len(value), 0, 0) + extras + key + value


def sasl_over_tls(port, folder):
    """No client at hand does both: the packets by hand."""
    def connect():
        return context(folder).wrap_socket(socket.create_connection((HOST, int(port)), 20), server_hostname=HOST)

    def ask(connection, *fields):
        connection.sendall(packet(*fields))
        stream = connection.makefile("rb")  # Nothing follows a reply, so nothing is lost in its buffer.
        head = stream.read(24)
        if len(head) < 24:
            return "closed", b""
        rest = struct.unpack(">I", head[8:12])[0]
        return struct.unpack(">H", head[6:8])[0], stream.read(rest) if rest else b""

    set_key = (1, b"key", b"\0" * 8, b"value")
    with connect() as connection:
        same(0x20, ask(connection, *set_key)[0], "set without a login")
        same("closed", ask(connection, *set_key)[0], "set after that")
    with connect() as connection:
        same((0, b"PLAIN"), ask(connection, 0x20), "mechanisms")
        same(0x20, ask(connection, 0x21, b"PLAIN", b"", b"\0ann\0wrong")[0], "a wrong password")
        same(0, ask(connection, 0x21, b"PLAIN", b"", b"\0ann\0secret")[0], "the right password")
        same((0, b""), ask(connection, *set_key), "set")
        same((0, b"\0\0\0\0value"), ask(connection, 0, b"key"), "get")


{"tls": tls, "mutual": mutual, "sasl": sasl, "sasl-tls": sasl_over_tls}[sys.argv[1]](*sys.argv[2:])
