"""What the tests of the command line share: handlers, and commands as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FINE = "def handle(data, context):\n    return [str(row) for row in data] if data else None\n"
BROKEN = "import a_package_that_nobody_has\n\n\n" + FINE
HALF = FINE.replace("return [", "return [1 / 0 for _ in data] or [")
#: Answers a picture's brighter half, as a map of classes.
MASK = """
import io
from PIL import Image

def handle(data, context):
    answers = []
    for row in data or ():
        classes = Image.open(io.BytesIO(row["body"])).convert("L").point(lambda value: value > 127)
        file = io.BytesIO()
        classes.save(file, "PNG")
        answers.append(file.getvalue())
    for index in range(len(answers)):
        context.set_response_content_type(index, "image/png")
    return answers if data else None
"""
SCRIPT = Path(sys.executable).with_name("handlerkit")


def script(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    """The console script as a process of its own."""
    return subprocess.run(
        [SCRIPT, *map(str, words)], **{"capture_output": True, "text": True, "timeout": 60, "check": False, **options}
    )


def imported_by(*words: str) -> set[str]:
    """The modules that a command has imported when it is done."""
    code = (
        "import json, sys; from handlerkit.cli.main import main; "
        f"main({list(words)!r}); print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stderr))


def closed_pipe() -> int:
    """The end of a pipe that can be written to and has no reader."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer
