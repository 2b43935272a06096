"""What a file of weights holds, read from its bytes: nothing of it is unpickled, imported or run.

    weights = read(file, size)          # -> Weights: .kind, .pickles, .script, .onnx

container.py    which container it is, and what is in it
pickled.py      what a pickle would import
dangers.py      whether that runs something, or reads and writes files
script.py       the operators that TorchScript calls
onnx.py         the versions that an ONNX model asks for
operators.py    the operators, and the pickled names, that a torch knows

A new container: name it in `Kind`, recognize it by its bytes in `container.read`, and say in rules/weights.py who loads
it. It may import formatting, and nothing else of the kit.
"""

from handlerkit.check.weights.container import LFS_POINTER, Kind, Weights, read, read_beginning
from handlerkit.check.weights.onnx import Onnx
from handlerkit.check.weights.pickled import Global, Pickled
from handlerkit.check.weights.script import Script

__all__ = ["LFS_POINTER", "Global", "Kind", "Onnx", "Pickled", "Script", "Weights", "read", "read_beginning"]
