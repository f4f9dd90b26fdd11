"""Lovász losses for PyTorch: modules, and functions with the signatures of the reference implementation.

The gradient is computed with the loss, in float32, on the CPU, by the worker process of this package. Tensors may be float32, float16,
bfloat16 or float64, contiguous or channels_last, on any device.
"""

import functools
import json

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from . import _worker
from ._options import VOID_MASK, Options, counts, listed, num_threads

__all__ = ["LovaszHingeLoss", "LovaszLoss", "LovaszSoftmaxLoss", "lovasz_hinge", "lovasz_softmax"]


class LovaszSoftmaxLoss(nn.Module):
    """The Lovász-Softmax loss of logits (N, C, …) and a target (N, …) of class ids.

    classes: "present", the mean over classes that have a pixel; "all"; or class ids, the mean over these, absent ones too.
    ignore_index: a label, or several, whose pixels take no part and have gradient 0. With masks it is a value of theirs, and the class takes
        no part at that pixel.
    per_image: the mean of the losses of the images that take part, instead of one loss of all pixels of the batch.
    weight: of each class in the mean, C numbers.
    cross_entropy: λ, adds λ times the mean cross-entropy (binary, multilabel: the binary one), from the same pass. Its class weights,
        cross_entropy_weight, and label_smoothing are those of torch.nn.CrossEntropyLoss.
    mode: "multiclass", the softmax over the classes; "binary", the sigmoid of one class: input (N, …) or (N, 1, …), target 0 or 1;
        "multilabel", the sigmoid of every class: the target is masks (N, C, …) of 0 and 1, or labels (N, …).
    from_logits: False takes probabilities.
    method: "exact"; or "binned", where errors that agree in 9 bits of mantissa count as ties: somewhat faster, and within a percent.
    reduction: "mean", a scalar; "none", the loss of every image by itself, [N].
    process_group: of torch.distributed; the loss is that of the pixels of all its ranks, the same bits for any number of ranks. It implies
        "binned" and knows neither per_image, cross_entropy nor reduction="none". All ranks call forward together. The gradient is that of
        the sum of the ranks' (equal) losses, as autograd through collectives has it: DistributedDataParallel, which averages over the
        ranks, makes of it the gradient of the one loss.

    The target is integers, bool, or floats that are integers. The loss is float64 for float64, else float32; bad values are a ValueError that
    says which, and where. Backward may be called once per forward without computing anything; again (retain_graph) it computes anew. There
    is no second derivative.
    """

    def __init__(
        self,
        classes="present",
        ignore_index=None,
        per_image=False,
        weight=None,
        cross_entropy=0.0,
        label_smoothing=0.0,
        mode="multiclass",
        from_logits=True,
        method="exact",
        reduction="mean",
        process_group=None,
        cross_entropy_weight=None,
    ):
        super().__init__()
        self.process_group = process_group
        self._loss = _Loss(
            mode=mode,
            classes=classes,
            ignore_index=ignore_index,
            per_image=per_image,
            weight=weight,
            cross_entropy=cross_entropy,
            cross_entropy_weight=cross_entropy_weight,
            label_smoothing=label_smoothing,
            from_logits=from_logits,
            method=method if process_group is None else "binned",
            each=_each(reduction),
        )
        if process_group is not None and (per_image or cross_entropy or reduction == "none"):
            raise ValueError("lanewise: a loss over a process_group has no per_image, cross_entropy or reduction 'none'")

    def forward(self, input, target):
        return self._loss(input, target, self.process_group)

    def extra_repr(self):
        return str(self._loss)


class LovaszHingeLoss(nn.Module):
    """The binary Lovász hinge loss of scores (N, …), without a sigmoid, and a target of the same shape, 0 or 1; (N, 1, …) is (N, …).

    The arguments are those of LovaszSoftmaxLoss.
    """

    def __init__(self, ignore_index=None, per_image=False, reduction="mean"):
        super().__init__()
        self._loss = _Loss(mode="binary", hinge=True, ignore_index=ignore_index, per_image=per_image, each=_each(reduction))

    def forward(self, input, target):
        return self._loss(input, target)

    def extra_repr(self):
        return str(self._loss)


