"""What a response says, as plain data: Detections, SegmentationMap, Classifications.

Each class has a `read` that takes the response's JSON and returns None when its shape is not one that the class knows,
and a `from_*` constructor for each shape. The shapes are those of TorchServe's default handlers (`ts/torch_handler/`:
`object_detector.py`, `image_segmenter.py`, `image_classifier.py`), of torchvision's, transformers' and YOLO's models,
of Roboflow, and of COCO's files (https://cocodataset.org/#format-results).

Classes are named as the response names them, an index by its digits: "1". What index_to_name.json says of them is for a
display to add.

detections.py, segmentation.py, classifications.py
                a class each
boxes.py        how rows say a box or a polygon
oriented.py     turned boxes, outlines
keypoints.py    points of bodies, and the skeleton between them
tables.py       boxes in bare rows of numbers
pictures.py     pictures in base64
overlap.py      which boxes of two answers are the same thing
rle.py          COCO's run-length masks
shapes.py       what JSON holds, and how rows name a class and its score

It may import numpy and PIL, and nothing of the kit. A new shape of an answer is a `from_*` constructor of its class,
which `read` names; a new kind of content is a file here, and a view (`handlerkit.view.views`).
"""

from handlerkit.predictions.boxes import polygons_of
from handlerkit.predictions.classifications import Classifications
from handlerkit.predictions.detections import Detections
from handlerkit.predictions.overlap import match_boxes
from handlerkit.predictions.pictures import from_base64, open_picture, picture_head
from handlerkit.predictions.rle import unpack_rle
from handlerkit.predictions.segmentation import SegmentationMap
from handlerkit.predictions.shapes import Labels, are_rows, bodies, is_number, table_of

__all__ = [
    "Classifications",
    "Detections",
    "Labels",
    "SegmentationMap",
    "are_rows",
    "bodies",
    "from_base64",
    "is_number",
    "match_boxes",
    "open_picture",
    "picture_head",
    "polygons_of",
    "table_of",
    "unpack_rle",
]
