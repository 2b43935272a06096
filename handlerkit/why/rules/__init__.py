"""The rules, one file a subject.

- loading, weights, settings, config_file: a model that does not load, or is not registered as it was meant.
- raised, input_mismatch, torchserve_code, common: a call that raises.
- return_value, answers: what the handler returned or answered itself.
- request, frontend, envelopes: what TorchServe's frontend and envelopes make of a request.
- changed_files: a model's files that changed on disk since a worker read them.
- warnings: what goes wrong without an error.

A rule is a function of an Evidence that returns a Finding or None; it stands in the list of its file, where the first
that fits wins. It may import `evidence`, `source_search` and what stands below `why`.
"""
