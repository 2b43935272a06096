import logging
import sys
import warnings

logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(message)s")
log = logging.getLogger(__name__)


def handle(data, context):
    if data is None:
        print("loaded")
        return None
    log.debug("too fine")
    log.info("two\nlines")
    print("printed")
    print("complained", file=sys.stderr)
    logging.warning("watch out")
    warnings.warn("old way", UserWarning, stacklevel=1)
    print("no line end", end="")
    return ["ok"] * len(data)