class LovaszLoss(nn.Module):
    """segmentation_models.pytorch's LovaszLoss: "multiclass" is Lovász-Softmax over the classes present; "binary" and "multilabel" are the
    hinge, over all classes of an image together, with a target of the shape of y_pred.

    from_logits=False takes probabilities in multiclass mode, where that library takes the softmax of them; the hinge takes scores.
    """

    def __init__(self, mode, per_image=False, ignore_index=None, from_logits=True):
        super().__init__()
        self.mode = mode
        hinge = mode in ("binary", "multilabel")
        self._loss = _Loss(
            mode="binary" if hinge else mode, hinge=hinge, per_image=per_image, ignore_index=ignore_index, from_logits=from_logits
        )

    def forward(self, y_pred, y_true):
        return self._loss(y_pred, y_true)

    def extra_repr(self):
        return str(self._loss)


def lovasz_softmax(probas, labels, classes="present", per_image=False, ignore=None):
    """Returns the Lovász-Softmax loss of probabilities, as the reference implementation does.

    probas: [B, C, H, W], or any number of axes of pixels; [B, H, W], of one class, needs classes=[c], whose label is c.
    labels: [B, H, W].
    classes: "present", "all", or class ids.
    per_image: the mean of the losses of the images; here of those that have a pixel.
    ignore: a label whose pixels take no part. Without it the label 255, unless it is a class, is background for every class; other labels
        outside the classes, which the reference takes so, are a ValueError.
    """
    if probas.dim() == 3:
        probas = probas.unsqueeze(1)
    if probas.dim() > 1 and probas.shape[1] == 1:
        if isinstance(classes, str) or len(classes) != 1:
            raise ValueError("Sigmoid output possible only with 1 class")
        foreground = labels == classes[0]
        target = foreground.to(torch.uint8) if ignore is None else torch.where(labels == ignore, VOID_MASK, foreground.to(torch.int32))
        return _loss(mode="binary", classes=(0,), ignore_index=VOID_MASK, per_image=per_image, from_logits=False)(probas, target)
    as_background = ignore is None and probas.dim() > 1 and probas.shape[1] <= 255
    return _loss(
        classes=classes if isinstance(classes, str) else tuple(classes),
        ignore_index=255 if as_background else ignore,
        as_background=as_background,
        per_image=per_image,
        from_logits=False,
    )(probas, labels)


def lovasz_hinge(logits, labels, per_image=True, ignore=None):
    """Returns the binary Lovász hinge loss, as the reference implementation does.

    logits: [B, H, W], or any other shape.
    labels: of that shape, 0 or 1.
    per_image: the mean of the losses of the images; here of those that have a pixel.
    ignore: a label whose pixels take no part.
    """
    return _loss(mode="binary", hinge=True, per_image=per_image, ignore_index=ignore)(logits, labels)


def _each(reduction):
    if reduction not in ("mean", "none"):
        raise ValueError(f"lanewise: reduction is {reduction!r}, want 'mean' or 'none'")
    return reduction == "none"


class _Loss:
    """A loss with its options."""

    def __init__(self, **options):
        self.options = Options(**options)
        self.text = json.dumps(options, default=listed)

    def __str__(self):
        return ", ".join(f"{k}={v!r}" for k, v in json.loads(self.text).items())

    def __call__(self, x, target, group=None):
        gradient = torch.is_grad_enabled() and x.requires_grad
        if _compiling() and group is None:
            return _compiled(x, target, self.text, gradient)[0]
        return _eager(x, target, self.options, group, gradient)


@functools.lru_cache(maxsize=64)
def _loss(**options):
    return _Loss(**options)


def _eager(x, target, options, group, gradient):
    if gradient:
        return _Function.apply(x, target, options, group)
    return _compute(x, target, options, group, False)[0]


