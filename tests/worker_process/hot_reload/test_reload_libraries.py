"""What handlers hold of other libraries: the loaded model is kept, and what requests changed is put back or loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from edits import Notebook, handler

WORDS = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "good", "bad"]
FAST = """import tokenizers, transformers
from tokenizers import models, pre_tokenizers
def fast():
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    made = tokenizers.Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made
def wrapped():
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast(), unk_token="[UNK]", pad_token="[PAD]")
""".replace("WORDS", repr(WORDS))
SLOW = "import transformers\n"
CALL = "self.s(['a', 'good b c'], padding=True, truncation=True, max_length=2)['input_ids']"
COLORS = {
    "colors.py": "import enum\nclass Color(enum.Enum):\n    RED = 1\nclass Tint(enum.IntFlag):\n    A = 1\n    B = 2\n"
}

#: What `initialize` makes, what a request asks of it, what the module imports.
KEPT = {
    "fast tokenizer": ("wrapped()", CALL, FAST),
    "fast tokenizer that says what it was told": (
        "wrapped()", f"[{CALL}, self.s.backend_tokenizer.truncation]", FAST,
    ),
    "tokenizer of its own": ("fast()", "self.s.encode('a c').ids", FAST),
    "tokenizer that is told how to fill": (
        "fast()", "[self.s.padding, self.s.enable_padding(), len(self.s.encode_batch(['a', 'a b'])[0].ids)]", FAST,
    ),
    "slow tokenizer": (
        "transformers.BertTokenizerLegacy('vocab.txt')" , "self.s.tokenize('good a')", SLOW,
    ),
    "added token": ("tokenizers.AddedToken('[X]', lstrip=True)", "self.s.content", FAST),
    "sentencepiece": (
        "sentencepiece.SentencePieceProcessor(model_file='pieces.model')", "self.s.encode('good', out_type=str)",
        "import sentencepiece\n",
    ),
    "enum": ("colors.Color.RED", "[self.s.name, colors.Color(1).value]", "import colors\n"),
    "flag": ("colors.Tint.A | colors.Tint.B", "int(self.s)", "import colors\n"),
    "padding strategy": ("transformers.utils.PaddingStrategy.LONGEST", "self.s.value", "import transformers\n"),
    "profiler activity": ("[torch.profiler.ProfilerActivity.CPU]", "str(self.s)", ""),
    "image": ("PIL.Image.new('RGB', (8, 8), 'red')", "self.s.resize((2, 2)).getpixel((0, 0))", "import PIL.Image\n"),
    "palette image": (
        "PIL.Image.new('RGB', (8, 8), 'red').quantize(2)", "self.s.convert('RGB').getpixel((0, 0))",
        "import PIL.Image\n",
    ),
    "BytesIO": ("io.BytesIO(b'abc')", "self.s.read().decode()", "import io\n"),
    "BytesIO that is written to": (
        "io.BytesIO(b'abc')", "[self.s.write(b'xyz12'), self.s.getvalue().decode()]", "import io\n",
    ),
    "StringIO": ("io.StringIO('a\\nb')", "[self.s.readline(), self.s.write('zz'), self.s.getvalue()]", "import io\n"),
    "frame": (
        "pandas.DataFrame({'a': [1, 2], 'b': ['x', 'y']}).set_index('b')", "int(self.s.loc['y', 'a'])",
        "import pandas\n",
    ),
    "series": ("pandas.Series([1.5, None], pandas.to_datetime(['2020-01-01', '2021-01-01']))",
        "self.s.fillna(0).tolist()", "import pandas\n"),
    "forest": (
        "ensemble.RandomForestClassifier(3, random_state=0).fit([[0.0], [1.0]] * 4, [0, 1] * 4)",
        "self.s.predict([[0.2]]).tolist()", "from sklearn import ensemble\n",
    ),
    "pipeline": (
        "pipeline.make_pipeline(preprocessing.StandardScaler(), svm.SVC()).fit([[0.0], [2.0]] * 4, [0, 1] * 4)",
        "self.s.predict([[0.2]]).tolist()", "from sklearn import pipeline, preprocessing, svm\n",
    ),
    "boosted trees": (
        "xgboost.XGBClassifier(n_estimators=2).fit([[0.0], [1.0]] * 4, [0, 1] * 4)", "self.s.predict([[0.0]]).tolist()",
        "import xgboost\n",
    ),
    "booster": (
        "xgboost.train({'max_depth': 1}, xgboost.DMatrix([[0.0], [1.0]], [0, 1]), 2)",
        "self.s.predict(xgboost.DMatrix([[0.0]])).tolist()", "import xgboost\n",
    ),
    "scanner": (
        "re.Scanner([('a', lambda scanner, token: token), ('b', None)])", "self.s.scan('aba')[0]", "import re\n",
    ),
    "decoder": ("json.JSONDecoder(parse_float=str)", "self.s.decode('[1.5]')", "import json\n"),
    "compiled module": (
        "torch.compile(Net(), backend='eager')", "self.s(torch.ones(1)).item()",
        "class Net(torch.nn.Module):\n    def forward(self, x): return x * 2\n",
    ),
    "sqlite": (
        "sqlite3.connect(':memory:', check_same_thread=False)", "self.s.execute('select 1').fetchone()",
        "import sqlite3\n",
    ),
    "lock that a request leaves held": ("threading.Lock()", "self.s.acquire(blocking=False)", "import threading\n"),
    "large array": ("numpy.zeros(1 << 20)", "self.s[-1]", "import numpy\n"),
    "array of objects": (
        "numpy.array([[], [1]], dtype=object)", "self.s[0].append(1) or len(self.s[0])", "import numpy\n",
    ),
    "masked array": ("numpy.ma.masked_array([1, 2], [0, 1])", "self.s.sum().item()", "import numpy\n"),
    "sparse tensor": ("torch.eye(3).to_sparse()", "self.s.to_dense().sum().item()", ""),
    "gradient": (
        "torch.nn.Parameter(torch.ones(2))", "[(self.s * 2).sum().backward(), self.s.grad.tolist()][1:]", ""
    ),
    "attribute of weights": (
        "torch.nn.Linear(99, 99)",
        "[getattr(self.s.weight, 'seen', 0), setattr(self.s.weight, 'seen', 1)]", "",
    ),
}  # fmt: skip


pytestmark = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")


@pytest.fixture(scope="session")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of sentencepiece."""
    import sentencepiece

    folder = tmp_path_factory.mktemp("pieces")
    (folder / "text").write_text("good a b c bad\nbad good c b\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=str(folder / "pieces"), vocab_size=20, hard_vocab_limit=False,
        minloglevel=2,
    )  # fmt: skip
    return folder / "pieces.model"


