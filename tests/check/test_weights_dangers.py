"""What unpickling a name does beside making a value."""

from __future__ import annotations

import pytest

from handlerkit.check.weights.dangers import danger
from handlerkit.check.weights.pickled import Global

RUNS = """
os.system posix.system nt.system subprocess.Popen builtins.eval builtins.exec builtins.compile builtins.open
builtins.__import__ builtins.breakpoint importlib.import_module runpy.run_path pty.spawn timeit.timeit pydoc.pipepager
webbrowser.open code.InteractiveInterpreter ctypes.CDLL marshal.loads pickle.loads _pickle.loads shutil.rmtree
socket.socket asyncio.create_subprocess_shell multiprocessing.Process linecache.getline uuid._get_command_stdout
logging.FileHandler logging.config.dictConfig io.open _io.FileIO pathlib.Path.write_text json.tool.main
typing.get_type_hints dataclasses.make_dataclass collections.namedtuple random._os.system weakref.finalize
torch.serialization.os.system torch.hub.load torch.load torch.utils.collect_env.run numpy.load
numpy.f2py.crackfortran.myeval numpy.testing._private.utils.runstring joblib.load pandas.read_pickle pandas.eval
pip.main requests.get IPython.start_ipython sympy.sympify yaml.unsafe_load
""".split()
VALUES = """
collections.OrderedDict collections.Counter datetime.datetime decimal.Decimal fractions.Fraction uuid.UUID
pathlib.PosixPath enum.Enum re._compile copyreg._reconstructor _codecs.encode builtins.set builtins.bytearray
builtins.complex builtins.slice builtins.ValueError argparse.Namespace functools.partial operator.itemgetter
itertools.count logging.getLogger io.BytesIO types.SimpleNamespace typing.Optional zoneinfo.ZoneInfo random.Random
__main__.Net torch._utils._rebuild_tensor_v2 torch.FloatStorage torch.nn.modules.linear.Linear torch.device
torch.storage._load_from_bytes numpy.ndarray numpy.dtype numpy.core.multiarray._reconstruct
numpy.random._pickle.__randomstate_ctor numpy._core.multiarray.scalar sklearn.tree._tree.Tree
sklearn.pipeline.Pipeline scipy.sparse._csr.csr_matrix xgboost.core.Booster lightgbm.basic.Booster
pandas.core.frame.DataFrame pandas._libs.internals._unpickle_block transformers.tokenization_utils.AddedToken
torchvision.models.resnet.ResNet my_project.os_tools.Net
""".split()


def named(name: str) -> Global:
    """The longest lower-case beginning is the module, but for what hides behind one."""
    module, _, last = name.rpartition(".")
    for hidden in ("os.system", "Path.write_text"):
        if name.endswith(f".{hidden}"):
            return Global(name.removesuffix(f".{hidden}"), hidden)
    return Global(module, last)


@pytest.mark.parametrize("name", RUNS)
def test_it_runs_something(name: str) -> None:
    assert danger(named(name)) == "runs"


@pytest.mark.parametrize("name", VALUES)
def test_it_makes_a_value(name: str) -> None:
    assert danger(named(name)) is None


@pytest.mark.parametrize("name", ["builtins.getattr", "operator.attrgetter", "_operator.methodcaller"])
def test_it_reaches_anything(name: str) -> None:
    assert danger(named(name)) == "reaches"


@pytest.mark.parametrize("name", ["types.CodeType", "cloudpickle.cloudpickle._make_cell", "dill._dill._create_code"])
def test_it_carries_code(name: str) -> None:
    assert danger(named(name)) == "code"


def test_what_is_computed_may_be_anything() -> None:
    assert danger(Global("", "system")) == "runs"
