"""What views say of a content.

- drawings: the picture and the words of a cell, and how a view draws on the request's image.
- changes: the difference of two contents, in words and as a picture. box_changes: the same for boxes, paired by
  overlap.
- marks: what the live preview draws in the browser.

May import view.draw, view.decode, view.html and below. What two views say in the same way goes here.
"""
