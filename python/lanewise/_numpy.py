"""The losses and counts for NumPy."""

import struct
from typing import NamedTuple, Optional

import numpy as np

from . import _worker
from ._options import VOID_MASK, Call, Options, counts, integers, num_threads


class Result(NamedTuple):
    """What a loss returns."""

    loss: float  # lovasz + λ · cross_entropy; 0 where there is no pixel or no class to average
    lovasz: float  # the (weighted) mean of the class losses
    cross_entropy: float  # the mean cross-entropy; 0 where λ is 0
    gap: float  # the exact lovasz lies in [lovasz, lovasz + gap]; 0 with method "exact"
    per_class: Optional[np.ndarray]  # [classes], NaN for a class that took no part; None for the hinge
    per_image: Optional[np.ndarray]  # [images] with per_image: each one's lovasz, NaN for an image that took no part
    gradient: Optional[np.ndarray]  # d loss / d logits, float32 in the shape of the logits


def lovasz_softmax(
    logits,
    labels,
    *,
    axis=1,
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
    gradient=True,
):
    """Returns the Lovász-Softmax loss of logits and its gradient, as a Result.

    logits are floats of shape (N, C, …): images, classes, and any number of axes of pixels, or none; with axis=-1 (N, …, C). They are
    computed in float32. labels are integers of shape (N, …), in [0, C).

    mode: "multiclass", the softmax over the classes; "binary", the sigmoid of one class, logits (N, …) and labels 0 or 1; "multilabel", the
        sigmoid of every class, with masks of the shape of the logits, 0, 1 or void, or labels.
    classes: "present", the mean over classes that have a pixel; "all"; or class ids, the mean over these, absent ones too.
    ignore_index: a label, or several, whose pixels take no part and have gradient 0; with masks the class of that pixel takes no part.
    per_image: the mean of the losses of the images that take part, instead of one loss of all pixels.
    weight: of each class in the mean.
    cross_entropy: λ, adds λ times the mean cross-entropy, whose class weights and label smoothing are those of
        torch.nn.functional.cross_entropy.
    from_logits: False takes probabilities.
    method: "exact", or "binned", whose error gap bounds.
    gradient: False leaves it out, which is faster.

    Bad values are a ValueError that says which, and where. The gradient lies in memory that is shared with the worker, and used again when
    no array refers to it any more; it is the caller's to write to.
    """
    options = Options(
        mode=mode,
        classes=classes,
        ignore_index=ignore_index,
        per_image=per_image,
        weight=weight,
        cross_entropy=cross_entropy,
        cross_entropy_weight=cross_entropy_weight,
        label_smoothing=label_smoothing,
        from_logits=from_logits,
        method=method,
    )
    return _run(options, logits, labels, axis, gradient)


def lovasz_hinge(scores, labels, *, ignore_index=None, per_image=False, gradient=True):
    """Returns the binary Lovász hinge loss of scores (N, …) and labels of that shape, 0 or 1, and its gradient, as a Result. The other
    arguments are those of lovasz_softmax."""
    return _run(Options(mode="binary", hinge=True, ignore_index=ignore_index, per_image=per_image), scores, labels, 1, gradient)


def _run(options, logits, labels, axis, gradient):
    call, worker, lease, shared = _share(options, logits, labels, axis)
    numbers = options.run(worker, call, lease, num_threads(), gradient)
    return Result(
        numbers.loss,
        numbers.lovasz,
        numbers.cross_entropy,
        numbers.gap,
        numbers.per_class,
        numbers.per_image,
        shared if gradient else None,
    )


def _share(options, logits, labels, axis):
    """Copies logits and labels to a segment."""
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.dtype.kind != "f":
        raise ValueError(f"lanewise: logits are {logits.dtype}, want floats")
    if axis not in (1, -1) and axis != logits.ndim - 1:
        raise ValueError(f"lanewise: axis is {axis}, want 1 or -1")
    last = axis != 1
    call = options.call(logits.shape, labels.shape, -1 if last else 1, channels_last=last)
    worker = _worker.worker()
    lease = worker.lease(call.bytes)
    shared = lease.array(np.float32, logits.shape)
    with np.errstate(over="ignore"):  # a float64 may be infinite as float32, which the library names
        np.copyto(shared, logits, casting="same_kind")
    copy_labels(lease, call, labels, options.ignored)
    return call, worker, lease, shared


def copy_labels(lease, call, labels, ignored):
    """Copies labels, or masks, to where the worker expects them."""
    if not call.masks:
        copy_integers(lease, "labels", labels, 4 * call.logits)
        return
    shared = lease.array(np.uint8, labels.shape, 4 * call.logits)
    if labels.dtype != bool:
        void = np.isin(labels, ignored)
        bad = ~((labels == 0) | (labels == 1) | void)
        if bad.any():
            raise ValueError(f"lanewise: masks hold {labels[bad][0]}, want 0, 1 or ignore_index")
        labels = np.where(void, VOID_MASK, labels)
    np.copyto(shared, labels, casting="unsafe")


def copy_integers(lease, name, values, offset):
    """Copies integers, of any type, as int32."""
    if values.dtype.kind not in "biuf":
        raise ValueError(f"lanewise: {name} are {values.dtype}, want integers")
    if not np.can_cast(values.dtype, np.int32) and values.size > 0:
        low, high = values.min(), values.max()
        if not (low >= -(2**31) and high < 2**31):
            raise ValueError(f"lanewise: {name} from {low} to {high}, which are not all int32")
    shared = lease.array(np.int32, values.shape, offset)
    np.copyto(shared, values, casting="unsafe")
    if values.dtype.kind == "f" and (shared != values).any():
        raise ValueError(f"lanewise: {name} hold {values[shared != values][0]}, want integers")


class LovaszCounts:
    """The binned loss over pixels anywhere: for every class how many errors fall into each bin, as integers, so that any split of the pixels
    and any order of adding and merging give the same bits, in Python and in Go.

    num_classes is C (1 for mode="binary"); the other arguments are those of lovasz_softmax. The state is bytes, some 50 kB a class: to_bytes
    returns them, and pickle and copy work. After an error the state is what it was.
    """

    def __init__(self, num_classes, *, mode="multiclass", classes="present", ignore_index=None, weight=None, from_logits=True):
        self._options = Options(
            mode=mode, classes=classes, ignore_index=ignore_index, weight=weight, from_logits=from_logits, method="binned"
        )
        (self._classes,) = integers("num_classes", num_classes)
        self._config = self._options.config(Call(1, self._classes, 0, 0, False, True), num_threads())
        self._state = self._ask(())[1]

    @classmethod
    def from_bytes(cls, data):
        """Returns the counts of to_bytes, or of Go's AppendBinary. They have a result and may be merged; pixels are added to those that a
        constructor made."""
        self = cls.__new__(cls)
        self._options = self._classes = self._config = None
        self._state = self._ask((bytes(data),))[1]
        return self

    def to_bytes(self):
        """Returns the state and the configuration, as Go's AppendBinary does."""
        return self._state

    def add(self, logits, labels, *, axis=1):
        """Counts the pixels of logits and labels."""
        self._state = self._pixels(logits, labels, axis, False, Add=True, State=True)[1]

    def merge(self, other):
        """Adds the pixels that other, made with the same arguments, has counted."""
        self._state = self._ask((self._state, other._state))[1]

    def result(self):
        """Returns the loss of all pixels counted, as a Result without gradient: the bits of lovasz_softmax with method="binned"."""
        return _counted(self._ask((self._state,), state=False)[0])

    def backward(self, logits, labels, *, axis=1):
        """Returns these pixels' share of the gradient of the result, in the shape of the logits; they are among those counted, and the
        shares of all pixels are the gradient of the one loss."""
        return self._pixels(logits, labels, axis, True)[2]

    def _ask(self, states, state=True):
        header = {"Op": "counts", "State": state, "States": [len(s) for s in states]}
        if self._config is not None:
            header["Config"] = self._config
        return counts(_worker.worker().request(header, states))

    def _pixels(self, logits, labels, axis, gradient, **more):
        if self._options is None:
            raise ValueError("lanewise: counts that come from bytes take no pixels: merge them into a LovaszCounts with the same arguments")
        call, worker, lease, shared = _share(self._options, logits, labels, axis)
        if call.classes != self._classes:
            raise ValueError(f"lanewise: logits of {call.classes} classes, want {self._classes}")
        header = self._options.request(call, lease, num_threads(), gradient, "counts", States=(len(self._state),), **more)
        return (*counts(worker.request(header, (self._state,))), shared)


