"""Handlers to export as they are, `Model(handler="handlerkit:classifier")`, or to begin one's own with.

They stand alone: nothing here is imported by the kit, and nothing here imports it. What they share travels beside them
in the archive: request_handler.py (each request of a batch by itself, forms, settings), image_requests.py and
text_requests.py (what a request carries, and models of images and of texts).
"""
