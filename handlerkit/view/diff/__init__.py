"""What changed from one answer to another.

- comparison: two Runs side by side, `hk.compare`.
- changes: the difference of two contents, in words and as a picture.
"""
