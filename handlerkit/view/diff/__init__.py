"""What changed from one answer to another.

- comparison: two Runs side by side, `hk.compare`.
- endpoints: two endpoints side by side, which `hk.compare` asks first.

May import view.render, verify and below. What changed in a content is in view.contents, or in the file of its view.
"""
