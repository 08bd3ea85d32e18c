"""Make hostile/task_cache/: files that pretend to be half of the task's cache and must be refused.

    python tests/data/make_hostile.py

The same bytes whenever it is made. The pickles are put together opcode by opcode, since no pickler
would write them.
"""

from __future__ import annotations

import struct
from pathlib import Path

HERE = Path(__file__).parent

RUNS_CODE = b"code-has-run"  # the file that appears in the working folder if one of these is run


def npy(pickled: bytes, shape: str = "(2,)", descr: str = "|O", version: int = 1) -> bytes:
    """A file as np.save writes it."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return (
        b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(header)) + header + pickled
    )


def array(elements: bytes, n: int = 2, dtype_state: bytes = b"K?") -> bytes:
    """The pickle of an object array of shape (n,) that holds what the opcodes of `elements` build."""
    return (
        b"\x80\x04cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
        b"(K\x01" + number(n) + b"\x85cnumpy\ndtype\n" + text("O8") + b"\x89\x88\x87R"
        b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff" + dtype_state + b"tb"
        b"\x89" + elements + b"tb."
    )


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def built_list(*elements: bytes) -> bytes:
    return b"](" + b"".join(elements) + b"e"


def numbers(*values: int) -> bytes:
    return built_list(*map(number, values))


def with_row(row: bytes) -> bytes:
    """A cache of two users, of which the second has `row` for a list."""
    return npy(array(built_list(numbers(1, 2), row)))


def with_item(item: bytes) -> bytes:
    return with_row(built_list(item))


def call(module: str, name: str, *arguments: bytes) -> bytes:
    return text(module) + text(name) + b"\x93(" + b"".join(arguments) + b"tR"


def numpy_scalar(dtype: str, data: bytes) -> bytes:
    described = b"cnumpy\ndtype\n" + text(dtype) + b"\x89\x88\x87R"
    return b"cnumpy.core.multiarray\nscalar\n" + described + b"C" + bytes([len(data)]) + data + b"\x86R"


def hostile() -> dict[str, bytes]:
    good = npy(array(built_list(numbers(1, 2), numbers(3))))
    touch = text("touch " + RUNS_CODE.decode())
    python = text(f"open({RUNS_CODE.decode()!r}, 'w')")
    doubled = numbers(1) + b"\x94"  # under memo index 0, and then a list of twice the one before, 64 times over
    doubled = built_list(doubled, *(built_list(b"h%c" % k, b"h%c" % k) + b"\x94" for k in range(64)))
    return {
        # code
        "opens_a_file": with_row(call("io", "open", text(RUNS_CODE.decode()), text("w"))),
        "system": with_row(call("posix", "system", touch)),
        "system_windows": with_row(call("nt", "system", touch)),
        "system_protocol_0": npy(b"cposix\nsystem\n(S'touch " + RUNS_CODE + b"'\ntR."),
        "system_inst": npy(b"(" + touch + b"iposix\nsystem\n."),
        "subprocess": with_row(call("subprocess", "Popen", built_list(text("touch"), text(RUNS_CODE.decode())))),
        "eval": with_row(call("builtins", "eval", python)),
        "eval_python_2": with_row(b"c__builtin__\neval\n" + python + b"\x85R"),
        "getattr": with_row(call("builtins", "getattr", b"cnumpy\nndarray\n", text("tofile"))),
        "numpy_runstring": with_row(call("numpy.testing._private.utils", "runstring", python, b"N")),
        "numpy_load": with_row(call("numpy", "load", text("other.npy"), b"N", b"\x88")),
        "numpy_dotted": with_row(text("numpy") + text("ndarray.tofile") + b"\x93"),
        "numpy_fromfile": with_row(call("numpy.core.multiarray", "fromfile", text("/etc/passwd"))),
        "codecs_lookup": with_row(call("_codecs", "lookup", text("zip"))),
        "new_line_in_a_name": with_row(call("posix\n", "sys\ntem", touch)),
        "new_object": with_row(text("pathlib") + text("Path") + b"\x93)\x81"),
        "extension": with_row(b"\x82\x01"),
        "persistent_id": with_row(b"K\x01Q"),
        # tampering with NumPy
        "pointers": npy(array(b"C\x10" + b"A" * 16, dtype_state=b"K\x00")),
        "state_of_a_list": with_row(b"]" + built_list(number(1)) + b"b"),
        "raw_array": with_row(
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
            b"(K\x01K\x01\x85cnumpy\ndtype\n" + text("i8") + b"\x89\x88\x87R\x89C\x08" + bytes(8) + b"tb"
        ),
        "huge_array": with_row(b"cnumpy\nndarray\n\x8a\x06" + (1 << 40).to_bytes(6, "little") + b"\x85R"),
        # memory
        "memo_bomb": with_row(numbers(1) + b"r\xff\xff\xff\x7f"),
        "shared_list": npy(array(built_list(numbers(*range(1, 257)) + b"\x94", *[b"h\x00"] * 199), n=200), "(200,)"),
        "doubled_list": with_row(doubled),
        "long_string": with_row(b"X\xff\xff\xff\xff"),
        "long_frame": npy(b"\x80\x04\x95" + b"\xff" * 8 + b"]."),
        "bytearray": with_row(b"\x96" + struct.pack("<Q", 1 << 40)),
        "huge_integer": with_row(b"\x8b" + struct.pack("<i", 1 << 30)),
        "long_header": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{",
        "huge_header_shape": npy(array(built_list(numbers(1), numbers(2))), "(1000000000000,)"),
        # no cache
        "empty": b"",
        "text": b"1 2 3\n4 5 6\n",
        "only_magic": b"\x93NUMPY\x01\x00",
        "header_code": npy(b"", "__import__('os').system('touch code-has-run')"),
        "version_9": npy(array(built_list()), version=9),
        "padded": npy(struct.pack("<6q", 1, 2, 3, 4, 5, 0), "(2, 3)", "<i8"),
        "two_dimensional": npy(array(numbers(1, 2, 3, 4), n=4), "(2, 2)"),
        "structured": npy(b"", "(2,)", "|V16"),
        "no_pickle": npy(b""),
        "cut_off": good[:-12],
        "cut_off_in_a_number": good[: good.index(number(3)) + 3],
        "bare_list": npy(b"\x80\x04" + built_list(numbers(1), numbers(2)) + b"."),
        "underflow": npy(b"\x80\x04R."),
        "unknown_opcode": npy(b"\x80\x04\xfe."),
        "dictionary": with_row(b"}"),
        "one_user_missing": npy(array(built_list(numbers(1)))),
        "one_user_more": npy(array(built_list(numbers(1), numbers(2)), n=3), "(3,)"),
        # no lists of ids
        "tuple": with_row(number(1) + b"\x85"),
        "number": with_row(number(1)),
        "none": with_row(b"N"),
        "string": with_row(text("1 2 3")),
        "list_in_a_list": with_item(numbers(1)),
        "float": with_item(b"G" + struct.pack(">d", 1.5)),
        "nan": with_item(b"G" + struct.pack(">d", float("nan"))),
        "boolean": with_item(b"\x88"),
        "string_id": with_item(text("7")),
        "numpy_float": with_item(numpy_scalar("f8", struct.pack("<d", 1.0))),
        "numpy_negative": with_item(numpy_scalar("i8", struct.pack("<q", -7))),
        "zero": with_item(number(0)),
        "negative": with_item(number(-1)),
        "billion_wide": with_item(number(10**9)),
        "beyond_64_bits": with_item(b"\x8a\x09" + (1 << 64).to_bytes(9, "little")),
    }


if __name__ == "__main__":
    folder = HERE / "hostile" / "task_cache"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in hostile().items():
        (folder / f"{name}.npy").write_bytes(content)
