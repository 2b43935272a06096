"""What a torch knows: the operators that TorchScript may call, and what torch.load lets a pickle import.

Both are in the files that torch installs, and are read there, as text. Where they cannot be read, tables say what
changed between torch 2.4, which TorchServe's last images hold, and torch 2.14.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from packaging.version import Version

from handlerkit.check.weights.pickled import Global, Pickled

#: Operators of TorchScript's own; torch's list of functions has them not. The format is frozen, and so are they.
_SCRIPT_OWN = frozenset(
    """
    Bool Complex ComplexImplicit Delete Float FloatImplicit Generator Int IntImplicit ScalarImplicit Size
    __contains__ __derive_index __getitem__ __interpolate __is__ __isnot__ __not__ __range_length
    __round_to_zero_floordiv __upsample __upsample_bilinear __upsample_nearest _get_cpu_capability
    _get_tracing_state _grad_sum_to_size _infer_size _list_to_tensor _ncf_unsqueeze _ncf_view
    _no_grad_embedding_renorm_ _no_grad_fill_ _no_grad_normal_ _no_grad_uniform_ _no_grad_zero_ _pack_sequence
    _set_item _size_if_not_equal _tensor_to_list _unwrap_optional append as_tensor backward bin capitalize
    center chr clear confirmed_by_owner count cpu cuda degrees device dict dim dist_backward divmod element_size
    endswith expandtabs extend fabs factorial find floordiv format gamma get get_autocast_dtype get_device
    get_gradients grad has_torch_function hash hex initial_seed insert is_autocast_cpu_enabled
    is_autocast_enabled is_contiguous is_grad_enabled is_non_overlapping_and_dense is_owner is_scripting
    is_strides_like_format isalnum isalpha isdecimal isdigit isidentifier islower isnumeric isprintable isspace
    istitle isupper items join keys len list ljust local_value lower lstrip manual_seed mathremainder modf numel
    oct ord owner owner_name partition percentFormat pop popitem quantized_gru quantized_lstm radians remove
    replace reverse rfind rindex rjust rpartition rsplit rstrip save seed set_grad_enabled setdefault sorted
    splitlines startswith storage_offset str strip swapcase tensor title to_here update upper wait warn zfill
    """.split()
)
#: Operators of torch 2.14 that torch 2.4 does not have.
_NEW_SINCE_2_4 = frozenset(
    """
    _convert_weight_to_int4pack_for_cpu _cudnn_attention_forward _dyn_quant_matmul_4bit
    _dyn_quant_pack_4bit_weight _flash_attention_forward_no_dropout_inplace _foreach_clone _foreach_mm
    _foreach_powsum _foreach_rsqrt _foreach_rsqrt_ _fused_rms_norm _grouped_mm _nested_from_padded_tensor
    _nested_get_max_seqlen _nested_get_min_seqlen _philox_key_fold_in _philox_key_split _philox_normal
    _philox_normal_ _philox_uniform _philox_uniform_ _safe_softmax _scaled_dot_product_attention_math_for_mps
    _scaled_dot_product_fused_attention_overrideable _scaled_grouped_mm _scaled_grouped_mm_v2 _scaled_mm_v2
    _spsolve _unsafe_masked_index _unsafe_masked_index_put_accumulate _upsample_lanczos2d_aa
    _use_miopen_ctc_loss _weight_int4pack_mm_for_cpu _weight_int4pack_mm_with_scales_and_zeros
    _wrapped_linear_prepack _wrapped_quantized_linear_prepacked hash_tensor linalg__powsum linalg_matrix_sqrth
    linalg_polar miopen_ctc_loss rrelu_with_noise_functional sym_is_contiguous
    """.split()
)
#: How many arguments torch 2.4 takes where torch's own scripts give more since: nn.utils.rnn.pad_sequence, and
#: torch.stft, whose form with `center` takes more, and is never scripted.
_TOOK_IN_2_4 = {"pad_sequence": 3, "stft": 8}
#: Those of TorchScript's own that came since.
_SCRIPT_OWN_SINCE_2_4 = frozenset({"broadcast_shapes", "shallow_copy_data_"})
#: Operators of texts and lists that share their name with torch's function.
_OVERLOADED = frozenset({"index"})
#: The versions between which the tables tell.
OLDEST, NEWEST = "2.4", "2.14"
#: Namespaces of operators that importing torch makes known.
_OWN_NAMESPACES = frozenset(
    """
    aten prim prims quantized _quantized quantization mkl mkldnn mkldnn_prepacked onednn prepacked sparse cuda profiler
    inductor static_runtime c10d c10d_functional _c10d_functional _c10d_functional_autograd onnx
    """.split()
)
#: torch.load has weights_only=True from here on, unless it is told otherwise.
WEIGHTS_ONLY_SINCE = Version("2.6")
#: What it lets a pickle import beside torch's own types; the second part since 2.6.
_ALLOWED = frozenset(
    """
    collections.OrderedDict collections.Counter torch.nn.parameter.Parameter torch.serialization._get_layout torch.Size
    torch.Tensor torch.device torch._tensor._rebuild_from_type_v2 torch._utils._rebuild_parameter
    torch._utils._rebuild_parameter_with_state torch._utils._rebuild_qtensor torch._utils._rebuild_tensor
    torch._utils._rebuild_tensor_v2 torch._utils._rebuild_tensor_v3 torch._utils._rebuild_sparse_tensor
    torch._utils._rebuild_meta_tensor_no_storage torch._utils._rebuild_nested_tensor
    torch._utils._rebuild_wrapper_subclass
    """.split()
)
_ALLOWED_SINCE_2_6 = frozenset(
    """
    _codecs.encode builtins.bytearray builtins.set builtins.complex torch._utils._rebuild_device_tensor_from_numpy
    torch._utils._rebuild_device_tensor_from_cpu_tensor
    """.split()
)
#: Its types of tensors, storages and numbers.
_TYPES = re.compile(
    r"torch\.(storage\.(Typed|Untyped)Storage|(cuda\.|sparse\.|cuda\.sparse\.)?\w+(Storage|Tensor)"
    r"|b?float\d\w*|u?int\d+|b?complex\d+|bool|bits\d\w*|q?u?int\d+(x\d)?|per_(tensor|channel)_\w+)"
)
#: The opcodes that it reads; protocols 3 to 5 use others.
_OPCODES = frozenset(
    """
    APPEND APPENDS BINFLOAT BINGET BININT BININT1 BININT2 BINPERSID BINPUT BINUNICODE BUILD EMPTY_DICT EMPTY_LIST
    EMPTY_SET EMPTY_TUPLE GLOBAL LONG1 LONG_BINGET LONG_BINPUT MARK NEWFALSE NEWOBJ NEWTRUE NONE PROTO REDUCE SETITEM
    SETITEMS SHORT_BINSTRING STOP TUPLE TUPLE1 TUPLE2 TUPLE3
    """.split()
)
HIGH_PROTOCOL = "a pickle protocol above 2"
_FUNCTION = re.compile(r"^- func: (\w+)(?:\.\w+)?\((.*)\) ->", re.MULTILINE)
_GENERATED = re.compile(r"^  autogen: (.*)$", re.MULTILINE)
_MANY = 1 << 16
#: What the forms of a function that torch generates take more: the tensors that they write to.
_MOST_RESULTS = 8


@dataclass(frozen=True)
class Torch:
    """A torch by its `version`, and the `site` where its files can be read, None if they are not there."""

    version: Version
    site: Path | None

    def lacks(self, operator: str) -> bool:
        """Whether it is known not to know the operator, such as "aten::relu"."""
        namespace, _, name = operator.partition("::")
        if namespace != "aten" or name in _SCRIPT_OWN:
            return False
        if name in _SCRIPT_OWN_SINCE_2_4:
            return self.version.release[:2] <= (2, 4)
        if self._functions is not None:
            return name not in self._functions
        return name in _NEW_SINCE_2_4 and self.version.release[:2] <= (2, 4)

    def may_lack(self, operator: str) -> bool:
        """Whether it may not know the operator, as a torch between 2.4 and 2.14 whose files are not there."""
        if self._functions is not None or not (2, 4) < self.version.release[:2] < (2, 14):
            return False
        return operator.removeprefix("aten::") in _NEW_SINCE_2_4

    def takes(self, operator: str) -> int:
        """The most arguments that it gives the operator; a large number if that is not known."""
        name = operator.removeprefix("aten::")
        if name in _TOOK_IN_2_4 and self.version.release[:2] <= (2, 4):
            return _TOOK_IN_2_4[name]
        is_own = name in _SCRIPT_OWN | _OVERLOADED
        return _MANY if self._functions is None or is_own else self._functions.get(name, _MANY)

    def refuses(self, pickle: Pickled) -> list[str]:
        """What of a pickle torch.load(weights_only=True) does not let in: imports, and opcodes it does not read."""
        refused = [str(found) for found in pickle.globals if not self._allows(found)]
        if not refused and pickle.opcodes - _OPCODES:
            refused.append(HIGH_PROTOCOL)
        return refused

    def _allows(self, found: Global) -> bool:
        name = str(found)
        return name in self._allowed or _TYPES.fullmatch(name) is not None

    @cached_property
    def _functions(self) -> Mapping[str, int] | None:
        """The functions it declares, and the most arguments of each; None if its files are not there."""
        text = self._read("torchgen/packaged/ATen/native/native_functions.yaml")
        if text is None:
            return None
        known: dict[str, int] = {}
        for name, arguments in _FUNCTION.findall(text):
            known[name] = max(known.get(name, 0), _count(arguments))
        for names in _GENERATED.findall(text):
            for name in {name.strip().partition(".")[0] for name in names.split(",")}:
                known[name] = known[name] + _MOST_RESULTS if name in known else _MANY
        return known

    @cached_property
    def _allowed(self) -> frozenset[str]:
        text = self._read("torch/_weights_only_unpickler.py")
        if text is None:
            return _ALLOWED | _ALLOWED_SINCE_2_6 if self.version >= WEIGHTS_ONLY_SINCE else _ALLOWED
        found = set(_ALLOWED)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Dict):
                found |= {
                    key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)
                }
            elif isinstance(node, ast.Set):
                found |= {ast.unparse(one) for one in node.elts}
        return frozenset(found)

    def _read(self, name: str) -> str | None:
        try:
            return None if self.site is None else (self.site / name).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None


def own_namespace(operator: str) -> bool:
    """Whether importing torch is enough to make the operator known."""
    return operator.partition("::")[0] in _OWN_NAMESPACES


def _count(arguments: str) -> int:
    """How many arguments a signature has; "*" is none."""
    depth, count = 0, bool(arguments) + 0
    for letter in arguments:
        depth += (letter in "([") - (letter in ")]")
        count += letter == "," and not depth
    return count - ("*" in re.split(r",\s*", arguments))
