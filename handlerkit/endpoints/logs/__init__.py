"""What TorchServe's log says of a worker.

- torchserve_log: the log read back, line by line.
- logged_error: an exception made from the log's text, for the rules of `handlerkit.why`.

May import worker_process.log_capture, messages, serving and below. Another form of line goes into torchserve_log.
"""
