"""Handlers to export as they are, `Model(handler="handlerkit:classifier")`, or to begin one's own with.

They stand alone: nothing here is imported by the kit, and nothing here imports it. `image_requests.py` is what they
share; it travels beside them in the archive.
"""