@pytest.fixture
def files(notebook: Notebook, pieces: Path) -> dict[str, str | bytes]:
    """What travels with the handlers."""
    return {"vocab.txt": "\n".join(WORDS), "pieces.model": pieces.read_bytes(), **COLORS}


def load(notebook: Notebook, files: dict[str, str | bytes], made: str, used: str, head: str) -> None:
    """A handler whose module-level class, if there is one, is in a helper module: TorchServe takes one class a file."""
    if "class Net" in head:
        files = {**files, "net.py": f"import torch\n{head}"}
        head = "from net import Net\n"
    notebook.load(handler(f"[0, {used}]", f"self.s = {made}", head), files)


@pytest.mark.parametrize(("made", "used", "head"), KEPT.values(), ids=KEPT)
def test_model_is_kept(notebook: Notebook, files: dict[str, str | bytes], made: str, used: str, head: str) -> None:
    load(notebook, files, made, used, head)
    assert str(notebook.edit("[[0,", "[[1,")) == "model kept: only handle changed"
    assert str(notebook.edit("[[1,", "[[2,")) == "model kept: only handle changed"


CHANGED = {
    "added tokens": ("fast()", "self.s.add_tokens(['zz' + str(self.n)]) and self.s.encode('zz1').tokens", FAST),
    "lower case": (
        "cased()", "setattr(self.s.normalizer, 'lowercase', False) or "
        "self.s.encode('GOOD').tokens",
        FAST + "def cased():\n    made = fast()\n"
        "    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)\n    return made\n",
    ),
    "training": (
        "fast()", "self.s.train_from_iterator(['x y z'], tokenizers.trainers.WordLevelTrainer(show_progress=False)) or "
        "self.s.encode('x').tokens", FAST,
    ),
    "training by a name": (
        "fast()", "getattr(self.s, 'train' + '_from_iterator')(['v w x y z aa bb cc dd ee'], "
        "tokenizers.trainers.WordLevelTrainer(vocab_size=10, show_progress=False)) or self.s.encode('x').ids", FAST,
    ),
    "training by a text": (
        "fast()",
        "eval('self.s.train_from_iterator')(['v w x y z aa bb cc dd ee'], "
        "tokenizers.trainers.WordLevelTrainer(vocab_size=10, show_progress=False)) or self.s.encode('x').ids",
        FAST,
    ),
    "another model": (
        "fast()",
        "setattr(self.s, 'model', models.WordLevel({word: -n % 10 for n, word in enumerate(['[UNK]', *'abcdefghi'])}, "
        "'[UNK]')) or self.s.encode('b').ids",
        FAST,
    ),
    "option of the model": (
        "fast()", "setattr(self.s.model, 'unk_token', 'a') or self.s.encode('nothing').tokens", FAST
    ),
    "pixels": (
        "PIL.Image.new('L', (8, 8))",
        "self.s.putpixel((0, 0), self.n) or self.s.getpixel((0, 0))",
        "import PIL.Image\n",
    ),
    "frame": (
        "pandas.DataFrame({'a': [1, 2]})", "[self.s.__setitem__('b', self.n), len(self.s.columns)]", "import pandas\n",
    ),
    "index": ("pandas.Index([1, 2])", "[setattr(self.s, 'name', str(self.n)), self.s.name]", "import pandas\n"),
    "booster": (
        "xgboost.train({}, xgboost.DMatrix([[0.0], [1.0]], [0, 1]), 2)",
        "[self.s.set_attr(seen=str(self.n)), self.s.attr('seen')]", "import xgboost\n",
    ),
    "in memory": (
        "base()",
        "[self.s.execute('insert into t values (1)'), self.s.execute('select count(*) from t').fetchone()][1]",
        "import sqlite3\ndef base():\n    made = sqlite3.connect(':memory:', check_same_thread=False)\n"
        "    made.execute('create table t (x)')\n    return made\n",
    ),
    "setting": (
        "sqlite3.connect(':memory:', check_same_thread=False)",
        "[self.s.execute('pragma cache_size').fetchone(), self.s.execute('pragma cache_size=5')][0]",
        "import sqlite3\n",
    ),
    "temporary table": (
        "sqlite3.connect(':memory:', check_same_thread=False)",
        "[self.s.execute(f'create temp table t{self.n} (x)'), self.n][1]", "import sqlite3\n",
    ),
    "pragma": (
        "sqlite3.connect(':memory:', check_same_thread=False)",
        "[self.s.execute('pragma foreign_keys').fetchone(), self.s.execute('pragma foreign_keys=1')][0]",
        "import sqlite3\n",
    ),
    "options of sentencepiece": (
        "sentencepiece.SentencePieceProcessor(model_file='pieces.model')",
        "[setattr(self.s, '_reverse', True), self.s.encode('a b')]", "import sentencepiece\n",
    ),
    "large array": ("numpy.zeros(1 << 20)", "self.s.__setitem__(-1, self.s[-1] + 1) or self.s[-1]", "import numpy\n"),
    "array that is read only": (
        "constant()", "[self.s.setflags(write=True), self.s.__setitem__(-1, self.n), self.s[-1]][2]",
        "import numpy\ndef constant():\n    made = numpy.zeros(1 << 20)\n"
        "    made.setflags(write=False)\n    return made\n",
    ),
    "sparse tensor": ("torch.eye(3).to_sparse()", "self.s._values().data.add_(1).tolist()", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_what_requests_changed_in_c_is_not_kept(notebook: Notebook, files: dict[str, str | bytes], name: str) -> None:
    load(notebook, files, *CHANGED[name])
    assert str(notebook.edit("[[0,", "[[1,")) == "loaded again: requests changed self.s"


def test_member_of_an_enum_loses_what_requests_set_on_it(notebook: Notebook) -> None:
    used = "[getattr(colors.Color.RED, 'seen', 0), setattr(colors.Color.RED, 'seen', 1)]"
    notebook.load(handler(f"[0, {used}]", head="import colors\n"), COLORS)
    assert str(notebook.edit("[[0,", "[[1,")) == "model kept: only handle changed"


def test_function_inside_of_a_compiled_one_is_compiled_anew(notebook: Notebook) -> None:
    net = "import torch\ndef half(x): return x / 2\n"
    net += "class Net(torch.nn.Module):\n    def forward(self, x): return half(x)\n"
    source = handler(
        "self.s(torch.ones(1)).item()", "self.s = torch.compile(net.Net(), backend='eager')", "import net\n"
    )
    notebook.load(source, {"net.py": net})
    assert str(notebook.edit("x / 2", "x / 4", "net.py")) == "model kept: only net.half changed"
    assert json.loads(notebook.answers()[0]) == 0.25


def test_what_takes_long_to_serialize_is_loaded_anew(notebook: Notebook) -> None:
    notebook.begins = "from handlerkit.worker_process.hot_reload import serialized\nserialized._LONGEST = -1\n"
    notebook.load(handler("[0, len(self.s)]", "self.s = pandas.DataFrame({'a': [1]})", "import pandas\n"))
    assert "it takes too long" in notebook.edit("[[0,", "[[1,").reason


def test_statement_that_gives_a_tokenizer_another_model_is_seen(notebook: Notebook) -> None:
    source = handler("self.other()", "self.s = fast()\nself.model = torch.nn.Linear(1, 1)", FAST) + (
        "    def other(self):\n"
        "        numbers = {word: -number % 10 for number, word in enumerate(['[UNK]', *'abcdefghi'])}\n"
        "        answer = self.s.encode('b').ids\n"
        "        self.s.model = models.WordLevel(numbers, '[UNK]')\n"
        "        return [0, answer]\n"
    )
    notebook.load(source)
    assert str(notebook.edit("[0, answer]", "[1, answer]")) == "loaded again: requests changed self.s"