def _counted(numbers):
    return Result(numbers.loss, numbers.lovasz, numbers.cross_entropy, numbers.gap, numbers.per_class, None, None)


class Confusion:
    """Counts how often each class was predicted for each label. Labels outside [0, num_classes) are void: such pixels are not counted.

    matrix: int64 [labels, predictions]. Measures of a class that are 0/0 are NaN.
    """

    def __init__(self, num_classes):
        (num_classes,) = integers("num_classes", num_classes)
        if num_classes < 1:
            raise ValueError(f"lanewise: num_classes is {num_classes}")
        self._ask({"Classes": num_classes}, ())

    @classmethod
    def from_bytes(cls, data):
        """Returns the counts of to_bytes, or of Go's AppendBinary."""
        self = cls.__new__(cls)
        self._ask({}, (bytes(data),))
        return self

    def to_bytes(self):
        """Returns the counts as Go's AppendBinary does."""
        return self._state

    def add(self, predicted, labels):
        """Counts pixels: predicted classes and labels, integers of one shape."""
        predicted, labels = np.asarray(predicted), np.asarray(labels)
        if predicted.shape != labels.shape:
            raise ValueError(f"lanewise: predictions of shape {predicted.shape} for labels of shape {labels.shape}")
        worker = _worker.worker()
        lease = worker.lease(8 * labels.size)
        copy_integers(lease, "predictions", predicted, 0)
        copy_integers(lease, "labels", labels, 4 * labels.size)
        header = {"Segment": lease.segment.id, "Logits": labels.size, "Labels": labels.size, "Add": True}
        self._ask(header, (self._state,), worker)

    def merge(self, other):
        """Adds the counts of other."""
        self._ask({}, (self._state, other._state))

    def _ask(self, header, states, worker=None):
        reply = (worker or _worker.worker()).request(
            {**header, "Op": "confusion", "States": [len(s) for s in states]}, states
        )
        (classes,) = struct.unpack_from("<Q", reply)
        end = 8 * (1 + classes * classes)
        if len(reply) < end:
            raise RuntimeError(f"lanewise: the worker replied with {len(reply)} bytes for {classes} classes")
        self.matrix = np.frombuffer(reply[8:end], "<i8").reshape(classes, classes)
        self._state = reply[end:]

    def iou(self):
        """Returns TP / (TP + FP + FN) of each class."""
        both, labelled, predicted = self._sums()
        return _divide(both, labelled + predicted - both)

    def mean_iou(self, classes=None):
        """Returns the mean of iou, over these class ids or all, without those that are NaN; NaN if all are."""
        iou = self.iou() if classes is None else self.iou()[list(classes)]
        iou = iou[~np.isnan(iou)]
        return float(iou.mean()) if iou.size else float("nan")

    def dice(self):
        """Returns 2·TP / (2·TP + FP + FN) of each class, which is the F1 score."""
        both, labelled, predicted = self._sums()
        return _divide(2 * both, labelled + predicted)

    def precision(self):
        """Returns TP / (TP + FP) of each class."""
        both, _, predicted = self._sums()
        return _divide(both, predicted)

    def recall(self):
        """Returns TP / (TP + FN) of each class."""
        both, labelled, _ = self._sums()
        return _divide(both, labelled)

    def accuracy(self):
        """Returns the share of pixels that were predicted right; NaN without a pixel."""
        return float(_divide(self.matrix.trace(), self.matrix.sum()))

    def _sums(self):
        return self.matrix.diagonal(), self.matrix.sum(1), self.matrix.sum(0)


def _divide(a, b):
    with np.errstate(invalid="ignore"):
        return np.true_divide(a, b)
