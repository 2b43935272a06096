"""The live display of a model.

- preview: the samples, their answers, and what runs again.
- message: what goes to the browser for one answer. preview.js draws it, preview.css styles it.
- widget: the comm between the two, an AnyWidget.
"""
