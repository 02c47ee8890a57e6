"""Triton kernels of tritoninit; installed as ``tritoninit.kernels``.

One concept a file: ``philox`` (words), ``sampling`` (words to samples), ``addressing`` (where
an element lies), ``fill``, ``sparse`` and ``digest`` (the launches).
"""

if __name__ != "tritoninit.kernels":
    raise ImportError(
        "the kernels folder is the package tritoninit.kernels; install the project and import"
        " that name"
    )
