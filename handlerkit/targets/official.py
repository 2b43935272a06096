"""What the official images hold, by their Dockerfile and requirements."""

from __future__ import annotations

#: The Python of pytorch/torchserve:0.12.0-cpu and -gpu.
PYTHON = (3, 9)

#: What the images install by name; "" if they pin no version. Both install the same: only torch's build differs,
#: and that is the package registry's choice.
PINS = {
    "torch": "2.4.0",
    "torchvision": "0.19.0",
    "torchaudio": "2.4.0",
    "numpy": "1.24.3",
    "pillow": "10.3.0",
    "captum": "0.6.0",
    "psutil": "5.9.8",
    "requests": "2.32.0",
    "packaging": "23.2",
    "pynvml": "11.5.0",
    "pyyaml": "6.0.1",
    "ninja": "1.11.1.1",
    "cython": "3.0.5",
    "pip": "",  # installs an archive's requirements where the server is told to
    "setuptools": "",
    "wheel": "0.42.0",
    "torchserve": "0.12.0",
    "torch-model-archiver": "0.12.0",
    "torch-workflow-archiver": "",  # its own series of versions; the images take the newest
}

NAMES = ("torchserve-0.12.0-cpu", "torchserve-0.12.0-gpu")
