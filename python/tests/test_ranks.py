"""One loss over the ranks of a process group."""

import tempfile

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from lanewise.torch import LovaszSoftmaxLoss


def data():
    generator = torch.Generator().manual_seed(5)
    target = torch.randint(0, 4, (6, 10, 12), generator=generator)
    target[:, 0] = 255
    return torch.randn((6, 4, 10, 12), generator=generator), target


OPTIONS = [{}, {"classes": "all", "weight": [1, 2, 3, 4]}, {"mode": "multilabel"}]
SPLITS = {1: [6], 2: [1, 5], 3: [4, 0, 2]}


def rank(rank, world, path, queue):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{path}/init", rank=rank, world_size=world)
    x, target = data()
    begin = sum(SPLITS[world][:rank])
    mine = slice(begin, begin + SPLITS[world][rank])
    for options in OPTIONS:
        loss = LovaszSoftmaxLoss(ignore_index=255, process_group=dist.group.WORLD, **options)
        logits = x[mine].clone().requires_grad_(True)
        value = loss(logits, target[mine])
        value.backward()
        with torch.no_grad():
            assert torch.equal(loss(logits, target[mine]), value)
        queue.put((rank, options, value.item(), logits.grad.tolist()))
    # DistributedDataParallel averages: that is the gradient of the one loss
    net = torch.nn.Conv2d(4, 4, 1)
    torch.nn.init.eye_(net.weight.data.view(4, 4))
    torch.nn.init.zeros_(net.bias)
    parallel = torch.nn.parallel.DistributedDataParallel(net)
    LovaszSoftmaxLoss(ignore_index=255, process_group=dist.group.WORLD)(parallel(x[mine]), target[mine]).backward()
    queue.put((rank, "net", net.weight.grad.tolist(), None))
    # an error of one rank is one of all, and they go on together
    for bad in range(world):
        logits = x[mine].clone()
        if rank == bad:
            logits = torch.full((1, 4, 2, 2), float("nan"))
        labels = torch.zeros(len(logits), *logits.shape[2:], dtype=torch.long)
        try:
            loss(logits, labels)
        except ValueError as e:
            queue.put((rank, "error", bad, str(e)))
    for bad in range(world):
        try:
            loss(x[mine], target[mine][:, 1:] if rank == bad else target[mine])
        except ValueError as e:
            queue.put((rank, "shape", bad, str(e)))
    assert torch.equal(loss(x[mine], target[mine]), value.detach())
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks(world):
    context = mp.get_context("spawn")
    queue = context.Queue()
    with tempfile.TemporaryDirectory() as path:
        processes = [context.Process(target=rank, args=(r, world, path, queue)) for r in range(world)]
        for p in processes:
            p.start()
        replies = [queue.get(timeout=120) for _ in range(world * (len(OPTIONS) + 1 + 2 * world))]
        for p in processes:
            p.join(60)
            assert p.exitcode == 0
    x, target = data()
    for options in OPTIONS:
        logits = x.clone().requires_grad_(True)
        loss = LovaszSoftmaxLoss(ignore_index=255, method="binned", **options)
        value = loss(logits, target)
        value.backward()
        of_rank = {r: (got, gradient) for r, what, got, gradient in replies if what == options}
        assert len(of_rank) == world
        assert {got for got, _ in of_rank.values()} == {value.item()}
        parts = [torch.tensor(of_rank[r][1]).view(-1, 4, 10, 12) for r in range(world)]
        assert torch.equal(torch.cat(parts), logits.grad * world)
    net = torch.nn.Conv2d(4, 4, 1)
    torch.nn.init.eye_(net.weight.data.view(4, 4))
    torch.nn.init.zeros_(net.bias)
    LovaszSoftmaxLoss(ignore_index=255, method="binned")(net(x), target).backward()
    for _, what, got, _ in replies:
        if what == "net":
            torch.testing.assert_close(torch.tensor(got), net.weight.grad)
    for kind, want in (("error", "logit of pixel 0, class 0 is NaN"), ("shape", "labels of shape")):
        errors = [reply for reply in replies if reply[1] == kind]
        assert len(errors) == world * world
        for _, _, bad, text in errors:
            assert text.startswith(f"rank {bad}: lanewise: {want}")


def test_options():
    group = object()
    for options in ({"reduction": "none"}, {"per_image": True}, {"cross_entropy": 1.0}):
        with pytest.raises(ValueError, match="process_group"):
            LovaszSoftmaxLoss(process_group=group, **options)
