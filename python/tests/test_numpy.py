import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import reference
import torch

import lanewise

random = np.random.default_rng(1)


def batch(n=2, c=5, size=(12, 11), sure=2.0):
    labels = random.integers(0, c, (n, *size))
    logits = random.standard_normal((n, c, *size)).astype(np.float32)
    np.put_along_axis(logits, labels[:, None], np.take_along_axis(logits, labels[:, None], 1) + np.float32(sure), 1)
    return logits, labels


def check(result, logits, labels, **options):
    loss, gradient = reference.gradient(reference.loss, torch.tensor(logits), torch.tensor(labels), **options)
    assert result.loss == pytest.approx(loss.item(), rel=2e-6)
    assert result.gradient.dtype == np.float32 and result.gradient.shape == logits.shape
    reference.close(torch.tensor(result.gradient), gradient)


OPTIONS = [
    {},
    {"classes": "all"},
    {"classes": [4, 1]},
    {"per_image": True},
    {"weight": [1, 2, 0, 0.5, 3]},
    {"cross_entropy": 0.7},
    {"mode": "multilabel"},
    {"mode": "multilabel", "cross_entropy": 0.3, "per_image": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("ignore", [(), (2,), (255, 3)], ids=str)
def test_gradients(options, ignore):
    logits, labels = batch()
    if 255 in ignore:
        labels[:, 3:5] = 255
    result = lanewise.lovasz_softmax(logits, labels, ignore_index=ignore, **options)
    check(result, logits, labels, ignore=ignore, **options)


def test_fields():
    logits, labels = batch()
    labels[labels == 2] = 1
    r = lanewise.lovasz_softmax(logits, labels, per_image=True, cross_entropy=0.5)
    assert r.loss == r.lovasz + 0.5 * r.cross_entropy
    assert r.gap == 0
    assert np.isnan(r.per_class).tolist() == [False, False, True, False, False]
    each = [lanewise.lovasz_softmax(logits[i : i + 1], labels[i : i + 1]).loss for i in range(2)]
    assert r.per_image.tolist() == each
    assert r.lovasz == sum(each) / 2
    binned = lanewise.lovasz_softmax(logits, labels, method="binned")
    exact = lanewise.lovasz_softmax(logits, labels, gradient=False)
    assert exact.gradient is None
    assert 0 < binned.gap < 0.01 and binned.loss <= exact.loss <= binned.loss + binned.gap


def test_layouts():
    logits, labels = batch()
    want = lanewise.lovasz_softmax(logits, labels)
    last = np.ascontiguousarray(np.moveaxis(logits, 1, -1))
    for got in (
        lanewise.lovasz_softmax(last, labels, axis=-1),
        lanewise.lovasz_softmax(np.moveaxis(logits, 1, -1), labels, axis=-1),
        lanewise.lovasz_softmax(np.moveaxis(logits, 1, -1), labels, axis=3),
    ):
        assert got.loss == want.loss
        np.testing.assert_array_equal(np.moveaxis(got.gradient, -1, 1), want.gradient)
    got = lanewise.lovasz_softmax(np.moveaxis(last, -1, 1), labels)  # strided
    np.testing.assert_array_equal(got.gradient, want.gradient)
    points = lanewise.lovasz_softmax(last.reshape(-1, 5), labels.reshape(-1))
    assert points.loss == want.loss
    np.testing.assert_array_equal(points.gradient.reshape(last.shape), np.moveaxis(want.gradient, 1, -1))
    volume = lanewise.lovasz_softmax(logits.reshape(2, 5, 3, 4, 11), labels.reshape(2, 3, 4, 11))
    assert volume.loss == want.loss


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32])
def test_label_types(dtype):
    logits, labels = batch()
    assert lanewise.lovasz_softmax(logits, labels.astype(dtype)).loss == lanewise.lovasz_softmax(logits, labels).loss


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_logit_types(dtype):
    logits, labels = batch()
    logits = logits.astype(np.float16)
    want = lanewise.lovasz_softmax(logits.astype(np.float32), labels)
    got = lanewise.lovasz_softmax(logits.astype(dtype), labels)
    assert got.loss == want.loss
    np.testing.assert_array_equal(got.gradient, want.gradient)


