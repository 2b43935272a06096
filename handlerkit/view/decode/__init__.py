"""What a view is given, and what it gives.

- source: one exchange, each thing in it unpacked once.
- response: what a view read out of it, with its place on the request's image.
- colors: which color a class has.
- placing: where boxes, maps and masks lie on that image.
- arrays: nested lists of numbers as arrays.
"""
