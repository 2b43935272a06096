"""The views: each reads one kind of response, and says how it is drawn, compared and previewed.

A new view is a file of its own here, such as boxes, that ends with its ViewSpec (spec). Add that to the list below. The
type of its content is a class of that file, or of `handlerkit.predictions` if users are to make or read it. It may
import `handlerkit.view.decode` (what it is given, and where it lies), `handlerkit.view.draw` (pictures of arrays),
`handlerkit.view.contents` (drawings, changes and marks) and `handlerkit.view.html`; never another view.

- spec: what a view is, and the list that tries them.
- stream, several: answers in pieces, and of several parts.
- segmentation, heatmap, masks, boxes, classes: what a model saw in an image.
- picture, audio: media. entities, tokens: texts. tensors: arrays.
- documents, unread: what is left: JSON and texts, and bytes.
"""

from handlerkit.view.views.audio import AUDIO
from handlerkit.view.views.boxes import BOXES
from handlerkit.view.views.classes import CLASSES
from handlerkit.view.views.documents import JSON, TEXT
from handlerkit.view.views.entities import ENTITIES
from handlerkit.view.views.heatmap import HEAT_MAP
from handlerkit.view.views.masks import MASKS
from handlerkit.view.views.picture import EMBEDDED, PICTURE, PIXELS
from handlerkit.view.views.segmentation import SEGMENTATION
from handlerkit.view.views.several import SEVERAL
from handlerkit.view.views.spec import Views
from handlerkit.view.views.stream import STREAM
from handlerkit.view.views.tensors import HISTOGRAM, TENSORS
from handlerkit.view.views.tokens import TOKENS
from handlerkit.view.views.unread import BYTES

#: In the order in which they are tried.
VIEWS = Views(
    [
        STREAM,
        SEVERAL,
        SEGMENTATION,
        PICTURE,
        AUDIO,
        ENTITIES,
        TOKENS,
        HEAT_MAP,
        MASKS,
        BOXES,
        CLASSES,
        HISTOGRAM,
        TENSORS,
        EMBEDDED,
        JSON,
        PIXELS,
        TEXT,
        BYTES,
    ],
    fallback=BYTES,
)
