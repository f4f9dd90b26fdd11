"""What the losses of NumPy and PyTorch have in common: their options, and how a call lies in memory."""

import json
import math
import operator
import os
import struct
from typing import NamedTuple

import numpy as np

MODES = ("multiclass", "binary", "multilabel")
METHODS = ("exact", "binned")
_SOFTMAX, _SIGMOID, _NONE = range(3)
_FLOAT32_END = 2.0**128 - 2.0**103  # what is below rounds to a float32
_FOUR = struct.Struct("<4d")
VOID_MASK = 255  # what a mask has where it is void

_threads = None


def _threads_of(name):
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else 0


_lanewise_threads, _openmp_threads = _threads_of("LANEWISE_NUM_THREADS"), _threads_of("OMP_NUM_THREADS")


def set_num_threads(n):
    """Sets how many threads a call may use; None: as many as LANEWISE_NUM_THREADS or OMP_NUM_THREADS says, or all CPUs. (With PyTorch: as
    many as torch.get_num_threads() says.) Results do not depend on it."""
    global _threads
    if n is not None:
        n = operator.index(n)
        if n < 1:
            raise ValueError(f"lanewise: {n} threads")
    _threads = n


def num_threads(default=None):
    """Returns how many threads a call uses, 0 for all CPUs."""
    if _threads is not None:
        return _threads
    return _lanewise_threads or default or _openmp_threads


class Call(NamedTuple):
    """How the tensors of a call lie in memory."""

    images: int
    classes: int
    logits: int  # how many
    labels: int  # how many, or how many masks
    masks: bool
    pixel_major: bool

    @property
    def bytes(self):
        return 4 * self.logits + (1 if self.masks else 4) * self.labels


class Options:
    """The options of a loss, checked as far as they can be without knowing the number of classes."""

    def __init__(
        self,
        *,
        mode="multiclass",
        classes="present",
        ignore_index=None,
        per_image=False,
        weight=None,
        cross_entropy=0.0,
        cross_entropy_weight=None,
        label_smoothing=0.0,
        from_logits=True,
        method="exact",
        hinge=False,
        each=False,
        as_background=False,
    ):
        if mode not in MODES:
            raise ValueError(f"lanewise: mode is {mode!r}, want one of {MODES}")
        if method not in METHODS:
            raise ValueError(f"lanewise: method is {method!r}, want one of {METHODS}")
        self.mode = mode
        self.hinge = bool(hinge)
        self.each = bool(each)
        self.per_image = bool(per_image)
        self.ignored = () if ignore_index is None else integers("ignore_index", ignore_index)
        config = {
            "Activation": _NONE if hinge or not from_logits else _SOFTMAX if mode == "multiclass" else _SIGMOID,
            "VoidLabels": self.ignored,
            "PerImage": self.per_image and not each,
            "Method": METHODS.index(method),
            "Void": 1 if as_background else 0,
        }
        if isinstance(classes, str):
            if classes not in ("present", "all"):
                raise ValueError(f"lanewise: classes is {classes!r}, want 'present', 'all' or class ids")
            config["Average"] = 1 if classes == "all" else 0
        else:
            config["OnlyClasses"] = integers("classes", classes)
        if weight is not None:
            config["Weights"] = floats("weight", weight)
        # λ = 0, no weights and no smoothing are the defaults: they are not sent
        if cross_entropy != 0:
            config["CrossEntropy"] = number("cross_entropy", cross_entropy)
        if cross_entropy_weight is not None:
            config["CrossEntropyWeights"] = floats("cross_entropy_weight", cross_entropy_weight)
        if label_smoothing != 0:
            config["LabelSmoothing"] = number("label_smoothing", label_smoothing)
        self._config = config
        self._headers = {}

    def config(self, call, threads):
        """Returns the lanewise.LovaszConfig of a call."""
        return {**self._config, "Classes": call.classes, "Layout": 0 if call.pixel_major else 1, "Workers": threads}

    def call(self, shape, target, axis=1, channels_last=False):
        """Returns how tensors of these shapes lie in memory; axis is where the classes are, and channels_last says that they lie last
        wherever they are."""
        if self.hinge or self.mode == "binary":
            axis, classes, masks = None, 1, False
            fits = target == shape or _squeezed(target) == _squeezed(shape)
            want = shape
        else:
            if len(shape) < 2:
                raise ValueError(f"lanewise: logits of shape {shape}, want images, classes and pixels")
            classes = shape[axis]
            want = shape[:axis] + shape[axis + 1 :] if axis >= 0 else shape[:axis]
            masks = self.mode == "multilabel" and target == shape
            fits = masks or target == want or target == want[:1] + (1,) + want[1:]
        if not fits:
            also = f" or masks of shape {shape}" if self.mode == "multilabel" else ""
            raise ValueError(f"lanewise: labels of shape {target} for logits of shape {shape}, want {want}{also}")
        logits = math.prod(shape)
        images = shape[0] if shape else 1
        if classes == 0:
            raise ValueError(f"lanewise: logits of shape {shape} have no classes")
        # where the classes of a pixel lie side by side, the batch is one image as well as many, unless images have losses
        pixel_major = channels_last or classes == 1 or logits == images * classes
        if pixel_major and not self.per_image and not self.each:
            images = 1
        labels = logits if masks else logits // classes
        return Call(images if self.each else max(images, 1), classes, logits, labels, masks, pixel_major)

    def request(self, call, lease, threads, gradient, op="loss", **more):
        """Returns the header of a request, as JSON. Calls repeat, so it is kept."""
        key = (call, lease.segment.id, threads, gradient, op, *more.values())
        header = self._headers.get(key)
        if header is None:
            if len(self._headers) >= 64:
                self._headers.clear()
            header = self._headers[key] = json.dumps(
                {
                    "Op": op,
                    "Segment": lease.segment.id,
                    "Config": self.config(call, threads),
                    "Logits": call.logits,
                    "Labels": call.labels,
                    "Masks": call.masks,
                    "Images": call.images,
                    "Gradient": gradient,
                    **more,
                }
            ).encode()
        return header

    def run(self, worker, call, lease, threads, gradient):
        """Computes the loss of the tensors in a segment, and returns a Numbers, or with each an array of the losses of the images. The
        gradient takes the place of the logits."""
        if self.each and call.images == 0:
            return np.zeros(0)
        reply = worker.request(self.request(call, lease, threads, gradient, Hinge=self.hinge, Each=self.each))
        per_class = 0 if self.hinge else call.classes
        per_image = call.images if self.per_image else 0
        want = call.images if self.each else 4 + per_class + per_image
        if len(reply) != 8 * want:
            raise RuntimeError(f"lanewise: the worker replied with {len(reply)} bytes, want {want} numbers")
        return np.frombuffer(reply, "<f8") if self.each else Numbers(reply, per_class, per_image)


