"""c = a @ b, or c += a @ b, without packing: the kernels' own matmul.

A processor that multiplies and adds two vectors of 16 numbers in each cycle, but loads only two
vectors from its first-level cache, has to use each number that it loads several times. So a block
of c, ROWS rows of two vectors, is held in registers over the whole sum:

    c[i + r, j + v] = sum over k of  a[i + r, k] * b[k, j + v],      r = 0 .. 11,  v = two vectors

For each k two vectors of b are loaded and twelve numbers of a, each of which is broadcast to a
vector: 14 loads for 24 multiplications and additions. 24 sums, 2 vectors of b and one of a are 27
of AVX-512's 32 registers; with 16 registers the block has six rows. Twelve rows are also enough
for the sums not to wait for each other: a sum takes four cycles, and two are begun in each.

BLAS copies a and b into the order that its own block reads, again for each call. Here they are
read where they lie: rows of b are contiguous (whoever calls turns them once, see `transposed`),
and of a a number at a time is read, so that it may as well lie transposed. What comes next in
steps of a whole row no processor foresees well, so it is fetched AHEAD rows before its turn.

c's last rows are made in blocks of four, and what is left, fewer than four rows and fewer columns
than a vector, number by number. Each number of c is summed in the order of k, whatever
block it is in, so its bits don't depend on where a tile begins.

The block is written in LLVM's own language, for numba can neither hold a block in registers nor
name a vector's length. Everything else is plain numba. A product and a sum carry the flag
"contract": they become one instruction where the processor has it.

Source: Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication"; Van Zee
and van de Geijn 2015, "BLIS".
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from autoenc.kernels.jit import kernel


def host_has(feature):
    """Whether the processor that numba compiles for has it; numba keeps what it compiled by processor too."""
    if numba.config.CPU_FEATURES is not None:
        return f"+{feature}" in numba.config.CPU_FEATURES
    return binding.get_host_cpu_features().get(feature, False)


VECTOR_BYTES = 64 if host_has("avx512f") else 32 if host_has("avx") else 16
ROWS = 12 if host_has("avx512f") or host_has("neon") else 6
FEW = 4  # rows of the smaller block
AHEAD = 8
SQUARE = 16  # numbers each way that are transposed together: a cache line's

INT, INT32, BOOL = ir.IntType(64), ir.IntType(32), ir.IntType(1)
NOTHING, BYTES = ir.VoidType(), ir.IntType(8).as_pointer()
FUSE = ("contract",)


def block_kernel(rows, vectors):
    """A function (a, b, c, i, j, add): c[i : i + rows, j : j + vectors * lanes] = or += its block of a @ b."""
    if numba.config.DISABLE_JIT:

        def block(a, b, c, i, j, add):
            columns = slice(j, j + vectors * VECTOR_BYTES // b.itemsize)
            product = np.dot(a[i : i + rows], b[:, columns])
            c[i : i + rows, columns] = c[i : i + rows, columns] + product if add else product

        return block

    @intrinsic
    def block(typing_context, a, b, c, i, j, add):
        def generate(context, builder, signature, args):
            *matrices, i, j, add = args
            a_, b_, c_ = (context.make_array(t)(context, builder, m) for t, m in zip((a, b, c), matrices))
            number = context.get_value_type(a.dtype)

            def stride(matrix, axis):
                in_bytes = builder.extract_value(matrix.strides, axis)
                return builder.sdiv(in_bytes, INT(a.dtype.bitwidth // 8))

            def at(matrix, row, column):
                offset = builder.add(builder.mul(row, stride(matrix, 0)), column)
                return builder.gep(matrix.data, [offset], source_etype=number)

            function = block_function(builder.module, number, a.dtype.bitwidth, rows, vectors, a.layout)
            a_at, b_at, c_at = at(a_, i, INT(0)), at(b_, INT(0), j), at(c_, i, j)
            depth = builder.extract_value(b_.shape, 0)
            a_strides, b_stride, c_stride = (stride(a_, 0), stride(a_, 1)), stride(b_, 0), stride(c_, 0)
            builder.call(function, [a_at, *a_strides, b_at, b_stride, c_at, c_stride, depth, add])
            return context.get_dummy_value()

        return types.void(a, b, c, types.intp, types.intp, types.boolean), generate

    return block


def block_function(module, number, bits, rows, vectors, a_layout):
    """The LLVM function (a, a_row, a_column, b, b_row, c, c_row, depth, add) of a block, put into `module` once.

    Pointers to the block's first numbers, and by how many numbers a row or column lies after the
    one before. `number` is LLVM's float or double, of so many bits.
    """
    name = f"autoenc.block.{bits}.{rows}.{vectors}.{a_layout}"
    if name not in module.globals:
        BlockFunction(module, name, number, bits, rows, vectors, a_layout).define()
    return module.globals[name]


class BlockFunction:
    """The function that `block_function` puts into a module: declared by the constructor, then defined."""

    def __init__(self, module, name, number, bits, rows, vectors, a_layout):
        self.number, self.bytes = number, bits // 8
        self.rows, self.vectors, self.a_layout = rows, vectors, a_layout
        self.lanes = VECTOR_BYTES // self.bytes
        self.vector, pointer = ir.VectorType(number, self.lanes), number.as_pointer()
        arguments = [pointer, INT, INT, pointer, INT, pointer, INT, INT, BOOL]
        self.function = ir.Function(module, ir.FunctionType(NOTHING, arguments), name)
        self.function.linkage = "linkonce_odr"
        self.function.attributes.add("noinline")  # many call it: one copy is compiled
        self.a, a_row, a_column, self.b, self.b_row, self.c, self.c_row, self.depth, self.add = self.function.args
        self.a_row = INT(1) if a_layout == "F" else a_row
        self.a_column = INT(1) if a_layout == "C" else a_column
        prefetch = ir.FunctionType(NOTHING, [BYTES, *[INT32] * 3])
        self.prefetch = module.declare_intrinsic("llvm.prefetch", [BYTES], prefetch)
        self.builder = ir.IRBuilder()

    def define(self):
        """Begin each sum at 0, or at c where `add` is True, go through k, and store the sums in c."""
        start, load, loop, end = map(self.function.append_basic_block, ("start", "load", "loop", "end"))
        builder = self.builder
        builder.position_at_end(start)
        builder.cbranch(self.add, load, loop)

        builder.position_at_end(load)
        before = [self.load_vector(address) for address in self.places_in_c()]
        builder.branch(loop)

        builder.position_at_end(loop)
        k, sums = builder.phi(INT), [builder.phi(self.vector) for _ in before]
        self.fetch_ahead(k)
        new_sums = self.sums_with_products(k, sums)
        next_k = builder.add(k, INT(1))
        builder.cbranch(builder.icmp_signed("<", next_k, self.depth), loop, end)
        zeros = [self.vector([0.0] * self.lanes)] * len(sums)
        for values, block in (([INT(0), *zeros], start), ([INT(0), *before], load), ([next_k, *new_sums], loop)):
            for variable, value in zip([k, *sums], values):
                variable.add_incoming(value, block)

        builder.position_at_end(end)
        for total, address in zip(new_sums, self.places_in_c()):
            builder.store(total, address, align=self.bytes)
        builder.ret_void()

    def fetch_ahead(self, k):
        """Ask the memory for what is multiplied AHEAD rows later."""
        ahead = self.builder.add(k, INT(AHEAD))
        if self.a_layout != "C":
            for r in {0, self.rows - 1}:
                self.fetch(self.at(self.a, INT(r), self.a_row, ahead, self.a_column))
        for v in range(self.vectors):
            self.fetch(self.vector_at(self.b, ahead, self.b_row, v))

    def sums_with_products(self, k, sums):
        """Each of the sums with its a[i + r, k] * b[k, j + v] added, row by row."""
        builder, everywhere = self.builder, ir.VectorType(INT32, self.lanes)([0] * self.lanes)
        b_vectors = [self.load_vector(self.vector_at(self.b, k, self.b_row, v)) for v in range(self.vectors)]
        new_sums = []
        for r in range(self.rows):
            scalar = builder.load(self.at(self.a, INT(r), self.a_row, k, self.a_column), typ=self.number)
            first = builder.insert_element(self.vector(ir.Undefined), scalar, INT32(0))
            broadcast = builder.shuffle_vector(first, self.vector(ir.Undefined), everywhere)
            for v in range(self.vectors):
                product = builder.fmul(broadcast, b_vectors[v], flags=FUSE)
                new_sums.append(builder.fadd(sums[r * self.vectors + v], product, flags=FUSE))
        return new_sums

    def places_in_c(self):
        """The addresses of the block's vectors, row by row."""
        for r in range(self.rows):
            for v in range(self.vectors):
                yield self.vector_at(self.c, INT(r), self.c_row, v)

    def at(self, base, row, row_stride, column, column_stride):
        builder = self.builder
        offset = builder.add(builder.mul(row, row_stride), builder.mul(column, column_stride))
        return builder.gep(base, [offset], source_etype=self.number)

    def vector_at(self, base, row, row_stride, v):
        address = self.at(base, row, row_stride, INT(v), INT(self.lanes))
        return self.builder.bitcast(address, self.vector.as_pointer())

    def load_vector(self, address):
        return self.builder.load(address, typ=self.vector, align=self.bytes)

    def fetch(self, address):
        for_reading, keep, data = INT32(0), INT32(3), INT32(1)
        self.builder.call(self.prefetch, [self.builder.bitcast(address, BYTES), for_reading, keep, data])