def test_binary():
    logits, labels = batch(c=2)
    logits = logits[:, 0]
    result = lanewise.lovasz_softmax(logits, labels, mode="binary")
    loss, gradient = reference.gradient(reference.loss, torch.tensor(logits)[:, None], torch.tensor(labels), mode="binary")
    assert result.loss == pytest.approx(loss.item(), rel=2e-6)
    reference.close(torch.tensor(result.gradient), gradient[:, 0])
    again = lanewise.lovasz_softmax(logits[:, None], labels, mode="binary")
    np.testing.assert_array_equal(again.gradient[:, 0], result.gradient)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert lanewise.lovasz_softmax(p, labels, mode="binary", from_logits=False).loss == pytest.approx(result.loss, rel=1e-5)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("ignore", [(), (255,)])
def test_hinge(per_image, ignore):
    scores, labels = batch(c=2)
    scores = scores[:, 0]
    if ignore:
        labels[0, :4] = 255
    result = lanewise.lovasz_hinge(scores, labels, per_image=per_image, ignore_index=ignore)
    loss, gradient = reference.gradient(reference.hinge, torch.tensor(scores), torch.tensor(labels), ignore=ignore, per_image=per_image)
    assert result.loss == pytest.approx(loss.item(), rel=2e-6)
    reference.close(torch.tensor(result.gradient), gradient)
    assert result.per_class is None
    assert lanewise.lovasz_hinge(scores, labels == 1).loss == lanewise.lovasz_hinge(scores, np.where(labels == 1, 1, 0)).loss


def test_empty():
    for shape in [(0, 3, 4, 4), (2, 3, 0, 4), (0, 3)]:
        result = lanewise.lovasz_softmax(np.zeros(shape, np.float32), np.zeros(shape[:1] + shape[2:], np.int64))
        assert result.loss == 0 and result.gradient.shape == shape
    logits, labels = batch()
    result = lanewise.lovasz_softmax(logits, np.full_like(labels, 255), ignore_index=255)
    assert result.loss == 0 and not result.gradient.any() and np.isnan(result.per_class).all()


