"""What happens to the worker process, and to memory."""

import gc
import glob
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import pytest

import lanewise
from lanewise import _worker

logits = np.random.default_rng(2).standard_normal((2, 3, 8, 8)).astype(np.float32)
labels = np.arange(128).reshape(2, 8, 8) % 3


def call():
    return lanewise.lovasz_softmax(logits, labels)


want = call()


def pid():
    call()
    return _worker._current.process.pid


def state(process):
    try:
        with open(f"/proc/{process}/stat") as f:
            return f.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "X"


def running(process):
    return state(process) not in "ZX"


def stop(process):
    os.kill(process, signal.SIGSTOP)
    while state(process) != "T":
        time.sleep(0.001)


def wait_for_end(process, seconds=10):
    end = time.monotonic() + seconds
    while running(process):
        assert time.monotonic() < end, f"process {process} still runs"
        time.sleep(0.02)


def test_killed_while_idle():
    first = pid()
    os.kill(first, signal.SIGKILL)
    _worker._current.process.wait()
    assert call().loss == want.loss
    assert pid() != first


def test_killed_while_computing():
    first = pid()
    big = np.zeros((1, 2, 64, 64), np.float32)
    stop(first)
    threading.Timer(0.3, os.kill, (first, signal.SIGKILL)).start()
    kept = want.gradient.copy()
    begin = time.monotonic()
    with pytest.raises(lanewise.WorkerError, match="ended in the middle of a call .*SIGKILL"):
        lanewise.lovasz_softmax(big, np.zeros((1, 64, 64), int))
    assert time.monotonic() - begin < 5
    assert call().loss == want.loss
    np.testing.assert_array_equal(want.gradient, kept)


def test_interrupted():
    """A call that is given up must not leave its reply to the next one."""
    first = pid()
    stop(first)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            lanewise.lovasz_softmax(-logits, labels)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert call().loss == want.loss
    wait_for_end(first)


def test_shutdown():
    first = pid()
    gradient = call().gradient
    lanewise.shutdown()
    lanewise.shutdown()
    assert not running(first)
    np.testing.assert_array_equal(gradient, want.gradient)
    assert call().loss == want.loss


def test_interrupt_is_the_parents():
    first = pid()
    os.kill(first, signal.SIGINT)
    time.sleep(0.1)
    assert pid() == first and call().loss == want.loss


def in_child(queue):
    mine = call()
    queue.put((mine.loss, mine.gradient.tobytes(), _worker._current.process.pid))


def test_fork():
    parent = pid()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=in_child, args=(queue,)) for _ in range(3)]
    for child in children:
        child.start()
    assert call().loss == want.loss
    replies = [queue.get(timeout=30) for _ in children]
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert {r[:2] for r in replies} == {(want.loss, want.gradient.tobytes())}
    workers = {r[2] for r in replies}
    assert len(workers) == 3 and parent not in workers
    for worker in workers:
        wait_for_end(worker)
    assert pid() == parent


def test_spawn():
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60)[0] == want.loss
    child.join()


PARENT = """
import os, sys, time
import numpy as np, lanewise
from lanewise import _worker
lanewise.lovasz_softmax(np.zeros((1, 2, 8, 8), np.float32), np.zeros((1, 8, 8), int))
print(_worker._current.process.pid, flush=True)
"""


@pytest.mark.parametrize("forked", [False, True])
def test_parent_killed(forked):
    """The worker ends, even where a fork by other means than Python's still has the parent's end of the socket."""
    code = PARENT + ("import ctypes\nif ctypes.CDLL(None).fork() == 0: time.sleep(8); os._exit(0)\n" if forked else "") + "time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    time.sleep(0.2)
    assert running(worker)
    parent.kill()
    parent.wait()
    wait_for_end(worker, 5)
    parent.stdout.close()


def test_exit_is_silent():
    process = subprocess.run([sys.executable, "-X", "dev", "-c", PARENT], capture_output=True, text=True, timeout=60)
    assert process.returncode == 0 and process.stderr == ""
    wait_for_end(int(process.stdout))


