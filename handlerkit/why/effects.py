"""What TorchServe does about each kind of failure, in the words that all findings share."""

from __future__ import annotations

from handlerkit.serving import torchserve_facts as facts

LOAD = f"Registering the model answers 500 '{facts.NOT_STARTED}'; only the server's log has the cause."
LOAD_OUT_OF_MEMORY = f"Registering the model answers 507 '{facts.NOT_STARTED}'."
FAILED = f"Every client of the batch gets 503 '{facts.FAILED}'; only the server's log has the exception."
DIED = f"Every client of the batch gets 500 '{facts.DIED}', and the worker is started again."
NOTHING = "Nothing is logged, and the client is not told."
