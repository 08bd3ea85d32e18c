"""Make hostile/task_cache/, hostile/model/ and hostile/checkpoint/: fake files that must be refused.

    python tests/data/make_hostile.py

The result always has the same bytes. The pickles are assembled opcode by opcode, as no pickler would
write them.
"""

from __future__ import annotations

import json
import struct
import zlib
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


def floats(*shape: int, value: float = 0.5) -> tuple[str, list[int], bytes]:
    n = 1
    for length in shape:
        n *= length
    return "F32", list(shape), struct.pack(f"<{n}f", *[value] * n)


def whole(*values: int) -> tuple[str, list[int], bytes]:
    return "I64", [len(values)], struct.pack(f"<{len(values)}q", *values)


# An autoencoder of three items, with an embedding and a bottleneck of one number each.
BATCHNORMS = [f"batchnorm{n}.{part}" for n in (1, 2) for part in ("weight", "bias", "running_mean", "running_var")]
SOUND = {
    "embedding.weight": floats(3, 1),
    **dict.fromkeys(BATCHNORMS, floats(1)),
    "bottleneck.weight": floats(1, 1),
    "bottleneck.bias": floats(1),
    "output.weight": floats(3, 1),
    "output.bias": floats(3),
    "item_ids": whole(10, 25, 300),
}
METADATA = {"version": 1, "model": "AutoEncoder", "params": {}, "about": {}}


