"""Findings that a caller asks for by name, since it has seen itself what they tell of; no Evidence is needed.

- frontend: what the frontend answers itself, and what it does with its queue.
- changed_files: a model's files that changed on disk since a worker read them.
- registration: what a registration ignores. config_file: how the server reads model-config.yaml.
- handler_file: what TorchServe takes for the handler in its file.
- weights, distributions: what to do about weights, and which distribution has a module, in the words that all share.

`endpoints` asks for those of its own requests and files. `why.rules` and `check.rules` share the others: what the ones
see when a model is loaded or called, the others read from its files. Add one that only a rule gives to `why.rules`.
Findings may import why.evidence, model, messages and below.
"""
