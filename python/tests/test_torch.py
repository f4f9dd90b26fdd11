import copy
import pickle

import numpy as np
import pytest
import reference
import torch
from torch.utils.data import DataLoader, Dataset

import lanewise
import lanewise.torch
from lanewise.torch import LovaszHingeLoss, LovaszLoss, LovaszSoftmaxLoss, lovasz_hinge, lovasz_softmax

generator = torch.Generator().manual_seed(1)


def batch(n=3, c=5, size=(9, 8), sure=2.0, ignored=()):
    target = torch.randint(0, c, (n, *size), generator=generator)
    x = torch.randn((n, c, *size), generator=generator)
    x.scatter_add_(1, target[:, None], torch.full((n, 1, *size), sure))
    for i, label in enumerate(ignored):
        target[:, i] = label
    return x, target


def run(loss, x, target, scale=None):
    """Returns loss and gradient, of the sum if there is more than one."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_(True)
    value = loss(x, target)
    (value.sum() if scale is None else (value * scale).sum()).backward()
    assert x.grad.shape == x.shape and x.grad.dtype == x.dtype
    return value.detach(), x.grad


def check(loss, x, target, want=reference.loss, **options):
    value, gradient = run(loss, x, target)
    wanted, wanted_gradient = reference.gradient(want, x.float(), target, **options)
    assert value.item() == pytest.approx(wanted.item(), rel=3e-6, abs=1e-9)
    reference.close(gradient, wanted_gradient)


@pytest.mark.parametrize("ignored", [(), (255,), (-100, 2)], ids=str)
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"classes": "all"},
        {"classes": [0, 3]},
        {"weight": [1, 0, 2, 3, 0.5]},
        {"weight": torch.tensor([1, 0, 2, 3, 0.5])},
        {"cross_entropy": 0.5},
        {"mode": "multilabel"},
        {"mode": "multilabel", "cross_entropy": 1.5, "classes": "all"},
    ],
    ids=str,
)
def test_softmax(options, per_image, ignored):
    x, target = batch(ignored=ignored)
    target[0, 3:][target[0, 3:] == 4] = 1
    loss = LovaszSoftmaxLoss(ignore_index=ignored if ignored else None, per_image=per_image, **options)
    check(loss, x, target, ignore=ignored, per_image=per_image, **options)


@pytest.mark.parametrize("shape", [(7, 5), (2, 5, 30), (1, 5, 6, 7), (2, 5, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("per_image", [False, True])
def test_shapes(shape, per_image):
    x = torch.randn(shape, generator=generator)
    target = torch.randint(0, 5, (shape[0], *shape[2:]), generator=generator)
    check(LovaszSoftmaxLoss(per_image=per_image), x, target, per_image=per_image)
    assert torch.equal(LovaszSoftmaxLoss()(x, target[:, None]), LovaszSoftmaxLoss()(x, target))


def test_probabilities():
    x, target = batch()
    p = x.softmax(1)
    check(LovaszSoftmaxLoss(from_logits=False), p, target, from_logits=False)
    check(LovaszSoftmaxLoss(from_logits=False), p.to(memory_format=torch.channels_last), target, from_logits=False)
    check(lovasz_softmax, p, target, from_logits=False)


def test_binary():
    x, target = batch(c=2, ignored=(255,))
    x = x[:, :1]
    for options in ({}, {"cross_entropy": 0.5}, {"per_image": True}):
        check(LovaszSoftmaxLoss(mode="binary", ignore_index=255, **options), x, target, ignore=(255,), mode="binary", **options)
    loss = LovaszSoftmaxLoss(mode="binary", ignore_index=255)
    value, gradient = run(loss, x, target)
    for shaped, labels in ((x[:, 0], target), (x[:, 0], target[:, None]), (x, target[:, None]), (x, target[:, None].float())):
        again, shaped_gradient = run(loss, shaped, labels)
        assert again == value and torch.equal(shaped_gradient.view_as(gradient), gradient)


@pytest.mark.parametrize("ignored", [(), (255,)], ids=str)
@pytest.mark.parametrize("per_image", [False, True])
def test_hinge(per_image, ignored):
    x, target = batch(c=2, ignored=ignored)
    x = x[:, 0]
    loss = LovaszHingeLoss(ignore_index=255, per_image=per_image)
    check(loss, x, target, reference.hinge, ignore=ignored, per_image=per_image)
    check(loss, x, target.float(), reference.hinge, ignore=ignored, per_image=per_image)
    function = lambda x, y: lovasz_hinge(x, y, per_image, 255 if ignored else None)
    assert torch.equal(run(function, x, target)[1], run(loss, x, target)[1])
    volume = x.view(3, 3, 3, 8)
    assert torch.equal(run(loss, volume, target.view(3, 3, 3, 8))[1].view_as(x), run(loss, x, target)[1])


@pytest.mark.parametrize("per_image", [False, True])
def test_smp(per_image):
    """What segmentation_models.pytorch computes."""
    x, target = batch(ignored=(255,))
    options = {"per_image": per_image, "ignore_index": 255}
    check(LovaszLoss("multiclass", **options), x, target, ignore=(255,), per_image=per_image)
    check(LovaszLoss("multiclass", from_logits=False, **options), x.softmax(1), target, ignore=(255,), per_image=per_image, from_logits=False)
    check(LovaszLoss("binary", **options), x[:, :1], (target == 255) * 254 + (target > 2), reference.hinge, ignore=(255,), per_image=per_image)
    masks = torch.randint(0, 2, x.shape, generator=generator)
    masks[:, 2, 3:5] = 255
    for y in (masks, masks.float()):
        check(LovaszLoss("multilabel", **options), x, y, reference.hinge, ignore=(255,), per_image=per_image)
    with pytest.raises(ValueError, match="mode is 'multi'"):
        LovaszLoss("multi")


def test_reference_functions():
    x, target = batch()
    p = x.softmax(1)
    for options in ({}, {"classes": "all"}, {"classes": [1, 2]}, {"per_image": True}):
        check(lambda x, y: lovasz_softmax(x, y, **options), p, target, from_logits=False, **options)
    void = target.clone()
    void[:, 2] = 3
    check(lambda x, y: lovasz_softmax(x, y, "present", False, 3), p, void, from_logits=False, ignore=(3,))
    # the label 255 is background for every class, unless it is ignored
    void[:, 2] = 255
    losses = []
    flat = p.double().movedim(1, -1).reshape(-1, 5)
    for k in range(5):
        foreground = void.reshape(-1) == k
        losses.append(reference.sorted_loss((foreground.double() - flat[:, k]).abs(), foreground))
    assert lovasz_softmax(p, void).item() == pytest.approx((sum(losses) / 5).item(), rel=3e-6)
    with pytest.raises(ValueError, match="label 77"):
        lovasz_softmax(p, void.masked_fill(void == 255, 77))
    # one plane is the probability of the class that is named
    q = p[:, 1]
    mask = (target == 1).long()
    mask[0, 0] = 9
    check(lambda x, y: lovasz_softmax(x[:, 0], y, classes=[1], ignore=9), q[:, None], mask, mode="binary", classes="all", ignore=(9,), from_logits=False)
    check(lambda x, y: lovasz_softmax(x, 1 - y, classes=[0]), q[:, None], (target == 1).long(), mode="binary", classes="all", from_logits=False)
    with pytest.raises(ValueError, match="Sigmoid output possible only with 1 class"):
        lovasz_softmax(q, mask)


def test_reduction():
    for ignored, options in (((), {}), ((255,), {"cross_entropy": 0.5}), ((), {"method": "binned"}), ((), {"mode": "multilabel"})):
        x, target = batch(ignored=ignored)
        if ignored:
            target[1] = 255
        loss = LovaszSoftmaxLoss(reduction="none", ignore_index=255, **options)
        scale = torch.tensor([2.0, 3.0, -0.5])
        each, gradient = run(loss, x, target, scale)
        one = LovaszSoftmaxLoss(ignore_index=255, **options)
        for i in range(3):
            value, wanted = run(one, x[i : i + 1], target[i : i + 1])
            assert each[i] == value
            torch.testing.assert_close(gradient[i : i + 1], wanted * scale[i], rtol=1e-6, atol=0)
    x, target = batch(c=2)
    each, gradient = run(LovaszHingeLoss(reduction="none"), x[:, 1], target)
    torch.testing.assert_close(each.mean(), LovaszHingeLoss(per_image=True)(x[:, 1], target))
    empty = LovaszSoftmaxLoss(reduction="none")(torch.zeros(0, 3, 2, 2), torch.zeros(0, 2, 2).long())
    assert empty.shape == (0,)
    assert LovaszSoftmaxLoss(reduction="none")(x.double(), target * 0).add_(1).dtype == torch.float64
    with pytest.raises(ValueError, match="reduction is 'sum'"):
        LovaszSoftmaxLoss(reduction="sum")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_float_types(dtype):
    x, target = batch()
    x = x.to(dtype)
    loss = LovaszSoftmaxLoss()
    value, gradient = run(loss, x, target)
    wanted, wanted_gradient = run(loss, x.float(), target)
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert value.float() == wanted
    assert torch.equal(gradient, wanted_gradient.to(dtype))
    # a scaled loss keeps what would be subnormal in half precision
    assert torch.equal(run(loss, x, target, 65536.0)[1], (wanted_gradient * 65536).to(dtype))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.float32, torch.float64])
def test_target_types(dtype):
    x, target = batch()
    loss = LovaszSoftmaxLoss()
    assert torch.equal(loss(x, target.to(dtype)), loss(x, target))


@pytest.mark.parametrize("options", [{}, {"per_image": True}, {"cross_entropy": 1.0}, {"method": "binned"}, {"reduction": "none"}], ids=str)
def test_layouts(options):
    x, target = batch(size=(8, 16))
    loss = LovaszSoftmaxLoss(**options)
    value, gradient = run(loss, x, target)
    last = x.to(memory_format=torch.channels_last)
    assert not last.is_contiguous()
    got, got_gradient = run(loss, last, target)
    assert torch.equal(got, value) and torch.equal(got_gradient, gradient)
    assert got_gradient.is_contiguous(memory_format=torch.channels_last)
    for strided, labels in ((x.transpose(2, 3).contiguous().transpose(2, 3), target), (x.expand(3, 5, 8, 16)[:, :, :, ::2], target[:, :, ::2])):
        got, got_gradient = run(loss, strided, labels)
        want, want_gradient = run(loss, strided.contiguous(), labels.contiguous())
        assert torch.equal(got, want) and torch.equal(got_gradient, want_gradient)


def test_masks():
    x, target = batch()
    masks = torch.nn.functional.one_hot(target, 5).movedim(-1, 1)
    loss = LovaszSoftmaxLoss(mode="multilabel", cross_entropy=0.5, ignore_index=7)
    value, gradient = run(loss, x, target)
    for kind in (torch.bool, torch.uint8, torch.int64, torch.float32):
        got, got_gradient = run(loss, x, masks.to(kind))
        assert got == value and torch.equal(got_gradient, gradient)
    last = x.to(memory_format=torch.channels_last)
    assert torch.equal(run(loss, last, masks)[1], gradient)

    masks = torch.randint(0, 2, x.shape, generator=generator)
    masks[:, 1, 2:4] = 7
    masks[0, 2] = 0
    for options in ({}, {"classes": "all"}, {"cross_entropy": 0.5}, {"per_image": True}, {"weight": [1, 2, 3, 4, 0]}):
        loss = LovaszSoftmaxLoss(mode="multilabel", ignore_index=7, **options)
        for y in (masks, masks.float(), masks.to(torch.uint8)):
            check(loss, x, y, mode="multilabel", ignore=(7,), **options)
    p = x.sigmoid()
    check(LovaszSoftmaxLoss(mode="multilabel", ignore_index=7, from_logits=False), p, masks, mode="multilabel", ignore=(7,), from_logits=False)
    with pytest.raises(ValueError, match="masks hold 7"):
        LovaszSoftmaxLoss(mode="multilabel")(x, masks)
    with pytest.raises(ValueError, match="masks hold 0.5"):
        LovaszSoftmaxLoss(mode="multilabel")(x, torch.full_like(x, 0.5))


SMOOTH = [{"label_smoothing": 0.1}, {"cross_entropy_weight": [1, 2, 0, 0.5, 3]}, {"label_smoothing": 0.3, "cross_entropy_weight": [1, 2, 0.1, 0.5, 3]}]


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("options", SMOOTH, ids=str)
def test_cross_entropy(options, mode, per_image):
    x, target = batch(ignored=(255,))
    options = {"cross_entropy": 2.0, "mode": mode, "per_image": per_image, **options}
    check(LovaszSoftmaxLoss(ignore_index=255, **options), x, target, ignore=(255,), **options)


def test_binned():
    x, target = batch()
    exact, gradient = run(LovaszSoftmaxLoss(), x, target)
    binned, binned_gradient = run(LovaszSoftmaxLoss(method="binned"), x, target)
    assert binned.item() == pytest.approx(exact.item(), rel=0.01)
    reference.close(binned_gradient, gradient.double(), 0.05)
    assert not torch.equal(binned_gradient, gradient)


def test_empty():
    for shape in ((0, 3, 4, 4), (2, 3, 0, 4), (0, 3)):
        x = torch.zeros(shape, requires_grad=True)
        for options in ({}, {"per_image": True}, {"cross_entropy": 1.0}):
            value = LovaszSoftmaxLoss(**options)(x, torch.zeros(shape[0], *shape[2:]).long())
            value.backward()
            assert value == 0 and x.grad.shape == shape
    x, target = batch()
    value, gradient = run(LovaszSoftmaxLoss(ignore_index=255), torch.full_like(x, float("nan")), torch.full_like(target, 255))
    assert value == 0 and not gradient.any()
    value, gradient = run(LovaszHingeLoss(), torch.zeros(0, 4), torch.zeros(0, 4))
    assert value == 0


def test_errors():
    x, target = batch()
    for loss, a, b, text in (
        (LovaszSoftmaxLoss(), x, target + 1, "lanewise: label 5 at pixel .* is outside \\[0, 5\\) and not in VoidLabels"),
        (LovaszSoftmaxLoss(), x, target - 2**33, "not all int32"),
        (LovaszSoftmaxLoss(), x, target + 0.25, "labels hold .*, want integers"),
        (LovaszSoftmaxLoss(), x, target[:, 1:], "labels of shape \\(3, 8, 8\\) for logits of shape \\(3, 5, 9, 8\\), want \\(3, 9, 8\\)"),
        (LovaszSoftmaxLoss(), x / 0, target, "logit of pixel 0, class . is .*Inf"),
        (LovaszSoftmaxLoss(), x.long(), target, "the input is torch.int64"),
        (LovaszSoftmaxLoss(), x[:, :1], target * 0, "softmax of one class"),
        (LovaszSoftmaxLoss(weight=[1]), x, target, "1 Weights for 5 classes"),
        (LovaszSoftmaxLoss(cross_entropy=-1), x, target, "CrossEntropy is -1"),
        (LovaszSoftmaxLoss(cross_entropy=1, label_smoothing=1), x, target, "LabelSmoothing is 1"),
        (LovaszSoftmaxLoss(cross_entropy=1, from_logits=False), x.softmax(1), target, "it needs logits"),
        (LovaszSoftmaxLoss(from_logits=False), x, target, "outside \\[0, 1\\]"),
        (LovaszSoftmaxLoss(mode="binary"), x[:, 0], target, "label [2-4] at pixel"),
        (LovaszSoftmaxLoss(reduction="none"), x, target + 5 * (torch.arange(3).view(3, 1, 1) == 2), "image 2: lanewise: label"),
        (LovaszHingeLoss(), x[:, 0], target, "label [2-4] at pixel"),
        (LovaszHingeLoss(), x, target, "labels of shape"),
    ):
        for need in (False, True):
            with pytest.raises(ValueError, match=text):
                loss(a.clone().requires_grad_(need) if a.is_floating_point() else a, b)
    for options in ({"mode": "x"}, {"method": "x"}, {"classes": "x"}, {"weight": "x"}, {"ignore_index": 0.5}, {"cross_entropy": None}):
        with pytest.raises(ValueError, match="lanewise: "):
            LovaszSoftmaxLoss(**options)


def test_no_gradient():
    x, target = batch()
    loss = LovaszSoftmaxLoss()
    with torch.no_grad():
        value = loss(x.requires_grad_(True), target)
    assert not value.requires_grad
    assert loss(x, target).requires_grad and not loss(x.detach(), target).requires_grad
    assert value == loss(x, target)


def test_backward_again():
    """The gradient is handed over, and whoever has it may write to it: a second backward has another."""
    x, target = batch()
    loss = LovaszSoftmaxLoss()
    _, want = run(loss, x, target)
    x.requires_grad_(True)
    value = loss(x, target)
    (first,) = torch.autograd.grad(value, x, retain_graph=True)
    first.zero_()
    (second,) = torch.autograd.grad(value * 2, x, retain_graph=True)
    assert torch.equal(second, want * 2)
    with pytest.raises(RuntimeError):
        (g,) = torch.autograd.grad(loss(x, target), x, create_graph=True)
        g.sum().backward()
    # nor is a second derivative left out where only a part of it is the loss's
    for of_loss in (None, torch.tensor(2.0), torch.tensor(2.0, requires_grad=True)):
        (g,) = torch.autograd.grad(loss(x * x, target), x, of_loss, create_graph=True)
        torch.testing.assert_close(g, torch.autograd.grad(loss(x * x, target), x, of_loss)[0])
        with pytest.raises(RuntimeError, match="lanewise: the loss has no second derivative"):
            g.sum().backward()


def test_gradients_are_kept():
    """No later call writes to a gradient that is in use."""
    x, target = batch()
    loss = LovaszSoftmaxLoss()
    inputs = [(x * i).requires_grad_(True) for i in range(1, 6)]
    values = [loss(i, target) for i in inputs]
    for v in values:
        v.backward()
    kept = [i.grad.clone() for i in inputs]
    for i in range(20):
        run(loss, x * i, target)
    for i, k in zip(inputs, kept):
        assert torch.equal(i.grad, k)
    weights = torch.ones((), requires_grad=True)
    (loss(x * weights, target) + loss(x * 2 * weights, target)).backward()
    assert weights.grad.isfinite()
    lanewise.shutdown()
    for i, k in zip(inputs, kept):
        assert torch.equal(i.grad, k)


def test_gradient_lies_in_shared_memory():
    x, target = batch(size=(32, 32))
    x.requires_grad_(True)
    LovaszSoftmaxLoss()(x, target).backward()
    with open("/proc/self/maps") as f:
        spans = [line.split()[0].split("-") for line in f if "memfd:lanewise" in line]
    assert any(int(a, 16) <= x.grad.data_ptr() < int(b, 16) for a, b in spans)


def test_training():
    torch.manual_seed(0)
    x, target = batch(size=(16, 16), sure=1.0)
    net = torch.nn.Conv2d(5, 5, 3, padding=1)
    loss = LovaszSoftmaxLoss(cross_entropy=0.5)
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        value = loss(net(x), target)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.7 * losses[0]


def test_modules():
    loss = LovaszSoftmaxLoss(weight=np.ones(5), ignore_index=255)
    x, target = batch()
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), torch.nn.Sequential(loss)[0].cpu().double().eval()):
        assert torch.equal(other(x, target), loss(x, target))
    other = LovaszSoftmaxLoss(weight=torch.ones(5), ignore_index=np.int64(255), classes=range(5), per_image=np.bool_(False), cross_entropy=np.float32(0))
    assert torch.equal(copy.deepcopy(other)(x, target), LovaszSoftmaxLoss(weight=[1] * 5, ignore_index=torch.tensor([255]), classes=list(range(5)))(x, target))
    assert not loss.state_dict() and "ignore_index=255" in repr(loss)


class Losses(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        x, target = batch()
        value = LovaszSoftmaxLoss()(x, target)
        # not by backward: torch's engine refuses after a fork
        return x, target, value, lanewise.lovasz_softmax(x.numpy(), target.numpy()).gradient


def test_data_loader():
    x, target = batch()
    loss = LovaszSoftmaxLoss()
    before = loss(x, target)
    for _ in range(2):
        for xs, targets, values, gradients in DataLoader(Losses(), batch_size=2, num_workers=2, multiprocessing_context="fork"):
            assert torch.equal(loss(x, target), before)
            for i in range(2):
                value, gradient = run(loss, xs[i], targets[i])
                assert value == values[i] and torch.equal(gradient, gradients[i])


def test_threads():
    x, target = batch(size=(64, 64))
    want = run(LovaszSoftmaxLoss(), x, target)
    before = torch.get_num_threads()
    try:
        for n in (1, 2, 5):
            torch.set_num_threads(n)
            got = run(LovaszSoftmaxLoss(), x, target)
            assert torch.equal(got[0], want[0]) and torch.equal(got[1], want[1])
    finally:
        torch.set_num_threads(before)


def test_autocast():
    x, target = batch()
    net = torch.nn.Conv2d(5, 5, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = net(x)
        assert y.dtype == torch.bfloat16
        value = LovaszSoftmaxLoss()(y, target)
    value.backward()
    assert value.dtype == torch.float32 and net.weight.grad.isfinite().all()


@pytest.mark.skipif(not hasattr(torch, "compile"), reason="torch.compile came with 2.0")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compile(backend):
    whole = hasattr(torch.library, "custom_op")
    for options in ({}, {"reduction": "none"}, {"classes": [1, 2], "weight": [1, 2, 3, 4, 5]}):
        loss = LovaszSoftmaxLoss(**options)
        for x, target in (batch(), (batch()[0].to(memory_format=torch.channels_last), batch()[1]), (batch()[0].half(), batch()[1])):
            torch._dynamo.reset()
            compiled = torch.compile(lambda x, y: loss(x * 2, y) + 1, backend=backend, fullgraph=whole, dynamic=False)
            got, got_gradient = run(compiled, x, target)
            want, want_gradient = run(lambda x, y: loss(x * 2, y) + 1, x, target)
            assert torch.equal(got, want) and torch.equal(got_gradient, want_gradient)
            with torch.no_grad():
                assert torch.equal(compiled(x, target), want)
    hinge = torch.compile(LovaszHingeLoss(), backend=backend, fullgraph=whole)
    x, target = batch(c=2)
    assert torch.equal(run(hinge, x[:, 0], target)[1], run(LovaszHingeLoss(), x[:, 0], target)[1])
    with pytest.raises(Exception, match="label 9"):
        hinge(x[:, 0], target.masked_fill(target == 1, 9))


@pytest.mark.skipif(not hasattr(torch.library, "opcheck"), reason="needs custom_op")
def test_operator():
    for x, target in (batch(), (batch()[0].to(memory_format=torch.channels_last), batch()[1])):
        for each in (False, True):
            text = lanewise.torch._Loss(each=each).text
            torch.library.opcheck(lanewise.torch._compiled, (x.requires_grad_(True), target, text, True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_cuda():
    x, target = batch()
    want = run(LovaszSoftmaxLoss(), x, target)
    got = run(LovaszSoftmaxLoss(), x.cuda(), target.cuda())
    assert got[0].is_cuda and got[1].is_cuda
    assert torch.equal(got[0].cpu(), want[0]) and torch.equal(got[1].cpu(), want[1])
