/* SPDX-License-Identifier: Apache-2.0 */
/* codec/pickle_lists.c - which imports of a pickle are known to be harmless, and which to be
 * weapons.
 *
 * For:     codec/scan.c.
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   safe is an exact pair of module and name whose call builds data and nothing else;
 *          dangerous can start programs, run code, reach files or the net, or look up anything by
 *          name; the rest is unknown. A name is never safe by prefix.
 *
 * A new safe name also needs: a look at what its call and its __setstate__ do with any arguments.
 */
#include "codec/codec.h"

/* "module: name name ..." */
static const char *const safe[] = {
    "collections: OrderedDict defaultdict Counter deque",
    ("builtins: set frozenset list dict tuple int float complex bool str bytes bytearray slice "
     "range object"),
    ("__builtin__: set frozenset list dict tuple int long float complex bool str unicode bytes "
     "bytearray slice "
     "xrange object"),
    "_codecs: encode",
    "copyreg: _reconstructor",
    "copy_reg: _reconstructor",
    "datetime: datetime date time timedelta timezone",
    "decimal: Decimal",
    "fractions: Fraction",
    "uuid: UUID",
    "argparse: Namespace",
    ("torch: FloatStorage DoubleStorage HalfStorage BFloat16Storage LongStorage IntStorage "
     "ShortStorage "
     "CharStorage ByteStorage BoolStorage ComplexFloatStorage ComplexDoubleStorage QInt8Storage "
     "QUInt8Storage "
     "QInt32Storage QUInt4x2Storage QUInt2x4Storage UntypedStorage Size device dtype Tensor "
     "float16 float32 float64 float half double bfloat16 int8 int16 int32 int64 short int long "
     "uint8 uint16 "
     "uint32 uint64 bool complex32 complex64 complex128 cfloat cdouble float8_e4m3fn float8_e5m2 "
     "float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu qint8 quint8 qint32 strided sparse_coo "
     "per_tensor_affine "
     "per_channel_affine contiguous_format preserve_format"),
    ("torch.cuda: FloatStorage DoubleStorage HalfStorage BFloat16Storage LongStorage IntStorage "
     "ShortStorage "
     "CharStorage ByteStorage BoolStorage"),
    "torch.storage: UntypedStorage TypedStorage _UntypedStorage _TypedStorage",
    "torch.nn.parameter: Parameter",
    "torch.serialization: _get_layout",
    ("torch._utils: _rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter "
     "_rebuild_parameter_with_state _rebuild_sparse_tensor _rebuild_qtensor "
     "_rebuild_meta_tensor_no_storage "
     "_rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor"),
    "torch._tensor: _rebuild_from_type_v2",
    ("numpy: dtype ndarray bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 "
     "float32 float64 "
     "complex64 complex128 str_ bytes_ datetime64 timedelta64 void"),
    "numpy.core.multiarray: _reconstruct scalar",
    "numpy._core.multiarray: _reconstruct scalar",
    "numpy.core.numeric: _frombuffer",
    "numpy._core.numeric: _frombuffer",
    ("numpy.dtypes: Float16DType Float32DType Float64DType Int8DType Int16DType Int32DType "
     "Int64DType "
     "UInt8DType UInt16DType UInt32DType UInt64DType BoolDType"),
    "joblib.numpy_pickle: NumpyArrayWrapper",
};

