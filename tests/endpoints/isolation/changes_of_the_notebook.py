"""Run in a process of its own: what a notebook changes, and what handlers answer then.

    python changes_of_the_notebook.py FOLDER [late]

Prints {name: [answer before, answer after]}. With `late`, the process that makes workers starts after the changes; the
answers before are null.
"""

import decimal
import io
import json
import random
import sys
from pathlib import Path

import handlerkit as hk

CASES = [json.loads(line) for line in Path(__file__).with_name("notebook_state_reaches_handler.jsonl").open()]
HANDLER = "{imports}\ndef handle(data, context):\n    return [{answer} for row in data or ()]\n"


def NOP(x):
    return x


def pictures():
    from PIL import Image

    file = io.BytesIO()
    Image.frombytes("RGB", (64, 64), random.Random(0).randbytes(64 * 64 * 3)).save(file, "JPEG")
    large = io.BytesIO()
    Image.new("1", (20000, 10000)).save(large, "PNG")
    return file.getvalue()[: len(file.getvalue()) // 2], large.getvalue()


def main(folder, late):
    trunc, big = pictures()
    known = {"hk": hk, "trunc": trunc, "big": big, "X": hk.Request.json(1)}
    models, requests = [], []
    for number, case in enumerate(CASES):
        (folder / f"h{number}.py").write_text(HANDLER.format(**case))
        models.append(hk.Model(f"m{number}", handler=folder / f"h{number}.py"))
        requests.append(eval(case["request"], known))

    def answers():
        told = []
        for model, request in zip(models, requests, strict=True):
            with hk.Worker(model) as worker:
                response = worker.predict(request).response
                told.append([response.status, response.text])
        return told

    before = [None] * len(CASES) if late else answers()
    names = {"sys": sys, "os": __import__("os"), "decimal": decimal, "NOP": NOP}
    if any("torch" in case["notebook"] for case in CASES):
        names["torch"] = __import__("torch")
        names["numpy"] = __import__("numpy")
        NOP.__annotations__ = {"x": names["torch"].Tensor, "return": names["torch"].Tensor}
    for case in CASES:
        exec(case["notebook"], names)
    after = answers()
    print(json.dumps({case["name"]: pair for case, *pair in zip(CASES, before, after, strict=True)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] == ["late"])
