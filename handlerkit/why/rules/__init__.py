"""The rules, one file a subject.

- loading, weights: a model that does not load.
- raised, input_mismatch, received_values, context_reads, torchserve_code, common: a call that raises.
- return_value, model_output, answers: what the handler returned or answered itself.
- request, envelopes: what TorchServe's frontend and envelopes make of a request.
- context_calls, rows, timing, metrics: what goes wrong without an error.
- handler_code: quiet faults of the handler, each told once for a load.

A rule is a function of an Evidence that returns a Finding or None. Add a new one to a list:

- for a failure, of which the first rule that fits explains it: RULES of loading (with those of weights), of raised
  (with those of common, input_mismatch, torchserve_code and envelopes), of return_value or of answers;
- for a success that lost or changed something, where every rule that fits speaks: WARNINGS of its file. `may_warn`
  there decides quickly whether any of them is asked. A new file is named in `handlerkit.why.warnings`.

What a caller outside of `why` needs too is in `why.findings`. Each rule needs a case in tests/why/rules, which the
documentation shows too. Rules may import the rest of `why`, but for `warnings`, and what is below it.
"""