def with_header(header: object, data: bytes = b"") -> bytes:
    """A safetensors file of this header, which is JSON, or bytes as they are."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def safetensors(arrays: dict | None = None, metadata: dict | str | None = None, tampered: dict | None = None) -> bytes:
    """The sound model with some arrays and some of its metadata changed (None: left out), or other text for metadata.

    `tampered`: what the header says of an array, whatever is there.
    """
    if not isinstance(metadata, str):
        metadata = json.dumps({k: v for k, v in {**METADATA, **(metadata or {})}.items() if v is not None})
    header: dict = {"__metadata__": {"autoenc": metadata}}
    data = b""
    for name, array in {**SOUND, **(arrays or {})}.items():
        if array is not None:
            dtype, shape, raw = array
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
            header[name].update((tampered or {}).get(name, {}))
            data += raw
    return with_header(header, data)


def models() -> dict[str, bytes]:
    sound = safetensors()
    touch = b"cposix\nsystem\n(S'touch " + RUNS_CODE + b"'\ntR."
    nested = "[" * 100_000
    return {
        # no safetensors file
        "empty": b"",
        "text": b"output.weight 0.5\n",
        "pickle": touch,
        "pickle_in_its_place": struct.pack("<Q", len(touch)) + touch,
        "npy": npy(touch),
        "cut_off_in_the_length": sound[:5],
        "cut_off_in_the_header": sound[:100],
        "cut_off_in_the_arrays": sound[:-4],
        "trailing": sound + b"PK\3\4" * 8,
        "header_of_50_gb": struct.pack("<Q", 50_000_000_000) + sound[8:],
        "header_of_2_to_the_63": struct.pack("<Q", 1 << 63) + sound[8:],
        "header_beyond_the_file": struct.pack("<Q", len(sound)) + sound[8:],
        "header_of_nothing": with_header(b""),
        "header_of_a_list": with_header([]),
        "no_utf8": with_header(b'{"\xff\xfe": 1}'),
        "deep": with_header(nested.encode()),
        # headers that lie
        "offsets_beyond_the_file": safetensors(tampered={"item_ids": {"data_offsets": [80, 1 << 40]}}),
        "offsets_backwards": safetensors(tampered={"output.bias": {"data_offsets": [80, 68]}}),
        "offsets_negative": safetensors(tampered={"embedding.weight": {"data_offsets": [-12, 0]}}),
        "offsets_overlapping": safetensors(tampered={"output.bias": {"data_offsets": [0, 12]}}),
        "shape_too_long": safetensors(tampered={"output.bias": {"shape": [1 << 40]}}),
        "shape_overflowing": safetensors(tampered={"output.bias": {"shape": [1 << 62, 1 << 62]}}),
        "shape_negative": safetensors(tampered={"output.bias": {"shape": [-3]}}),
        "dtype_unknown": safetensors(tampered={"output.bias": {"dtype": "object"}}),
        # no model of ours
        "foreign": with_header({"__metadata__": {"format": "pt"}}),
        "no_metadata": with_header({}),
        "later_version": safetensors(metadata={"version": 3}),
        "metadata_of_a_list": safetensors(metadata="[]"),
        "metadata_of_no_json": safetensors(metadata="{'version': 1}"),
        "deep_metadata": safetensors(metadata=nested),
        "deep_params": safetensors(metadata='{"version": 1, "params": ' + nested),
        "no_params": safetensors(metadata={"params": None}),
        "params_that_nest": safetensors(metadata={"params": {"lr": [0.1]}}),
        "params_that_are_not_known": safetensors(metadata={"params": {"callback": "os.system"}}),
        "model_of_a_number": safetensors(metadata={"model": 1}),
        "model_that_is_a_module": safetensors(metadata={"model": "os.system"}),
        # arrays that no model has
        "half_floats": safetensors({"output.weight": ("F16", [3, 1], bytes(6))}),
        "brain_floats": safetensors({"output.weight": ("BF16", [3, 1], bytes(6))}),
        "whole_weights": safetensors({"output.weight": ("I64", [3, 1], bytes(24))}),
        "lacks_the_embedding": safetensors({"embedding.weight": None}),
        "lacks_a_bias": safetensors({"output.bias": None}),
        "wrong_shape": safetensors({"bottleneck.bias": floats(2)}),
        "nan": safetensors({"output.bias": floats(3, value=float("nan"))}),
        "infinite": safetensors({"embedding.weight": floats(3, 1, value=float("inf"))}),
        "no_items": safetensors(
            {"embedding.weight": floats(0, 1), "output.weight": floats(0, 1), "output.bias": floats(0)}
        ),
        # catalogues that do not hold together
        "ids_too_few": safetensors({"item_ids": whole(10, 25)}),
        "ids_descending": safetensors({"item_ids": whole(300, 25, 10)}),
        "ids_negative": safetensors({"item_ids": whole(-10, 25, 300)}),
        "ids_not_whole": safetensors({"item_ids": floats(3)}),
        "titles_without_ends": safetensors({"titles.text": ("U8", [3], b"abc")}),
        "titles_beyond_their_text": safetensors(
            {"titles.text": ("U8", [3], b"abc"), "titles.ends": whole(1, 2, 1 << 40)}
        ),
        "titles_backwards": safetensors({"titles.text": ("U8", [3], b"abc"), "titles.ends": whole(2, 1, 3)}),
        "titles_no_utf8": safetensors({"titles.text": ("U8", [3], b"a\xffc"), "titles.ends": whole(1, 2, 3)}),
    }


def checkpoints() -> dict[str, bytes]:
    """Manifests. Those that agree with a training in all but one thing are made by test_checkpoint.py."""
    shard = {"file": "step.safetensors", "bytes": 8, "crc32": 0}
    manifest = {"format": "autoenc checkpoint", "version": 1, "shards": [shard]}

    def changed(**changes) -> bytes:
        content = {**manifest, **changes}
        return json.dumps({**content, "crc32": zlib.crc32(json.dumps(content).encode())}).encode()

    return {
        "empty": b"",
        "no_json": b"{'format': 'autoenc checkpoint'}",
        "no_utf8": b'{"format": "\xff"}',
        "pickle": b"cposix\nsystem\n(S'touch " + RUNS_CODE + b"'\ntR.",
        "list": b"[]",
        "number": b"1e999",
        "deep": b"[" * 100_000,
        "foreign": changed(format="pt"),
        "later_version": changed(version=2),
        "no_checksum": json.dumps(manifest).encode(),
        "another_checksum": json.dumps({**manifest, "crc32": 1}).encode(),
        "no_shards": changed(shards=[]),
        "shards_by_name": changed(shards="step.safetensors"),
        "shard_without_a_name": changed(shards=[{"bytes": 8}]),
        "shard_of_a_number": changed(shards=[{**shard, "file": 7}]),
        "traversal": changed(shards=[{**shard, "file": "../../outside.safetensors"}]),
        "of_no_training": changed(),
        "of_a_deep_network": changed(network=json.loads("[" * 500 + "]" * 500)),
    }


if __name__ == "__main__":
    for folder, ending, files in (
        ("task_cache", ".npy", hostile()),
        ("model", ".safetensors", models()),
        ("checkpoint", ".json", checkpoints()),
    ):
        (HERE / "hostile" / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (HERE / "hostile" / folder / f"{name}{ending}").write_bytes(content)
