"""Run in a process of its own: what handlers change, and what this process is afterwards.

    python changes_of_a_handler.py FOLDER

Prints {name: [probe before, probe after, status of the answer]}.
"""

import builtins
import contextvars
import importlib
import json
import sys
import warnings
from pathlib import Path

import handlerkit as hk

IMPORTS = (
    "import asyncio, builtins, codecs, contextvars, decimal, gc, json, logging, os, random, resource, signal, socket\n"
    "import sys, tempfile, threading, warnings\nimport numpy, torch\n"
    "builtins.ZV = contextvars.ContextVar('v', default=0)\n"
)
HANDLER = (
    "{imports}def handle(data, context):\n    if data is None: return\n    {code}\n    return ['ok'] * len(data)\n"
)
CASES = [json.loads(line) for line in Path(__file__).with_name("handler_changes_process.jsonl").open()]
ORIG, OPEN, SHOW = sys.stdout, open, warnings.showwarning
V = builtins.ZV = contextvars.ContextVar("v", default=0)
#: What the probes name.
KNOWN = {
    name: importlib.import_module(name)
    for name in "asyncio builtins codecs decimal gc json logging numpy os random resource signal socket sys tempfile "
    "threading torch warnings".split()
} | {"ORIG": ORIG, "OPEN": OPEN, "SHOW": SHOW, "V": V}


def main(folder):
    told = {}
    for number, case in enumerate(CASES):
        file = folder / f"h{number}.py"
        file.write_text(HANDLER.format(imports=IMPORTS, code=case["code"]))
        probe = eval(case["probe"], dict(KNOWN))
        before = repr(probe())
        with hk.Worker(hk.Model(f"m{number}", handler=file)) as worker:
            status = worker.predict(hk.Request.json(1)).response.status
            told[case["name"]] = [before, repr(probe()), status]
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
