"""The models of this app as a Ray Serve application, `deployment`, which the YAML file beside this one names.

Each replica has its own workers, queue and batches, as one TorchServe has them.
"""

import os
import sys

from ray import serve

HERE = os.path.dirname(os.path.abspath(__file__))
#: The app's folder: the one above deploy/, or this one where the files lie together.
FOLDER = HERE if os.path.exists(os.path.join(HERE, "models.json")) else os.path.dirname(HERE)


def build():
    """The ASGI application, made in the replica. A plain function, which Ray takes for ASGI 3."""
    if FOLDER not in sys.path:
        sys.path.insert(0, FOLDER)
    from app import app

    return app


# The queue is the app's own, as TorchServe has it: with Ray's default of 5 at a time, batches would stay small.
@serve.deployment(
    name="Models",
    max_ongoing_requests=1000,
    graceful_shutdown_wait_loop_s=1,
    graceful_shutdown_timeout_s=60,
    health_check_period_s=5,  # see check_health; a worker that hangs is the app's: its response time-out ends it
    health_check_timeout_s=30,
    # A line for each request takes a tenth of a replica's time, and is made for level INFO though nobody writes it.
    logging_config={"enable_access_log": False, "log_level": "WARNING"},
)
@serve.ingress(build)
class Models:
    """One replica."""

    async def check_health(self):
        """Ray asks, on the event loop that answers requests, and replaces a replica where this raises or hangs."""
        from app import make

        if make().given_up:
            raise RuntimeError("the workers of a model have failed for too long, and are not started again")


deployment = Models.bind()
