"""What runs on the far side of a Worker: the process that makes workers, and what a worker process runs.

- fork_server: the small process that has imported torch and ts, and forks a worker on request; a script of its own.
- host: what a worker process does from its first line to its last: become a worker, load, answer, explain.
- packets: how the two ends of a worker's connection talk; plain data alone comes back. assignment: what they say.
- streams: the worker's stdout and stderr, in one order. log_capture: both, and the root logger, as log lines.
- loaded_handler: the handler as TorchServe's own loader leaves it, and one call of it. outcome: what the call led to.
  stage_clock: how its stages are timed. micro_batching: the threads of those that run side by side.
- side_effects: what the handler does beyond its own files.
- model_files, user_files: the model's files beside their copies; code under the names of the files that the user edits.
- process_state: what a worker process is after the load, so that a swap can put it back.
- hot_reload: edits put into a loaded handler. reload_required: why it must be loaded again instead.

The parent's end is `handlerkit.endpoints.loads`. What runs here may also run in the kernel's process
(`in_process=True`). It may import context, why, model, messages and below. What else a worker is asked is a message of
assignment, which host answers.
"""
