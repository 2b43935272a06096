"""How long a check of an exported archive takes on the TorchServe that %verify keeps up between checks.

    python benchmarks/verify_archive.py [--quick]

The whole check (`session.verify`: the archive is looked at, registered, asked, compared with the worker's answer and
unregistered) beside what TorchServe itself says that registering took in that same check, in its access log. The first
check, which starts Java, is a row of its own.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from edit_to_answer import save_net, write
from peers import REQUEST
from table import Row, render

from handlerkit.messages import Request
from handlerkit.notebook.session import Session

LIMIT = 1.1
#: What is in the access log of a register call: its milliseconds.
REGISTERED = re.compile(r'ACCESS_LOG - \S+ "POST /models\?\S+ HTTP/1\.1" 200 (\d+)')


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes 3 checks instead of 9."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # the session's files are named from here
        save_net(Path("net.pt"))
        write(Path("handler.py"), 0)
        session = Session()
        try:
            session.model("net", serialized_file="net.pt")
            session.use("handler.py")
            session.request(Request.json(REQUEST))
            session.export()
            first = _check(session)
            checks = [_check(session) for _ in range(3 if quick else 9)]
            registered = [int(took) / 1000 for took in REGISTERED.findall(session.server.log())]
        finally:
            session.close()
            os.chdir("/")
    check, register = statistics.median(checks), statistics.median(registered[1:])
    ratio = statistics.median(ours / theirs for ours, theirs in zip(checks, registered[1:], strict=True))
    what = "check of an exported archive on a TorchServe kept up"
    return [
        Row(f"{what}, beside registering", check, register, "s", ratio, f"at most {LIMIT} ×", ratio <= LIMIT),
        Row(f"{what}, beside the first, which starts it", check, first, "s", first / check, "", True),
    ]


def _check(session: Session) -> float:
    begun = time.perf_counter()
    if not session.verify():
        raise AssertionError("the archive answers other bytes than the worker")
    return time.perf_counter() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 checks")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
