"""The live display of a model.

- preview: the samples, their answers, and what runs again.
- message: what goes to the browser for one answer. still: what is shown without the kernel, in the same layout.
- widget: the comm between the two, an AnyWidget.
- browser/: what happens there, without the kernel. hosts.js is the kernel's end, preview.js puts together stage.js (the
  canvas; gestures.js moves it) and panel.js (beside it); shown.js and pixels.js unpack an answer. layout.css is the static
  display's, too; controls.css styles the rest. A new module is named in widget.
"""
