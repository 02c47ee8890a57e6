"""Triton kernels of tritoninit; installed as ``tritoninit.kernels``.

One concept a file: ``philox`` (words), ``sampling`` and ``sampling64`` (words to samples),
``addressing`` (where an element lies), ``tiles`` (a program's values), ``fill`` (one row),
``rows`` (many), ``table`` (many tensors), ``sparse`` (thresholds), ``digest`` (the
fingerprint's sums).
"""

if __name__ != "tritoninit.kernels":
    raise ImportError(
        "the kernels folder is the package tritoninit.kernels; install the project and import"
        " that name"
    )
