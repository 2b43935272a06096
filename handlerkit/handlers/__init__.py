"""Handlers to export as they are, `Model(handler="handlerkit:classifier")`, or to begin one's own with.

classifier.py, detection_boxes.py, segmentation_overlay.py, background_cutout.py, text_classifier_hf.py,
text_entities.py, text_generator.py
                        one class a file; `handlerkit.model.READY_MADE` names them
detection_forms.py, segmentation_forms.py
                        what models return, told by its form; a new form is a function here
detections.py           what was found in an image, placed and drawn
request_handler.py      the base class of all handlers: each request of a batch by itself
image_handler.py        the base class of image handlers
text_requests.py        texts out of requests, the base class of text handlers, and models that transformers loads
token_stream.py         texts that grow token by token, and what streams them
image_requests.py       images out of requests
image_sizes.py          images in the sizes that models see
image_answers.py        pictures and masks as answers
model_outputs.py        modules, TorchScript and ONNX sessions called alike
handler_settings.py     the section `handler:` of model-config.yaml

They stand alone: nothing here is imported by the kit, and nothing here imports it. They import ts, torch, torchvision,
numpy and PIL, those of texts transformers where they load a model, and each other as files that lie side by side, for
an archive gets a handler with the modules here that it imports (`handlerkit.model.ready_made_modules`). They run on
Python 3.9.
"""
