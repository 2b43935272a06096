"""Which distribution has a module, where its name does not say so."""

from __future__ import annotations

#: Distributions by the module that they are imported as, where the names differ.
DISTRIBUTIONS = {
    "cv2": "opencv-python-headless", "PIL": "pillow", "sklearn": "scikit-learn", "skimage": "scikit-image",
    "yaml": "pyyaml", "dateutil": "python-dateutil", "bs4": "beautifulsoup4", "faiss": "faiss-cpu", "fitz": "pymupdf",
    "whisper": "openai-whisper",
}  # fmt: skip