/* Modules and packages no data needs, with everything below them. */
static const char *const weapons[] = {
    "os",
    "posix",
    "nt",
    "posixpath",
    "ntpath",
    "subprocess",
    "_posixsubprocess",
    "commands",
    "popen2",
    "pty",
    "sys",
    "shutil",
    "socket",
    "_socket",
    "ssl",
    "socketserver",
    "SocketServer",
    "asyncio",
    "asyncore",
    "select",
    "selectors",
    "signal",
    "_signal",
    "importlib",
    "_frozen_importlib",
    "_frozen_importlib_external",
    "imp",
    "_imp",
    "runpy",
    "pkgutil",
    "zipimport",
    "zipfile",
    "tarfile",
    "code",
    "codeop",
    "ctypes",
    "_ctypes",
    "cffi",
    "pickle",
    "_pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "shelve",
    "marshal",
    "types",
    "new",
    "inspect",
    "ast",
    "dis",
    "gc",
    "webbrowser",
    "http",
    "httplib",
    "urllib",
    "urllib2",
    "urllib3",
    "requests",
    "httpx",
    "aiohttp",
    "ftplib",
    "smtplib",
    "smtpd",
    "poplib",
    "imaplib",
    "telnetlib",
    "nntplib",
    "xmlrpc",
    "xmlrpclib",
    "antigravity",
    "this",
    "multiprocessing",
    "_multiprocessing",
    "threading",
    "_thread",
    "thread",
    "concurrent",
    "tempfile",
    "fileinput",
    "io",
    "_io",
    "mmap",
    "glob",
    "bdb",
    "pdb",
    "cProfile",
    "profile",
    "trace",
    "timeit",
    "doctest",
    "unittest",
    "pydoc",
    "pydoc_data",
    "idlelib",
    "lib2to3",
    "test",
    "venv",
    "ensurepip",
    "distutils",
    "setuptools",
    "pkg_resources",
    "pip",
    "_pyrepl",
    "platform",
    "site",
    "sitecustomize",
    "sysconfig",
    "atexit",
    "logging",
    "sqlite3",
    "dbm",
    "readline",
    "rlcompleter",
    "cmd",
    "cgi",
    "wsgiref",
    "xml.sax.expatreader",
    "turtle",
    "tkinter",
    "paramiko",
    "fabric",
    "invoke",
    "pexpect",
    "plumbum",
    "sh",
    "psutil",
    "win32api",
    "win32com",
    "winreg",
    "_winreg",
    "msvcrt",
    "_winapi",
    "IPython",
    "jupyter",
    "nbformat",
    "jinja2",
    "mako",
    "yaml",
    "numexpr",
    "torch.hub",
    "torch.jit",
    "torch.package",
    "torch.utils.cpp_extension",
    "torch.utils.model_zoo",
    "torch.utils.bottleneck",
    "torch.utils.collect_env",
    "torch.utils._config_module",
    "torch._inductor",
    "torch._dynamo",
    "torch._C",
    "torch.distributed",
    "torch.multiprocessing",
    "torch.fx",
    "torch.onnx",
    "torch.testing",
    "torch.compile",
    "numpy.testing",
    "numpy.f2py",
    "numpy.distutils",
    "numpy.ctypeslib",
    "numpy.lib.npyio",
    "transformers.utils.hub",
    "transformers.dynamic_module_utils",
    "huggingface_hub",
    "tensorflow",
    "keras",
};

/* Single names of modules that also hold harmless ones. */
static const char *const weapon_names[] = {
    ("builtins: eval exec execfile compile open __import__ getattr setattr delattr globals locals "
     "vars dir input raw_input "
     "breakpoint apply memoryview type super classmethod staticmethod property map filter reduce "
     "help exit quit __build_class__ "
     "__loader__ __dict__"),
    ("__builtin__: eval exec execfile compile open file __import__ getattr setattr delattr globals "
     "locals vars dir input "
     "raw_input breakpoint apply reload type super map filter reduce help exit quit"),
    "__builtins__: eval exec compile open __import__ getattr setattr delattr globals locals",
    "operator: attrgetter methodcaller itemgetter call _attrgetter _methodcaller",
    "_operator: attrgetter methodcaller itemgetter call",
    "functools: partial reduce partialmethod singledispatch",
    "_functools: partial reduce",
    "itertools: starmap accumulate",
    "copyreg: add_extension remove_extension constructor pickle __newobj__ __newobj_ex__",
    "codecs: open",
    "_codecs: lookup register",
    "torch: load save hub compile classes ops _dynamo _C jit import_ir_module",
    "torch.serialization: load _load save _legacy_load",
    "torch.storage: _load_from_bytes",
    "torch._utils: _import_dotted_name",
    ("numpy: load save loadtxt genfromtxt fromfile savetxt memmap DataSource test vectorize "
     "frompyfunc apply_along_axis"),
    "numpy.core.multiarray: fromfile",
    "joblib: load dump Parallel delayed",
    "joblib.numpy_pickle: load",
    "pathlib: Path.write_text Path.write_bytes Path.unlink Path.open",
    "sklearn.utils: _joblib",
    "pandas: read_pickle eval read_csv",
    "pandas.io.pickle: read_pickle",
    "sympy: sympify lambdify",
};

