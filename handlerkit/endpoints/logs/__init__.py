"""What TorchServe's log tells of a worker.

- torchserve_log: the log read back, line by line.
- logged_error: an exception as the log holds it, made anew for the rules of `handlerkit.why`.
"""