block_of_rows, narrow_block_of_rows = block_kernel(ROWS, 2), block_kernel(ROWS, 1)
block_of_few, narrow_block_of_few = block_kernel(FEW, 2), block_kernel(FEW, 1)


@kernel
def matmul(a, b, c, add):
    """c[:] = a @ b, or where `add` is True c += a @ b, on one thread.

    a (m, k) may have any strides, and is read fastest where its rows or its columns are contiguous;
    the rows of b (k, n) and c (m, n) must be, and k at least 1.
    """
    lanes = VECTOR_BYTES // b.itemsize
    m, n = c.shape
    rows = m // ROWS * ROWS
    few = rows + (m - rows) // FEW * FEW
    pairs, vectors = n // (2 * lanes) * (2 * lanes), n // lanes * lanes
    for i in range(0, rows, ROWS):
        for j in range(0, pairs, 2 * lanes):
            block_of_rows(a, b, c, i, j, add)
        if pairs < vectors:
            narrow_block_of_rows(a, b, c, i, pairs, add)
    for i in range(rows, few, FEW):
        for j in range(0, pairs, 2 * lanes):
            block_of_few(a, b, c, i, j, add)
        if pairs < vectors:
            narrow_block_of_few(a, b, c, i, pairs, add)
    for i in range(m):
        first = vectors if i < few else 0
        if not add:
            for j in range(first, n):
                c[i, j] = 0
        for k in range(len(b) if first < n else 0):
            for j in range(first, n):
                c[i, j] += a[i, k] * b[k, j]


@kernel
def transposed(x):
    """A copy of x.T."""
    copy = np.empty((x.shape[1], len(x)), x.dtype)
    transpose(x, copy)
    return copy


@kernel
def transpose(x, output):
    """output[:] = x.T, in the first columns of output."""
    rows, columns = x.shape
    for i in range(0, rows, SQUARE):
        for j in range(0, columns, SQUARE):
            for jj in range(j, min(columns, j + SQUARE)):
                for ii in range(i, min(rows, i + SQUARE)):
                    output[jj, ii] = x[ii, jj]