@pytest.mark.parametrize(
    "change, text",
    [
        (lambda x, y: ({"logits": x, "labels": y + 1}), "lanewise: label 5 at pixel .* is outside \\[0, 5\\)"),
        (lambda x, y: ({"logits": np.where(x == x[1, 2, 3, 4], np.nan, x), "labels": y}), "logit of pixel 169, class 2 is NaN"),
        (lambda x, y: ({"logits": x.astype(np.float64) * 1e39, "labels": y}), "Inf"),
        (lambda x, y: ({"logits": x, "labels": y[:1]}), "labels of shape \\(1, 12, 11\\) for logits of shape \\(2, 5, 12, 11\\)"),
        (lambda x, y: ({"logits": x, "labels": y + 2**32}), "not all int32"),
        (lambda x, y: ({"logits": x, "labels": y + 0.5}), "labels hold .*want integers"),
        (lambda x, y: ({"logits": x, "labels": np.where(y == y[0, 0, 0], np.nan, y)}), "not all int32"),
        (lambda x, y: ({"logits": x, "labels": y.astype(str)}), "labels are <U"),
        (lambda x, y: ({"logits": x.astype(int), "labels": y}), "logits are int64, want floats"),
        (lambda x, y: ({"logits": x, "labels": y, "axis": 0}), "axis is 0"),
        (lambda x, y: ({"logits": x[:, :1], "labels": y}), "softmax of one class"),
        (lambda x, y: ({"logits": x, "labels": y, "weight": [1, 2]}), "2 Weights for 5 classes"),
        (lambda x, y: ({"logits": x, "labels": y, "weight": [1, 2, 3, 4, float("nan")]}), "weight holds nan"),
        (lambda x, y: ({"logits": x, "labels": y, "weight": [1, 2, 3, 4, -1]}), "class 4 is -1"),
        (lambda x, y: ({"logits": x, "labels": y, "weight": [1, 2, 3, 4, 1e39]}), "weight holds 1e\\+39, which is no finite float32"),
        (lambda x, y: ({"logits": x, "labels": y, "weight": 3}), "weight is 3"),
        (lambda x, y: ({"logits": x, "labels": y, "classes": [2**70]}), "classes is .*, which is no int32"),
        (lambda x, y: ({"logits": x, "labels": y, "classes": [5]}), "OnlyClasses holds 5"),
        (lambda x, y: ({"logits": x, "labels": y, "classes": []}), "OnlyClasses is empty"),
        (lambda x, y: ({"logits": x, "labels": y, "classes": [0.5]}), "classes is"),
        (lambda x, y: ({"logits": x, "labels": y, "classes": "some"}), "classes is 'some'"),
        (lambda x, y: ({"logits": x, "labels": y, "cross_entropy": -1}), "CrossEntropy is -1"),
        (lambda x, y: ({"logits": x, "labels": y, "cross_entropy": float("inf")}), "cross_entropy holds inf"),
        (lambda x, y: ({"logits": x, "labels": y, "from_logits": False}), "outside \\[0, 1\\]"),
        (lambda x, y: ({"logits": x, "labels": y, "mode": "softmax"}), "mode is 'softmax'"),
        (lambda x, y: ({"logits": x, "labels": y, "method": "fast"}), "method is 'fast'"),
        (lambda x, y: ({"logits": x, "labels": y, "ignore_index": 2**31}), "ignore_index is 2147483648"),
        (lambda x, y: ({"logits": x, "labels": y, "ignore_index": "a"}), "ignore_index is 'a'"),
    ],
)
def test_errors(change, text):
    logits, labels = batch()
    with pytest.raises(ValueError, match=text):
        lanewise.lovasz_softmax(**change(logits, labels))
    assert lanewise.lovasz_softmax(logits, labels).loss > 0


def test_counts():
    logits, labels = batch(n=4)
    want = lanewise.lovasz_softmax(logits, labels, method="binned")
    parts = [lanewise.LovaszCounts(5), lanewise.LovaszCounts(5)]
    parts[0].add(logits[:1], labels[:1])
    parts[1].add(logits[2:], labels[2:])
    parts[1].add(np.moveaxis(logits[1:2], 1, -1), labels[1:2], axis=-1)
    other = pickle.loads(pickle.dumps(parts[1]))
    parts[0].merge(other)
    both = parts[0]
    result = both.result()
    assert (result.loss, result.gap) == (want.loss, want.gap)
    np.testing.assert_array_equal(result.per_class, want.per_class)
    share = both.backward(logits[1:3], labels[1:3])
    np.testing.assert_array_equal(share, want.gradient[1:3])

    read = lanewise.LovaszCounts.from_bytes(both.to_bytes())
    assert read.result().loss == want.loss and read.to_bytes() == both.to_bytes()
    with pytest.raises(ValueError, match="merge them"):
        read.add(logits, labels)
    with pytest.raises(ValueError, match="checksum"):
        lanewise.LovaszCounts.from_bytes(both.to_bytes()[:-1])
    with pytest.raises(ValueError, match="lanewise: "):
        both.merge(lanewise.LovaszCounts(5, classes="all"))
    with pytest.raises(ValueError, match="of 4 classes, want 5"):
        both.add(logits[:, :4], labels)
    state = copy.copy(both).to_bytes()
    with pytest.raises(ValueError, match="label 6"):
        both.add(logits, np.where(labels == 4, 6, labels))
    assert both.to_bytes() == state
    both.merge(read)
    assert both.to_bytes() != state