/* A dotted name walks attributes: one of these on the way leaves data behind. */
static const char *const weapon_parts[] = {
    "os",
    "sys",
    "subprocess",
    "builtins",
    "__builtins__",
    "eval",
    "exec",
    "execfile",
    "compile",
    "system",
    "popen",
    "spawn",
    "__import__",
    "import_module",
    "__globals__",
    "__code__",
    "__dict__",
    "__class__",
    "__subclasses__",
    "__mro__",
    "__base__",
    "__bases__",
    "__getattribute__",
    "__getattr__",
    "__setattr__",
    "__reduce__",
    "__reduce_ex__",
    "__init_subclass__",
    "__call__",
    "__loader__",
    "__spec__",
    "importlib",
    "runpy",
    "ctypes",
    "socket",
    "shutil",
    "pickle",
    "marshal",
    "io",
    "open",
    "getattr",
    "setattr",
    "globals",
    "locals",
    "load_library",
    "runstring",
    "check_output",
    "check_call",
    "Popen",
};

const char *codec_verdict_name(codec_verdict v)
{
    static const char *const names[] = {
        [CODEC_SAFE] = "safe", [CODEC_UNKNOWN] = "unknown", [CODEC_DANGEROUS] = "dangerous"};
    return names[v];
}

/* Is the pair in a table of "module: name name ..." rows? */
static bool is_listed(const char *const *rows, size_t n, snug_slice module, snug_slice name)
{
    for (size_t i = 0; i < n; i++) {
        snug_slice row = snug_str(rows[i]), word, rest;
        size_t     colon = snug_index(row, ':');
        if (!snug_eq(snug_sub(row, 0, colon), module)) continue;
        rest = snug_sub(row, colon + 2, SIZE_MAX);
        while (snug_split(&rest, ' ', &word)) {
            if (snug_eq(word, name)) return true;
        }
    }
    return false;
}

static bool is_weapon_module(snug_slice module)
{
    for (size_t i = 0; i < sizeof weapons / sizeof *weapons; i++) {
        size_t n = strlen(weapons[i]);
        if (snug_starts_with(module, weapons[i]) && (module.len == n || module.ptr[n] == '.'))
            return true;
    }
    return false;
}

static bool has_weapon_part(snug_slice name)
{
    snug_slice part;
    while (snug_split(&name, '.', &part)) {
        for (size_t i = 0; i < sizeof weapon_parts / sizeof *weapon_parts; i++) {
            if (snug_eq_str(part, weapon_parts[i])) return true;
        }
    }
    return false;
}

codec_verdict codec_judge_import(snug_slice module, snug_slice name)
{
    snug_slice root = snug_sub(name, 0, snug_index(name, '.'));
    if (is_listed(safe, sizeof safe / sizeof *safe, module, name)) return CODEC_SAFE;
    if (is_weapon_module(module) || has_weapon_part(name)) return CODEC_DANGEROUS;
    if (is_listed(weapon_names, sizeof weapon_names / sizeof *weapon_names, module, name) ||
        is_listed(weapon_names, sizeof weapon_names / sizeof *weapon_names, module, root))
        return CODEC_DANGEROUS;
    return CODEC_UNKNOWN;
}
