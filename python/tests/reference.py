"""The losses as their definitions say, in torch's float64, with its sort and its autograd."""

import torch
import torch.nn.functional as F


def lovasz_grad(foreground):
    foreground = foreground.double()
    total = foreground.sum()
    intersection = total - foreground.cumsum(0)
    union = total + (1 - foreground).cumsum(0)
    jaccard = 1 - intersection / union
    return torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])


def sorted_loss(errors, foreground):
    errors, order = errors.sort(descending=True)
    return errors @ lovasz_grad(foreground[order])


def mean(losses, weights=None):
    """The mean of (loss, weight) pairs; None without any."""
    pairs = [(l, w) for l, w in losses if w > 0]
    if not pairs:
        return None
    return sum(l * w for l, w in pairs) / sum(w for _, w in pairs)


def loss(
    x,
    y,
    mode="multiclass",
    classes="present",
    ignore=(),
    per_image=False,
    weight=None,
    cross_entropy=0.0,
    cross_entropy_weight=None,
    label_smoothing=0.0,
    from_logits=True,
):
    """x is float64 [N, C, …], y labels [N, …], or masks [N, C, …] with mode "multilabel"; binary: [N, 1, …] and [N, …]."""
    n, c = x.shape[:2]
    x = x.reshape(n, c, -1)
    masks = mode == "multilabel" and y.numel() == x.numel()
    y = y.reshape(n, c, -1).long() if masks else y.reshape(n, 1, -1).long()
    void = torch.zeros(y.shape, dtype=torch.bool)
    for label in ignore:
        void |= y == label
    if not from_logits:
        p = x
    elif mode == "multiclass":
        p = x.softmax(1)
    else:
        p = x.sigmoid()

    def of(images):
        terms = []
        for k in range(c):
            if not isinstance(classes, str) and k not in classes:
                continue
            at = k if masks else 0
            keep = ~void[images, at].reshape(-1)
            labels = y[images, at].reshape(-1)[keep]
            foreground = labels == (1 if masks or mode == "binary" else k)
            if len(labels) == 0 or classes == "present" and not foreground.any():
                continue
            error = (foreground.double() - p[images, k].reshape(-1)[keep]).abs()
            terms.append((sorted_loss(error, foreground), 1.0 if weight is None else float(weight[k])))
        result = mean(terms)
        entropy = entropy_of(images)
        if result is None and entropy is None:
            return None
        return (0 if result is None else result) + cross_entropy * (0 if entropy is None else entropy)

    def entropy_of(images):
        if cross_entropy == 0:
            return None
        if mode == "multiclass":
            logits, labels = x[images].movedim(1, -1).reshape(-1, c), y[images, 0].reshape(-1)
            keep = ~void[images, 0].reshape(-1)
            if not keep.any():
                return None
            w = None if cross_entropy_weight is None else torch.tensor(cross_entropy_weight).double()
            return F.cross_entropy(logits[keep], labels[keep], weight=w, label_smoothing=label_smoothing)
        labels = y[images]
        if not masks:
            wanted = torch.arange(c).view(1, c, 1) if mode == "multilabel" else torch.ones(1, 1, 1)
            labels = (labels == wanted).long()
        keep = ~void[images].expand_as(labels)
        if not keep.any():
            return None
        target = labels.double() * (1 - label_smoothing) + label_smoothing / 2
        terms = F.binary_cross_entropy_with_logits(x[images], target, reduction="none")
        w = torch.ones(c) if cross_entropy_weight is None else torch.tensor(cross_entropy_weight)
        w = w.double().view(1, c, 1).expand_as(terms)
        return (terms * w)[keep].sum() / w[keep].sum()

    groups = [slice(i, i + 1) for i in range(n)] if per_image else [slice(0, n)]
    losses = [l for l in map(of, groups) if l is not None]
    return sum(losses) / len(losses) if losses else x.sum() * 0


def hinge(x, y, ignore=(), per_image=False):
    """x is float64 [N, …], y labels 0 or 1."""
    n = len(x)
    x, y = x.reshape(n, -1), y.reshape(n, -1).long()
    groups = [slice(i, i + 1) for i in range(n)] if per_image else [slice(0, n)]
    losses = []
    for images in groups:
        scores, labels = x[images].reshape(-1), y[images].reshape(-1)
        keep = torch.ones(labels.shape, dtype=torch.bool)
        for label in ignore:
            keep &= labels != label
        scores, labels = scores[keep], labels[keep]
        if len(labels):
            losses.append(sorted_loss((1 - scores * (2 * labels - 1)).clamp(min=0), labels))
    return sum(losses) / len(losses) if losses else x.sum() * 0


def gradient(function, x, *args, **options):
    """Returns loss and gradient."""
    x = x.double().detach().requires_grad_(True)
    value = function(x, *args, **options)
    value.backward()
    return value.detach(), x.grad


def close(got, want, tolerance=2e-5):
    """Asserts that two gradients agree, as vectors: where float32 orders two errors otherwise than float64, single numbers differ."""
    difference = (got.double() - want).norm().item()
    assert difference <= tolerance * want.norm().item() + 1e-12, (difference, want.norm().item())
