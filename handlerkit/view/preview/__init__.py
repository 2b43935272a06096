"""The live display of a model.

- preview: the samples, their answers, and what runs again.
- message: what goes to the browser for one answer. still: what is shown without the kernel, in the same layout.
- widget: the comm between the two, an AnyWidget. It joins the modules of browser/, and names each.
- browser/: what happens there, without the kernel. hosts.js knows where a preview is, preview.js puts it together of
  stage.js (the canvas, moved by gestures.js) and panel.js (beside it), shown.js and pixels.js unpack an answer.
  layout.css is also the static display's, controls.css styles the rest.

May import view.render, view.html and below. How a view's content is drawn live goes into view.contents.marks, and into
shown.js.
"""
