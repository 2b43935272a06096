"""What changed from one answer to another.

- comparison: two Runs side by side, `hk.compare`.
- endpoints: two endpoints side by side, which `hk.compare` asks first.
- changes: the difference of two contents, in words and as a picture.
"""
