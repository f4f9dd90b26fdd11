"""What has to work where the package is installed beside NumPy and nothing else: python3 -I python/tests/bare.py."""

import importlib.metadata
import importlib.util

import numpy as np

import lanewise

assert importlib.util.find_spec("torch") is None, "PyTorch is installed"
try:
    import lanewise.torch
except ModuleNotFoundError as e:
    assert e.name == "torch"
else:
    raise AssertionError("lanewise.torch without torch")

logits, labels = 2 * np.eye(3), np.arange(3)
result = lanewise.lovasz_softmax(logits, labels)
assert abs(result.loss - 0.213) < 5e-4 and result.gradient.shape == (3, 3), result
counts = lanewise.LovaszCounts(3)
counts.add(logits, labels)
assert counts.result().loss == lanewise.lovasz_softmax(logits, labels, method="binned").loss
confusion = lanewise.Confusion(3)
confusion.add(logits.argmax(1), labels)
assert confusion.mean_iou() == 1
assert lanewise.lovasz_hinge([2.0, -2.0], [1, 0]).loss == 0
try:
    lanewise.lovasz_softmax(logits, labels + 1)
except ValueError as e:
    assert "label 3" in str(e)
else:
    raise AssertionError("a label outside the classes")
print("lanewise", importlib.metadata.version("lanewise"), "with NumPy", np.__version__, "alone: a loss of", result.loss)
