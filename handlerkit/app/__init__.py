"""App: models as a folder that serves them anywhere, without TorchServe's Java and without this kit.

- folder.py: what is written, and where it may be.
- requirements.py: the packages that it needs, by imports.py's reading of the code.
- settings.py: which keys of config.properties and model-config.yaml an app can follow.
- files/: what is copied as it is, or with names put in ($name): app.py, Dockerfile, README.md, deploy/.

The runtime is a copy of `handlerkit.serving`, byte for byte. May import archive, unpack, targets, model, serving and
below. A new place to deploy to is a file in files/deploy/, which begins with its command and says what it cannot keep.
"""

from handlerkit.app.folder import App

__all__ = ["App"]
