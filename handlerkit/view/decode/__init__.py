"""What a view is given, and what it gives.

- source: one exchange, each thing in it unpacked once. pieces: those of a stream, and how fast they came.
- response: what a view read out of it, with its place on the request's image.
- colors: which color a class has.
- placing: where boxes, maps and masks lie on that image.
- arrays: nested lists of numbers as arrays.

May import view.draw, messages, predictions and below. What two views do with an answer before they draw it goes here.
"""
