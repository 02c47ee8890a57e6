"""Faults in shapes, shards, names, plans, ranks, fingerprints and checkpoints."""

from tests.mutation.mutant import Mutant

DIGEST = "tests/conformance/test_digest.py"
PARTS = "tests/unit/test_init_parts.py"
VALUES = "tests/unit/test_init_values.py"
RECORD = "tests/unit/test_record.py"
MODEL = "tests/unit/test_materialize_model.py"
SHARDING = "tests/unit/test_sharding.py"
RANKS = "tests/distributed/test_agreement_ranks.py"

MUTANTS = [
    Mutant(
        "fan_in and fan_out swapped",
        "tritoninit/init/variance.py",
        'return _fans(shape)[lowered == "fan_out"]',
        'return _fans(shape)[lowered == "fan_in"]',
        "tests/unit/test_init_variance.py",
    ),
    Mutant(
        "fans of the part, not of the whole",
        "tritoninit/init/call.py",
        'return as_shape("global_shape", global_shape)',
        "return tuple(tensor.shape)",
        PARTS,
    ),
    Mutant(
        "a skipped version bump",
        "tritoninit/fill.py",
        "    torch.autograd.graph.increment_version(tensor)",
        "    pass",
        "tests/hostile/test_autograd.py",
    ),
    Mutant(
        "memory that overlaps itself is written",
        "tritoninit/layout.py",
        "return torch._debug_has_internal_overlap(tensor) == 1",
        "return False",
        "tests/unit/test_init_memory.py",
    ),
    Mutant(
        "a generator's key among those of seeds",
        "tritoninit/generator.py",
        "DRAWN = 1 << 63",
        "DRAWN = 0",
        "tests/unit/test_generator.py",
    ),
    Mutant(
        "an off-by-one at a shard's edge",
        "tritoninit/sharding.py",
        "low, high = index * step, (index + 1) * step",
        "low, high = index * step, (index + 1) * step - 1",
        SHARDING,
    ),
    Mutant(
        "uneven shards rounded down",
        "tritoninit/sharding.py",
        "step = -(-_length(held) // count)",
        "step = _length(held) // count",
        SHARDING,
    ),
    Mutant(
        "a strided split in the order of the mesh",
        "tritoninit/sharding.py",
        "steps.insert(before.index(factor), mesh_dim)",
        "steps.insert(0, mesh_dim)",
        SHARDING,
    ),
    Mutant(
        "a part's offset along one dimension",
        "tritoninit/region.py",
        "        first = sum(o * s for o, s in zip(self.offset, global_strides, strict=True))\n"
        "        if not self.numel:",
        "        first = sum(o * s for o, s in zip(self.offset[:1], global_strides))\n"
        "        if not self.numel:",
        PARTS,
    ),
    Mutant(
        "a flat run cut at the wrong row",
        "tritoninit/region.py",
        "part = min(step - within, length - done)",
        "part = min(step, length - done)",
        "tests/unit/test_region.py",
    ),
    Mutant(
        "a pending Partial is filled",
        "tritoninit/dtensor.py",
        'if "Partial" in name:\n',
        'if "Partial" in name:\n        return None\n    if name == "":\n',
        "tests/unit/test_dtensor.py tests/unit/test_dtensor_state.py",
    ),
    Mutant(
        "values written into a view that torch gathered",
        "tritoninit/dtensor.py",
        "    if base is None or not is_dtensor(base):\n        return",
        "    return",
        "tests/unit/test_dtensor_state.py tests/unit/test_dtensor.py",
    ),
    Mutant(
        "a wrapper's prefix in a tensor's name",
        "tritoninit/names.py",
        '"_checkpoint_wrapped_module", ',
        "",
        "tests/unit/test_documents.py tests/unit/test_materialize_model.py",
    ),
    Mutant(
        "a tensor that nothing fills goes unnoticed",
        "tritoninit/recording/audit.py",
        'return "nothing fills it"',
        "return None",
        f"{RECORD} {MODEL} tests/unit/test_materialize.py",
    ),
    Mutant(
        "elements that nothing fills go unnoticed",
        "tritoninit/recording/audit.py",
        'return f"{left:,} elements are filled by nothing"',
        "return None",
        f"{RECORD} {MODEL} tests/unit/test_materialize.py",
    ),
    Mutant(
        "what an overwritten write held counts as needed",
        "tritoninit/recording/coverage.py",
        "            if overwrites:\n                live = rest",
        "            live = rest",
        f"{RECORD} tests/unit/test_construction.py tests/unit/test_construction_models.py",
    ),
    Mutant(
        "coverage takes the places that both have",
        "tritoninit/recording/coverage.py",
        "kept = _inside(left, a) & ~_inside(left, b)",
        "kept = _inside(left, a) & _inside(left, b)",
        RECORD,
    ),
    Mutant(
        "a swallowed error: a rank that failed goes on",
        "tritoninit/ranks/agreement.py",
        ': {error}", meshes, doing)\n        raise',
        ': {error}", meshes, doing)\n        return',
        RANKS,
    ),
    Mutant(
        "ranks do not notice that another failed",
        "tritoninit/ranks/agreement.py",
        "    if not failed or len(found) == 1:\n        return",
        "    return",
        RANKS,
    ),
    Mutant(
        "ranks with different plans go on",
        "tritoninit/ranks/agreement.py",
        "    if len(set(found.values())) > 1:\n        _explain(made[0], meshes)",
        "",
        RANKS,
    ),
    Mutant(
        "the fingerprint forgets the number of dimensions",
        "tritoninit/digest.py",
        "for size in (len(shape), *shape)]",
        "for size in shape]",
        "tests/golden/test_fingerprint_golden.py",
    ),
    Mutant(
        "the fingerprint forgets an index's high half (Triton)",
        "kernels/digest.py",
        "rounds(wide.to(tl.uint32), (wide >> 32).to(tl.uint32), low, high, key)",
        "rounds(wide.to(tl.uint32), (wide >> 63).to(tl.uint32), low, high, key)",
        DIGEST,
    ),
    Mutant(
        "replicas count in the fingerprint",
        "tritoninit/fingerprint/ranks.py",
        "primary = sharding.is_primary(coordinate) and min(ranks) in mesh.mesh",
        "primary = min(ranks) in mesh.mesh",
        "tests/distributed/test_fingerprint_ranks.py",
    ),
    Mutant(
        "replicas that differ go unnoticed",
        "tritoninit/fingerprint/ranks.py",
        "if sum((Digest.from_bytes(known[rank][17:]) for rank in known), Digest()) != Digest():",
        "if not known:",
        "tests/distributed/test_fingerprint_ranks.py",
    ),
    Mutant(
        "verify leaves out a tensor that the model lacks",
        "tritoninit/checkpoint/verify.py",
        '        yield Difference(name, f"not part of the model, but in {place.path.name}")',
        "        pass",
        "tests/unit/test_verify.py",
    ),
    Mutant(
        "verify passes over a missing tensor",
        "tritoninit/checkpoint/verify.py",
        '            yield Difference(stored.name, "missing")',
        "            pass",
        "tests/unit/test_verify.py",
    ),
    Mutant(
        "a checkpoint's unfinished files stay",
        "tritoninit/checkpoint/write.py",
        "    _remove_parts(folder)\n    _check_space",
        "    _check_space",
        "tests/unit/test_checkpoint.py",
    ),
    Mutant(
        "an infinity in a plan's JSON becomes a string",
        "tritoninit/plan/document.py",
        'return {"float": str(value)}',
        "return str(value)",
        "tests/unit/test_plan.py",
    ),
    Mutant(
        "hooks are lost where a parameter gets its memory",
        "tritoninit/memory.py",
        "            setattr(kept, name, registered)  # hooks belong to the memory: arm them again",
        "            pass",
        f"tests/unit/test_materialize.py {MODEL}",
    ),
    Mutant(
        "a rank takes its neighbour's coordinate",
        "tritoninit/simulate.py",
        "at = tuple(coordinate[name] for name in sharding.names)",
        "at = tuple(coordinate[name] for name in sorted(sharding.names))",
        "tests/unit/test_simulate.py",
    ),
    Mutant(
        "a launch beyond what 31 bits address",
        "tritoninit/backends/parts.py",
        "elif rows and slots >= LIMIT:",
        "elif rows and slots >= 2 * LIMIT:",
        "tests/unit/test_parts.py",
    ),
]
