"""check.py CLIENT SCENARIO HOST:PORT...   Exit code 0 when the client library finds everything as it must be.

The scenario `matrix` is many of them one after the other, with one server each but for the last, which spread their keys over all.
"""

import sys
import traceback

from adapters import CLIENTS
from scenarios import MATRIX, MATRIX_SERVERS, SCENARIOS, Context


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in CLIENTS or sys.argv[2] not in [*SCENARIOS, "matrix"]:
        print("check.py CLIENT SCENARIO HOST:PORT...\nclients: %s\nscenarios: %s" % (" ".join(CLIENTS), " ".join(SCENARIOS)))
        return 64
    servers = [(host, int(port)) for host, port in (address.split(":") for address in sys.argv[3:])]
    if sys.argv[2] == "matrix":
        work = [(name, servers[:1]) for name in MATRIX] + [(name, servers) for name in MATRIX_SERVERS]
    else:
        work = [(sys.argv[2], servers)]
    for name, some in work:
        try:
            remark = SCENARIOS[name](Context(CLIENTS[sys.argv[1]], some, name))
        except Exception:
            traceback.print_exc()
            print("%s %s: wrong" % (sys.argv[1], name))
            return 1
        print("%s %s: right%s" % (sys.argv[1], name, "" if remark is None else ", " + remark))
    return 0


sys.exit(main())