if hasattr(torch, "compiler") and hasattr(torch.compiler, "disable"):
    _eager = torch.compiler.disable(_eager)


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, target, options, group):
        loss, ctx.gradient = _compute(x, target, options, group, True)
        ctx.save_for_backward(x, target)
        ctx.options, ctx.group = options, group
        return loss

    @staticmethod
    def backward(ctx, of_loss):
        if torch.is_grad_enabled():  # create_graph
            return _Derivative.apply(ctx, of_loss, ctx.saved_tensors[0]), None, None, None
        return _Function.gradient(ctx, of_loss), None, None, None

    @staticmethod
    def gradient(ctx, of_loss):
        # The gradient is handed over: whoever gets it may write to it, so that another backward needs another one.
        gradient, ctx.gradient = ctx.gradient, None
        x, target = ctx.saved_tensors
        if gradient is None:
            if ctx.group is not None:
                raise RuntimeError("lanewise: backward a second time through a loss over a process_group")
            gradient = _compute(x, target, ctx.options, None, True)[1]
        return _scaled(gradient.to(x.device), of_loss).to(x.dtype)


class _Derivative(torch.autograd.Function):
    """The gradient, as a function of the input that has no derivative. (torch's once_differentiable takes it as a constant.)"""

    @staticmethod
    def forward(_, of, of_loss, x):
        return _Function.gradient(of, of_loss)

    @staticmethod
    def backward(*_):
        raise RuntimeError("lanewise: the loss has no second derivative")


def _scaled(gradient, of_loss):
    """Multiplies the gradient of a scalar, or of one number for each image, in place."""
    if of_loss.dim() == 0:
        if gradient.is_cpu and of_loss.item() == 1:
            return gradient
        return gradient.mul_(of_loss)
    return gradient.mul_(of_loss.view(-1, *(1,) * (gradient.dim() - 1)))


def _compute(x, target, options, group, gradient):
    """Returns the loss, and the gradient if it is asked for, which is float32 on the CPU, where the worker left it."""
    if group is None:
        call, worker, lease, shared = _share(x, target, options)
        loss = options.run(worker, call, lease, num_threads(torch.get_num_threads()), gradient)
        if options.each:
            return x.new_tensor(loss, dtype=_loss_type(x)), shared
        loss = loss.loss
    else:
        loss, shared = _over_ranks(x, target, options, group, gradient)
    return x.new_full((), loss, dtype=_loss_type(x)), shared


def _loss_type(x):
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _channels_last(x, options):
    return x.dim() > 2 and options.mode != "binary" and not x.is_contiguous() and x.movedim(1, -1).is_contiguous()


def _share(x, target, options):
    """Copies input and target to a segment, and returns, beside what computes with them, the input there, in its own shape."""
    if not x.is_floating_point():
        raise ValueError(f"lanewise: the input is {x.dtype}, want floats")
    last = _channels_last(x, options)
    call = options.call(tuple(x.shape), tuple(target.shape), channels_last=last)
    worker = _worker.worker()
    lease = worker.lease(call.bytes)
    shared = torch.from_numpy(lease.array(np.float32, x.movedim(1, -1).shape if last else x.shape))
    if last:
        shared = shared.movedim(-1, 1)
        if call.masks:
            target = target.movedim(1, -1)
    shared.copy_(x)
    _copy_target(lease, call, target, options.ignored)
    return call, worker, lease, shared


def _copy_target(lease, call, target, ignored):
    if target.is_complex():
        raise ValueError(f"lanewise: the target is {target.dtype}, want integers")
    if call.masks:
        shared = torch.from_numpy(lease.array(np.uint8, target.shape, 4 * call.logits))
        if target.dtype == torch.bool:
            shared.copy_(target)
            return
        bad = (target != 0) & (target != 1)
        void = torch.zeros_like(bad)
        for label in ignored:
            void |= target == label
        bad &= ~void
        if bad.any():
            raise ValueError(f"lanewise: masks hold {target[bad][0].item()}, want 0, 1 or ignore_index")
        shared.copy_(target.masked_fill(void, 0) if ignored else target)
        if ignored:
            shared.masked_fill_(void.cpu(), VOID_MASK)
        return
    shared = torch.from_numpy(lease.array(np.int32, target.shape, 4 * call.logits))
    if target.numel() > 0 and (target.dtype == torch.int64 or target.is_floating_point()):
        low, high = torch.aminmax(target)
        low, high = low.item(), high.item()
        if not (low >= -(2**31) and high < 2**31):
            raise ValueError(f"lanewise: labels from {low} to {high}, which are not all int32")
    shared.copy_(target)
    if target.is_floating_point():
        bad = shared != target.cpu()
        if bad.any():
            raise ValueError(f"lanewise: labels hold {target.cpu()[bad][0].item()}, want integers")


