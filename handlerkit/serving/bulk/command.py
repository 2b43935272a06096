"""`python app.py bulk INPUTS ... OUTPUT`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from ..models_file import Contents, read
from ..workers.any_worker import LoadFailed
from .inputs import Input, Reading, find
from .progress import Progress
from .results import OutputError, Result, ResultWriter
from .scorer import Gone, Scorer

_DESCRIPTION = """\
Score files with a model's workers, without a server. An input that fails costs its own row. Run it again after it was
ended in whatever way, and it goes on where it was."""
_RESULTS = """\
A row has name, status, message (why it failed), headers, and json or body. Names are paths, from the working directory
on where a file is in there, and FILE:NUMBER for lines and rows. Status 0: it could not be read. Exits with 0 when all
inputs have their rows, failed or not, with 130 after Ctrl-C, and else with 1."""


def main(models: str, arguments: Sequence[str]) -> int:
    """Do what the command line asks; returns the exit status."""
    asked = _parser().parse_args(arguments)
    level = logging.INFO if asked.verbose else logging.ERROR
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        return _run(models, asked)
    except LoadFailed as failed:
        print(*failed.log, failed, sep="\n", file=sys.stderr)
    except (ValueError, OutputError, Gone) as problem:
        print(problem, file=sys.stderr)
    except ImportError as problem:
        print(f"{problem}: pip install {'ray[data]' if asked.ray is not None else problem.name}", file=sys.stderr)
    except OSError as problem:
        print(f"{problem.filename or asked.output}: {problem.strerror}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="app.py bulk", description=_DESCRIPTION, epilog=_RESULTS)
    add = parser.add_argument
    add("inputs", nargs="+", help="folders, files, lists of paths (.txt), JSON Lines (.jsonl) and Parquet (.parquet)")
    add("output", help="a folder for Parquet files (JSON Lines without pyarrow), or a file that ends in .jsonl")
    add("--model", help="which one, if the app has several")
    add("--workers", type=_count, metavar="N", help="worker processes, which share the machine's processors")
    add("--batch-size", type=_count, metavar="N", help="inputs that a worker gets together (the model's)")
    add("--column", metavar="NAME", help="the column of a row, or key of a line, that is the body (all, as JSON)")
    add("--content-type", metavar="TYPE", help="of each body, instead of the one that goes with it; '' for none")
    add("--ray", nargs="?", const="", metavar="ADDRESS", help="on Ray Data: a cluster's address, or a Ray of its own")
    add("--verbose", action="store_true", help="what the workers write")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _run(models: str, asked: argparse.Namespace) -> int:
    contents = read(models)
    name = contents.named(asked.model).name
    pieces = find(asked.inputs, Reading(asked.column, asked.content_type), asked.output)
    with ResultWriter(asked.output) as output:
        total = sum(piece.count for piece in pieces)
        before = sum(name in output.done for piece in pieces for name in piece.names()) if output.done else 0
        progress = Progress(total, before)

        def keep(result: Result) -> None:
            output.keep(result)
            progress.add(result.ok)

        try:
            if asked.ray is not None:
                whole = _score_on_ray(models, name, pieces, output, asked, keep)
            else:
                inputs = chain.from_iterable(piece.read(output.done) for piece in pieces)
                first = next(inputs, None)  # a worker is started for something alone
                whole = first is None or asyncio.run(_score(contents, asked, chain([first], inputs), keep))
        finally:
            output.flush()
            progress.end()
        if whole:
            output.finish()
        return 0 if whole else 130


async def _score(contents: Contents, asked: argparse.Namespace, inputs: Iterator[Input], keep: Any) -> bool:
    """Whether all were scored; not so after Ctrl-C or SIGTERM, of which a second one waits for nothing."""
    loop, presses = asyncio.get_running_loop(), 0
    this = asyncio.current_task()
    assert this is not None

    def stop() -> None:
        nonlocal presses
        presses += 1
        if presses > 1 or not scorer.serves:
            this.cancel()

    scorer = Scorer(contents.named(asked.model), contents.config(), asked.workers, asked.batch_size)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await scorer.start()
        await scorer.score(inputs, keep, lambda: presses > 0)
        return not presses
    except asyncio.CancelledError:
        return False
    finally:
        await scorer.stop()


def _score_on_ray(
    models: str, name: str, pieces: Sequence[Any], output: ResultWriter, asked: argparse.Namespace, keep: Any
) -> bool:
    from .on_ray import score

    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    address, workers = asked.ray or None, asked.workers or 1
    if pieces:
        try:
            for result in score(models, name, pieces, output.done, workers, asked.batch_size, folder, address):
                keep(result)
        except KeyboardInterrupt:
            return False
    return True
