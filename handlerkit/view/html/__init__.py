"""Html and text for what is no picture.

- elements: pages, folds, tables, badges, with style.css; everything from an answer is escaped here.
- fragments: JSON as a tree, weighted words, tensors, streams.
- exchange: the request, the response and the log. findings: causes and tracebacks.

May import view.draw, verify, messages, timing and below. What two displays have in common goes here.
"""