def _over_ranks(x, target, options, group, gradient):
    """Returns the loss of the pixels of all ranks, and the gradient that this one's have of the sum of the ranks' losses."""
    threads = num_threads(torch.get_num_threads())
    try:
        call, worker, lease, shared = _share(x, target, options)
        header = options.request(call, lease, threads, False, "counts", Add=True, State=True)
        state, failed = counts(worker.request(header))[1], False
    except (ValueError, RuntimeError) as e:  # the other ranks must not wait for this one
        state, failed = str(e).encode(), True
    states = []
    for rank, (data, bad) in enumerate(_gather(state, failed, group)):
        if bad:
            raise ValueError(f"rank {rank}: {data.decode()}")
        states.append(data)
    header = options.request(call, lease, threads, gradient, "counts", States=tuple(len(s) for s in states))
    loss = counts(worker.request(header, states))[0].loss
    return loss, shared.mul_(len(states)) if gradient else None


def _gather(data, flag, group):
    """Returns the bytes and the flags of all ranks."""
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend(group) == "nccl" else torch.device("cpu")
    size = dist.get_world_size(group)
    mine = torch.tensor([len(data), flag], dtype=torch.int64, device=device)
    heads = [torch.empty_like(mine) for _ in range(size)]
    dist.all_gather(heads, mine, group=group)
    lengths, flags = zip(*(h.tolist() for h in heads))
    mine = torch.zeros(max(lengths), dtype=torch.uint8)
    mine[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    mine = mine.to(device)
    parts = [torch.empty_like(mine) for _ in range(size)]
    dist.all_gather(parts, mine, group=group)
    return [(p[:n].cpu().numpy().tobytes(), bool(f)) for p, n, f in zip(parts, lengths, flags)]


def _compiling():
    return False


if hasattr(torch.library, "custom_op") and hasattr(torch.compiler, "is_compiling"):
    from typing import Tuple

    from torch import Tensor

    _compiling = torch.compiler.is_compiling

    @functools.lru_cache(maxsize=64)
    def _options(text):
        options = json.loads(text)
        if isinstance(options.get("classes"), list):
            options["classes"] = tuple(options["classes"])
        return Options(**options)

    @torch.library.custom_op("lanewise::loss", mutates_args=())
    def _compiled(x: Tensor, target: Tensor, options: str, gradient: bool) -> Tuple[Tensor, Tensor]:
        loss, result = _compute(x, target, _options(options), None, gradient)
        return loss, result.to(x.device) if gradient else x.new_empty(0, dtype=torch.float32)

    @_compiled.register_fake
    def _(x, target, options, gradient):
        options = _options(options)
        loss = x.new_empty(x.shape[:1] if options.each else (), dtype=_loss_type(x))
        if not gradient:
            return loss, x.new_empty(0, dtype=torch.float32)
        if _channels_last(x, options):
            return loss, x.new_empty(x.movedim(1, -1).shape, dtype=torch.float32).movedim(-1, 1)
        return loss, x.new_empty(x.shape, dtype=torch.float32)

    def _setup(ctx, inputs, output):
        ctx.dtype = inputs[0].dtype
        ctx.save_for_backward(output[1])

    def _backward(ctx, of_loss, _):
        (gradient,) = ctx.saved_tensors
        if of_loss.dim() > 0:
            of_loss = of_loss.view(-1, *(1,) * (gradient.dim() - 1))
        return (gradient * of_loss).to(ctx.dtype), None, None, None

    _compiled.register_autograd(_backward, setup_context=_setup)
