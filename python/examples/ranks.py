"""Two processes train on one loss: python3 python/examples/ranks.py. On several machines torchrun starts them, and the rest is the same."""

import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from lanewise.torch import LovaszSoftmaxLoss


def train(rank, ranks, path):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{path}/init", rank=rank, world_size=ranks)
    torch.manual_seed(0)
    net = DistributedDataParallel(torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 4, 1)))
    loss = LovaszSoftmaxLoss(process_group=dist.group.WORLD)
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    torch.manual_seed(rank + 1)  # each rank has images of its own: squares of three colours
    images = torch.rand(4, 3, 64, 64)
    target = torch.zeros(4, 64, 64, dtype=torch.long)
    for i in range(4):
        for c in range(1, 4):
            y, x = torch.randint(0, 44, (2,)).tolist()
            target[i, y : y + 20, x : x + 20] = c
            images[i, c - 1, y : y + 20, x : x + 20] += 0.5
    for step in range(100):
        optimizer.zero_grad()
        value = loss(net(images), target)
        value.backward()
        optimizer.step()
        if step % 20 == 0 or step == 99:
            values = [torch.empty(()) for _ in range(ranks)]
            dist.all_gather(values, value.detach())
            if rank == 0:
                print(f"step {step}: the loss of all images is", *(f"{v.item():.9f}" for v in values), "on the ranks", flush=True)
            assert all(v == value for v in values)
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as path:
        mp.spawn(train, (2, path), nprocs=2)
