"""The rules, one file a subject.

- loading, weights, settings, config_file: a model that does not load, or is registered in another way than was meant.
- raised, input_mismatch, torchserve_code, common: a call that raises.
- return_value, answers: what the handler returned or answered itself.
- request, frontend, envelopes: what TorchServe's frontend and envelopes make of a request.
- changed_files: a model's files that changed on disk since a worker read them.
- received_values: a value of the request that the handler takes for something else.
- context_calls, rows, timing, metrics: what goes wrong without an error.
- handler_code: quiet faults of the handler, each told once for a load.

A rule is a function of an Evidence that returns a Finding or None. A new one is added to a list of its file: to RULES,
of which the first that fits explains a failure, or to WARNINGS, all of which speak, if `may_warn` lets them.
It may import `evidence`, `source_search` and what is below `why`.
"""
