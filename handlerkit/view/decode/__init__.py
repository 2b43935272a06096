"""What an answer holds: from bytes to contents that can be drawn.

- source: one exchange, each thing in it unpacked once.
- contents: what views read, beside `handlerkit.predictions`.
- views: which view fits an answer. A new view is registered there.
- masks, arrays: readers of instance masks, and of numbers.
"""
