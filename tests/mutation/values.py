"""Faults in the stream, the samplers and the kernels."""

from tests.mutation.mutant import Mutant

GOLDEN = "tests/golden/test_golden.py"
SAMPLES = "tests/conformance/test_samples.py"
PATTERNS = "tests/conformance/test_patterns.py"
VALUES = "tests/unit/test_init_values.py"
RECORD = "tests/unit/test_record.py"

MUTANTS = [
    Mutant(
        "a Philox multiplier (oracle)",
        "tritoninit/stream.py",
        "PHILOX_M0 = 0xD2511F53",
        "PHILOX_M0 = 0xD2511F55",
        GOLDEN,
    ),
    Mutant(
        "a Philox key increment (CPU)",
        "tritoninit/philox.py",
        "W1 = np.uint64(0xBB67AE85)",
        "W1 = np.uint64(0xBB67AE87)",
        GOLDEN,
    ),
    Mutant(
        "nine Philox rounds (Triton)",
        "kernels/philox.py",
        "ROUNDS = tl.constexpr(10)",
        "ROUNDS = tl.constexpr(9)",
        SAMPLES,
    ),
    Mutant(
        "the key's halves swapped (CPU)",
        "tritoninit/philox.py",
        "k0, k1 = seed & LOW, seed >> HALF",
        "k1, k0 = seed & LOW, seed >> HALF",
        GOLDEN,
    ),
    Mutant(
        "the order of the lanes (Triton)",
        "kernels/tiles.py",
        "tl.join(tl.join(a0, a2), tl.join(a1, a3))",
        "tl.join(tl.join(a0, a1), tl.join(a2, a3))",
        SAMPLES,
    ),
    Mutant(
        "the order of the blocks of a pair (Triton, 16 bits)",
        "kernels/tiles.py",
        "even = tl.join(tl.join(a0, b0), tl.join(a2, b2))",
        "even = tl.join(tl.join(b0, a0), tl.join(a2, b2))",
        SAMPLES,
    ),
    Mutant(
        "no carry into the counter's high half (CPU)",
        "tritoninit/philox.py",
        "return rounds(counter & LOW, counter >> HALF, zero, zero, seed)",
        "return rounds(counter & LOW, zero, zero, zero, seed)",
        GOLDEN,
    ),
    Mutant(
        "no carry into the counter's high half (Triton)",
        "kernels/tiles.py",
        "high = (counters >> 32).to(tl.uint32)",
        "high = (counter >> 32).to(tl.uint32)",
        SAMPLES,
    ),
    Mutant(
        "one element too many (Triton, last tile)",
        "kernels/fill.py",
        "inside = (lanes >= -at) & (lanes < length - at)",
        "inside = (lanes >= -at) & (lanes <= length - at)",
        SAMPLES,
    ),
    Mutant(
        "a partial tile stored as a full one (Triton)",
        "kernels/fill.py",
        "elif (at >= 0) & (at + TILE <= length):",
        "elif (at >= 0) & (at + TILE <= length + 4):",
        SAMPLES,
    ),
    Mutant(
        "an entry of a launch's table too early",
        "kernels/table.py",
        "begun = tl.load(tiles + middle) <= tile",
        "begun = tl.load(tiles + middle) < tile",
        "tests/conformance/test_table.py",
    ),
    Mutant(
        "the first element's place within its block (Triton)",
        "kernels/fill.py",
        "(start & (LANES - 1))",
        "(start & (LANES - 2))",
        SAMPLES,
    ),
    Mutant(
        "the exact quotient of the rows (Triton)",
        "kernels/rows.py",
        "return (((index * 2).to(tl.uint64) * inverse) >> 32).to(tl.uint32) >> shift",
        "return (((index * 2).to(tl.uint64) * (inverse - 1)) >> 32).to(tl.uint32) >> shift",
        SAMPLES,
    ),
    Mutant(
        "bfloat16 rounded half up (numpy)",
        "tritoninit/backends/numpy_.py",
        "(bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)))",
        "(bits + np.uint32(0x8000))",
        f"{SAMPLES} tests/unit/test_backends.py",
    ),
    Mutant(
        "a value rounded twice on its way to float16 (numpy)",
        "tritoninit/backends/numpy_.py",
        "return values.astype(np.float16).view(np.uint16)",
        "return (values.view(np.uint32) & np.uint32(0xFFFFF000)).view(np.float32)"
        ".astype(np.float16).view(np.uint16)",
        SAMPLES,
    ),
    Mutant(
        "uniform_ may reach its upper bound",
        "tritoninit/sampler.py",
        "return bool(fma(top, np.uint32(bits).view(np.float32), low) < limit)",
        "return bool(fma(top, np.uint32(bits).view(np.float32), low) <= limit)",
        "tests/unit/test_uniform_bounds.py",
    ),
    Mutant(
        "float64 uniform_ may reach its upper bound",
        "tritoninit/sampler.py",
        "return (2.0**53 - 1) * float(np.uint64(bits).view(np.float64)) + a < b",
        "return (2.0**53 - 1) * float(np.uint64(bits).view(np.float64)) + a <= b",
        "tests/unit/test_uniform_bounds.py tests/unit/test_sampler.py",
    ),
    Mutant(
        "a missing negation: the left tail on the right",
        "tritoninit/sampler.py",
        "direction, origin = (-1, recipe.b) if below else (1, recipe.a)",
        "direction, origin = (1, recipe.b) if below else (1, recipe.a)",
        f"{GOLDEN} tests/statistics/test_distributions.py",
    ),
    Mutant(
        "a bound that bfloat16 rounds out of the interval",
        "tritoninit/sampler.py",
        "    if high > b:\n        high = _next(high, -math.inf, dtype)\n",
        "",
        "tests/unit/test_sampler.py",
    ),
    Mutant(
        "the mean of trunc_normal_ forgotten",
        "tritoninit/sampler.py",
        "direction, origin = 1, recipe.mean",
        "direction, origin = 1, 0.0",
        "tests/statistics/test_distributions.py tests/unit/test_sampler.py",
    ),
    Mutant(
        "sparse_ with one zero too many",
        "tritoninit/recipe.py",
        "return math.ceil(self.sparsity * rows)",
        "return math.floor(self.sparsity * rows) + 1",
        VALUES,
    ),
    Mutant(
        "sparse_: ties of words go to nobody",
        "tritoninit/sparse.py",
        "tied = (word == limits.word[part]) & (rows <= limits.row[part])",
        "tied = (word == limits.word[part]) & (rows < limits.row[part])",
        PATTERNS,
    ),
    Mutant(
        "the mask of sparse_ drawn from the values' stream",
        "tritoninit/sparse.py",
        "return key.fold_in(MASK_STREAM)",
        "return key",
        GOLDEN,
    ),
    Mutant(
        "dirac_: the centre of an even kernel",
        "tritoninit/sampler.py",
        "centre = centre * size + size // 2",
        "centre = centre * size + (size - 1) // 2",
        f"{VALUES} {PATTERNS}",
    ),
    Mutant(
        "dirac_ without groups",
        "tritoninit/sampler.py",
        "(period, shape[1], shape[0] // recipe.groups, centre)",
        "(period, shape[1], shape[0], centre)",
        f"{VALUES} {PATTERNS}",
    ),
    Mutant(
        "a name's hash read big-endian",
        "tritoninit/stream.py",
        'data = int.from_bytes(digest, "little")',
        'data = int.from_bytes(digest, "big")',
        "tests/unit/test_stream.py",
    ),
    Mutant(
        "the second draw repeats the first",
        "tritoninit/stream.py",
        "return key if draw == 0 else key.fold_in(draw)",
        "return key if draw <= 1 else key.fold_in(draw)",
        f"tests/unit/test_stream.py {RECORD}",
    ),
    Mutant(
        "a Householder reflection's sign",
        "tritoninit/orthogonal.py",
        ".sqrt_().copysign_(diagonal)",
        ".sqrt_()",
        "tests/unit/test_orthogonal.py tests/statistics/test_orthogonal.py",
    ),
]