def test_threads():
    failed = []

    def many(scale):
        wanted = lanewise.lovasz_softmax(logits * scale, labels)
        for _ in range(100):
            got = lanewise.lovasz_softmax(logits * scale, labels)
            if got.loss != wanted.loss or not (got.gradient == wanted.gradient).all():
                failed.append(scale)

    threads = [threading.Thread(target=many, args=(scale,)) for scale in (1, 2, 3, 4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed


def memory(process):
    with open(f"/proc/{process}/status") as f:
        lines = dict(line.split(":", 1) for line in f)
    return sum(int(lines[name].split()[0]) for name in ("RssAnon", "RssShmem", "RssFile"))


def open_files(process):
    return len(os.listdir(f"/proc/{process}/fd"))


def maps(process):
    with open(f"/proc/{process}/maps") as f:
        return sum("memfd:lanewise" in line for line in f)


def test_no_growth():
    x = np.random.default_rng(3).standard_normal((1, 4, 64, 64)).astype(np.float32)
    y = np.zeros((1, 64, 64), int)
    for _ in range(100):
        lanewise.lovasz_softmax(x, y)
    worker, me = pid(), os.getpid()
    before = [(memory(p), open_files(p), maps(p)) for p in (worker, me)]
    for i in range(1000):
        lanewise.lovasz_softmax(x[:, :, : 1 + i % 64], y[:, : 1 + i % 64])
    gc.collect()
    after = [(memory(p), open_files(p), maps(p)) for p in (worker, me)]
    for b, a in zip(before, after):
        assert a[0] <= b[0] + 6000, (before, after)  # kB: the garbage collector's, which does not add up
        assert a[1:] == b[1:], (before, after)


def test_gradients_keep_their_memory():
    """A gradient that is still in use is not overwritten, nor is a view of it, and what is free is used again."""
    lanewise.shutdown()
    gc.collect()
    elder = maps(os.getpid())  # of gradients that other tests keep
    kept = []
    for i in range(1, 6):
        result = lanewise.lovasz_softmax(logits * i, labels)
        kept.append((result.gradient[0, 1:2], result.gradient[0, 1:2].copy()))
        del result
    for view, copied in kept:
        np.testing.assert_array_equal(view, copied)
    assert maps(_worker._current.process.pid) == 5 and maps(os.getpid()) <= elder + 5
    view = copied = None
    kept.clear()
    gc.collect()
    for _ in range(20):
        call()
    assert maps(_worker._current.process.pid) <= 5 and maps(os.getpid()) <= elder + 5
    lanewise.lovasz_softmax(np.zeros((1, 2, 1000, 100), np.float32), np.zeros((1, 1000, 100), int))
    assert maps(_worker._current.process.pid) <= 5 and maps(os.getpid()) <= elder + 5


def test_no_files_left():
    def files():
        return set(glob.glob("/dev/shm/*lanewise*")) | set(glob.glob(os.path.join(tempfile.gettempdir(), "*lanewise-*")))

    before = files()
    code = PARENT + "os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    code = "import os\ndel os.memfd_create\n" + PARENT + "os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE).stdout
    assert files() == before


def test_too_much_memory():
    """What the machine has not is an error, as it is of NumPy's arrays, and leaves nothing open."""
    files = open_files(os.getpid())
    with pytest.raises(MemoryError, match="more than this machine has"):
        lanewise.lovasz_softmax(np.broadcast_to(np.float32(0), (1, 2, 1 << 20, 1 << 20)), np.broadcast_to(np.uint8(0), (1, 1 << 20, 1 << 20)))
    assert call().loss == want.loss and open_files(os.getpid()) <= files


@pytest.mark.parametrize("memfd", [True, False])
def test_no_space(memfd):
    code = f"""
import os, resource
if not {memfd}: del os.memfd_create
{PARENT}
files = len(os.listdir("/proc/self/fd"))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    lanewise.lovasz_softmax(np.zeros((1, 2, 1000, 1000), np.float32), np.zeros((1, 1000, 1000), int))
except MemoryError as e:
    assert "File too large" in str(e)
    print(lanewise.lovasz_softmax(np.zeros((1, 2, 8, 8), np.float32), np.zeros((1, 8, 8), int)).loss, len(os.listdir("/proc/self/fd")) - files)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert process.stdout.split()[1:] == ["0.5", "0"] and process.stderr == ""


def test_elsewhere(tmp_path):
    """The package works in a folder with any name, isolated from the environment, and where what unpacked it has lost the executable bit."""
    folder = tmp_path / "ü x 漢"
    shutil.copytree(os.path.dirname(lanewise.__file__), folder / "lanewise")
    worker = folder / "lanewise" / "worker"
    shutil.copyfile(_worker._binary(), worker)
    worker.chmod(0o644)
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n{PARENT}\nprint(_worker._binary())"
    environment = {k: v for k, v in os.environ.items() if k != "LANEWISE_WORKER"}
    process = subprocess.run([sys.executable, "-I", "-c", code], env=environment, capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert process.stdout.splitlines()[1:] == [str(worker)], process.stderr


def test_fork_while_computing():
    """A child that is forked while another thread is in the middle of a call has a worker and locks of its own."""
    code = (
        PARENT
        + """
import threading
going = True
def others():
    while going:
        lanewise.lovasz_softmax(np.zeros((1, 5, 100, 100), np.float32), np.zeros((1, 100, 100), int))
threads = [threading.Thread(target=others) for _ in range(2)]
for t in threads:
    t.start()
for _ in range(20):
    time.sleep(0.003)
    child = os.fork()
    if child == 0:
        os._exit(lanewise.lovasz_softmax(np.zeros((1, 2, 8, 8), np.float32), np.zeros((1, 8, 8), int)).loss != 0.5)
    assert os.waitpid(child, 0)[1] == 0
going = False
"""
    )
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, timeout=60, check=True)


def test_bad_requests():
    """The worker refuses what would read or write beside its memory."""
    worker = _worker.worker()
    lease = worker.lease(1000)
    size, segment = lease.segment.size, lease.segment.id
    good = {"Op": "loss", "Segment": segment, "Config": {"Classes": 2}, "Logits": 8, "Labels": 4, "Images": 1}
    lease.array("i4", (4,), 32)[:] = 0
    lease.array("f4", (8,))[:] = 0
    assert len(worker.request(good)) == 8 * 6
    for change in (
        {"Op": "lose"},
        {"Segment": 99},
        {"Logits": size // 4 + 1},
        {"Logits": -1},
        {"Labels": -1},
        {"Labels": size // 4 - 7},
        {"Labels": 2**62},
        {"Logits": 2**62, "Labels": 2**62},
        {"Logits": size // 4, "Labels": 1, "Masks": True},
        {"Unknown": 1},
        {"Config": {"Unknown": 1}},
        {"Config": 3},
        {"Op": "map", "Segment": segment, "Size": 100},
        {"Op": "map", "Segment": 99, "Size": 0},
        {"Op": "map", "Segment": 99, "Size": 100},
        {"Op": "unmap", "Segment": 99},
        {"Op": "counts", "States": [1]},
        {"Op": "counts", "States": [-1]},
        {"Op": "confusion"},
        {"Each": True, "Images": 3},
        {"Each": True, "Images": 0},
        {"Hinge": True, "Masks": True},
    ):
        with pytest.raises(lanewise.WorkerError, match="worker: "):
            worker.request({**good, **change})
    for change in ({"Images": 0}, {"Images": -1}, {"Images": 3}, {"Labels": 3}, {"Config": {}}):
        with pytest.raises(ValueError, match="lanewise: "):
            worker.request({**good, **change})
    file = _worker._memory_file(100)
    with pytest.raises(lanewise.WorkerError, match="the file has 100"):
        worker.request({"Op": "map", "Segment": 99, "Size": 101}, file=file)
    os.close(file)
    assert not worker.broken and len(worker.request(good)) == 8 * 6


def test_bad_frames():
    """Bytes that are no request end the worker, and a message says why."""
    for data, text in (
        (b"\xff\xff\xff\xff\0\0\0\0", b"a header of 4294967295 bytes"),
        (b"\x02\0\0", b"unexpected EOF"),
        (b"\x02\0\0\0\xff\xff\xff\xff{}", b"cut off"),
    ):
        process = subprocess.run([_worker._binary()], stdin=_stdin(data), capture_output=True, timeout=30)
        assert process.returncode == 1 and text in process.stderr, process.stderr


def _stdin(data):
    mine, other = socket.socketpair()
    with mine:
        mine.sendall(data)
    return other


def test_no_worker(monkeypatch):
    lanewise.shutdown()
    with monkeypatch.context() as m:
        m.setenv("LANEWISE_WORKER", "/nonexistent")
        with pytest.raises(lanewise.WorkerError, match="there is no worker /nonexistent"):
            call()
        m.setenv("LANEWISE_WORKER", __file__)
        with pytest.raises(lanewise.WorkerError, match="does not start"):
            call()
        m.setenv("LANEWISE_WORKER", "/bin/true")
        with pytest.raises(lanewise.WorkerError, match="exit code 0"):
            call()
    assert call().loss == want.loss