def test_masks():
    logits, _ = batch()
    masks = random.integers(0, 2, logits.shape)
    masks[:, 1, 3:5] = 7
    options = {"mode": "multilabel", "ignore_index": 7}
    result = lanewise.lovasz_softmax(logits, masks, **options)
    check(result, logits, masks, mode="multilabel", ignore=(7,))
    last = lanewise.lovasz_softmax(np.moveaxis(logits, 1, -1), np.moveaxis(masks, 1, -1), axis=-1, **options)
    assert last.loss == result.loss
    np.testing.assert_array_equal(np.moveaxis(last.gradient, -1, 1), result.gradient)
    assert lanewise.lovasz_softmax(logits, masks == 1, mode="multilabel").loss == lanewise.lovasz_softmax(logits, masks % 7, mode="multilabel").loss
    with pytest.raises(ValueError, match="masks hold 7"):
        lanewise.lovasz_softmax(logits, masks, mode="multilabel")
    binned = lanewise.lovasz_softmax(logits, masks, method="binned", **options)
    counts = lanewise.LovaszCounts(5, **options)
    for i in range(2):
        counts.add(logits[i : i + 1], masks[i : i + 1])
    assert counts.result().loss == binned.loss
    np.testing.assert_array_equal(counts.backward(logits[1:], masks[1:]), binned.gradient[1:])


def test_confusion():
    predicted, labels = random.integers(0, 4, (3, 50)), random.integers(0, 4, (3, 50))
    labels[0, :10] = 255
    counts = lanewise.Confusion(4)
    assert np.isnan(counts.mean_iou()) and np.isnan(counts.accuracy())
    counts.add(predicted[:2], labels[:2])
    other = lanewise.Confusion(4)
    other.add(predicted[2].astype(np.uint8), labels[2].astype(np.int16))
    counts.merge(other)
    keep = labels != 255
    want = np.zeros((4, 4), int)
    np.add.at(want, (labels[keep], predicted[keep]), 1)
    np.testing.assert_array_equal(counts.matrix, want)
    for k in range(4):
        hit, label, guess = (labels == k) & (predicted == k) & keep, (labels == k) & keep, (predicted == k) & keep
        assert counts.iou()[k] == hit.sum() / (label | guess).sum()
        assert counts.dice()[k] == 2 * hit.sum() / (label.sum() + guess.sum())
        assert counts.recall()[k] == hit.sum() / label.sum()
        assert counts.precision()[k] == hit.sum() / guess.sum()
    assert counts.mean_iou() == pytest.approx(counts.iou().mean())
    assert counts.mean_iou([1, 3]) == counts.iou()[[1, 3]].mean()
    assert counts.accuracy() == (predicted == labels)[keep].mean()
    np.testing.assert_array_equal(lanewise.Confusion.from_bytes(counts.to_bytes()).matrix, want)
    for data in (b"", counts.to_bytes()[:-1]):
        with pytest.raises(ValueError, match="lanewise: "):
            lanewise.Confusion.from_bytes(data)
    with pytest.raises(ValueError, match="prediction 4 at pixel 1"):
        counts.add([0, 4], [0, 0])
    with pytest.raises(ValueError, match="shape"):
        counts.add([0], [0, 0])
    for classes in (0, 1 << 20, 1 << 70):
        with pytest.raises(ValueError, match=str(classes)):
            lanewise.Confusion(classes)
    np.testing.assert_array_equal(counts.matrix, want)


def test_threads():
    logits, labels = batch(size=(200, 100))
    want = lanewise.lovasz_softmax(logits, labels)
    try:
        for n in (1, 2, 7):
            lanewise.set_num_threads(n)
            got = lanewise.lovasz_softmax(logits, labels)
            assert got.loss == want.loss
            np.testing.assert_array_equal(got.gradient, want.gradient)
        with pytest.raises(ValueError):
            lanewise.set_num_threads(0)
    finally:
        lanewise.set_num_threads(None)


def test_without_torch():
    code = "import sys; sys.modules['torch'] = None; import lanewise; print(lanewise.lovasz_softmax([[0., 1.], [1., 0.]], [1, 0]).loss)"
    assert float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout) > 0
