"""check.py CLIENT SCENARIO HOST:PORT...   Exit code 0 when the client library finds everything as it must be."""

import sys
import traceback

from adapters import CLIENTS
from scenarios import SCENARIOS, Context


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in CLIENTS or sys.argv[2] not in SCENARIOS:
        print("check.py CLIENT SCENARIO HOST:PORT...\nclients: %s\nscenarios: %s" % (" ".join(CLIENTS), " ".join(SCENARIOS)))
        return 64
    servers = [(host, int(port)) for host, port in (address.split(":") for address in sys.argv[3:])]
    context = Context(CLIENTS[sys.argv[1]], servers, sys.argv[2])
    try:
        remark = SCENARIOS[sys.argv[2]](context)
    except Exception:
        traceback.print_exc()
        return 1
    print("%s %s: right%s" % (sys.argv[1], sys.argv[2], "" if remark is None else ", " + remark))
    return 0


sys.exit(main())
