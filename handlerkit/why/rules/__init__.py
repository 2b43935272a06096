"""The rules, one file a subject.

- loading, weights, pretrained: a model that does not load.
- raised, input_mismatch, context_reads, torchserve_code, none_values, common: a call that raises.
- received_values, unreadable_values: a value of the request that the handler takes for something else, or gives to a
  reader of something else.
- shapes: arrays of another shape or type than what they are given to takes.
- return_value, model_output, answers: what the handler returned or answered itself.
- request, envelopes: what TorchServe's frontend and envelopes make of a request.
- context_calls, rows, timing, metrics: what goes wrong without an error.
- handler_code: quiet faults of the handler, each reported once for a load.

A rule is a function of an Evidence that returns a Finding or None. Add a new one to a list:

- for a failure, of which the first rule that fits explains it: RULES of loading (with those of weights), of raised
  (with those of common, input_mismatch, torchserve_code, shapes and envelopes), of return_value or of answers;
- for a success that lost or changed something, where every rule that fits speaks: WARNINGS of its file. `may_warn`
  there decides quickly whether any of them is asked. A new file is named in `handlerkit.why.warnings`.

What a caller outside of `why` needs too is in `why.findings`. Each rule needs a case in tests/why/rules, which the
documentation shows too. Rules may import the rest of `why`, but for `warnings`, and what is below it.
"""
