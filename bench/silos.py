"""Silos of one cluster on 127.0.0.1, which keep their membership themselves; for the scripts beside it. Needs ./orleanscache build, with the cluster."""

import os
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DLL = os.path.join(ROOT, "artifacts", "cluster", "bin", "OrleansCache.Silo", "release", "OrleansCache.dll")
SECONDS_MAX = 120


class Silos:
    def __init__(self, port_base, *options):
        if not os.path.exists(DLL):
            fail("no build with the cluster: run ./orleanscache build")
        self.port_base = port_base
        self.options = [str(option) for option in options]
        self.folder = tempfile.TemporaryDirectory(prefix="orleanscache-bench-")
        self.processes = {}

    def port(self, number):
        return self.port_base + number

    def start(self, number):
        """The silo of that number, the first one being 0, which founds the cluster; returns when it listens."""
        silo_port = self.port_base + 100
        command = ["dotnet", DLL, "serve", "-l", "127.0.0.1", "-p", str(self.port(number)), "--cluster-id", "bench", "--silo-port", str(silo_port + number),
                   "--data-dir", os.path.join(self.folder.name, str(number)), *self.options]
        if number > 0:
            command += ["--join", f"127.0.0.1:{silo_port}"]
        with open(os.path.join(self.folder.name, f"{number}.log"), "w") as log:
            process = self.processes[number] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        wait(lambda: "listening" in self.log(number) or process.poll() is not None, f"silo {number} does not start")
        if process.poll() is not None:
            fail(f"silo {number} does not start:\n{self.log(number)}")

    def stats(self, number, what=""):
        with socket.create_connection(("127.0.0.1", self.port(number)), timeout=10) as connection:
            connection.sendall(b"stats %s\r\nquit\r\n" % what.encode())
            text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        return dict(line.split(" ", 2)[1:] for line in text.splitlines() if line.startswith("STAT "))

    def log(self, number):
        """What that silo has printed since its last start."""
        path = os.path.join(self.folder.name, f"{number}.log")
        return read(path) if os.path.exists(path) else ""

    def build_loader(self):
        """The path of bench/mcload.c, compiled."""
        loader = os.path.join(self.folder.name, "mcload")
        subprocess.run(["gcc", "-O2", "-o", loader, os.path.join(ROOT, "bench", "mcload.c"), "-lpthread", "-lm"], check=True)
        return loader

    def is_balanced(self):
        moves = self.stats(0, "moves")
        return moves.get("partitions_to_move") == "0" and moves.get("transfers") == "0"

    def close(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait()
        self.folder.cleanup()


def read(path):
    with open(path) as file:
        return file.read()


def wait(condition, complaint):
    end = time.time() + SECONDS_MAX
    while not condition():
        if time.time() > end:
            fail(complaint)
        time.sleep(0.01)


def fail(complaint):
    sys.exit(f"{os.path.basename(sys.argv[0])}: {complaint}")
