"""What changed from one answer to another.

- comparison: two Runs side by side, `hk.compare`.
- endpoints: two endpoints side by side, which `hk.compare` asks first.
- changes: the difference of two contents, in words and as a picture. boxes: the same for boxes, paired by overlap.

changes and boxes are for views, and import view.draw and below; the others may import view.render, verify and below.
What changed in another kind of content is a file here, or in the file of its view.
"""