class Numbers:
    """The numbers of a lanewise.LovaszResult, as they come, with so many for classes and images."""

    def __init__(self, reply, classes, images):
        self.loss, self.lovasz, self.cross_entropy, self.gap = _FOUR.unpack_from(reply)
        self._reply, self._classes, self._images = reply, classes, images

    @property
    def per_class(self):
        return np.frombuffer(self._reply, "<f8", self._classes, 32) if self._classes else None

    @property
    def per_image(self):
        return np.frombuffer(self._reply, "<f8", self._images, 32 + 8 * self._classes) if self._images else None


def counts(reply):
    """Returns the Numbers of a reply to an operation on LovaszCounts, and the state, which is empty unless it was asked for."""
    (classes,) = struct.unpack_from("<Q", reply)
    end = 8 * (5 + classes)
    if len(reply) < end:
        raise RuntimeError(f"lanewise: the worker replied with {len(reply)} bytes for {classes} classes")
    return Numbers(reply[8:end], classes, 0), reply[end:]


def _squeezed(shape):
    """A plane for the one class is no difference: (N, 1, H, W) is (N, H, W)."""
    return shape[:1] + shape[2:] if len(shape) > 1 and shape[1] == 1 else shape


def integers(name, value):
    """Returns an int, or a sequence of ints, as a tuple."""
    try:
        values = (operator.index(value),)
    except TypeError:
        try:
            values = tuple(operator.index(v) for v in listed(value))
        except TypeError:
            raise ValueError(f"lanewise: {name} is {value!r}, want integers") from None
    for v in values:
        if not -(2**31) <= v < 2**31:
            raise ValueError(f"lanewise: {name} is {v}, which is no int32")
    return values


def floats(name, value):
    try:
        values = [float(v) for v in listed(value)]
    except (TypeError, ValueError):
        raise ValueError(f"lanewise: {name} is {value!r}, want numbers") from None
    return [finite(name, v) for v in values]


def number(name, value):
    try:
        value = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"lanewise: {name} is {value!r}, want a number") from None
    return finite(name, value)


def finite(name, value):
    if not abs(value) < _FLOAT32_END:
        raise ValueError(f"lanewise: {name} holds {value}, which is no finite float32")
    return value


def listed(value):
    """Returns numbers of NumPy or PyTorch, or any sequence, as Python's own."""
    return value.tolist() if hasattr(value, "tolist") else list(value)
