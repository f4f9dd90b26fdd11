"""The worker process, and the memory that it shares with this one.

A call copies its tensors to a segment, asks the worker, and finds the gradient in the segment. Whoever holds an array of a segment holds
the segment: it serves another call when the last array is gone.
"""

import array
import atexit
import collections
import ctypes
import itertools
import json
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import numpy as np

_WINDOWS = sys.platform == "win32"
_OK, _INVALID, _REQUEST = range(3)  # what a reply says
_HEADER = struct.Struct("<II")
_SOON = _HEADER.pack(0, 0)  # a request follows: the worker wakes up while tensors are copied
_yield = getattr(os, "sched_yield", lambda: None)
_AWAKE = 100e-6  # seconds that a reply is looked for without sleeping: a small call is done by then


class WorkerError(RuntimeError):
    """The worker process could not be started, has ended in the middle of a call, or does not understand this package. The next call starts
    another one."""


class Segment:
    """Memory that both processes map."""

    def __init__(self, size):
        self.size = size
        self.name = ""
        self.file = -1  # open until the worker has it
        if _WINDOWS:
            self.name = f"lanewise-{uuid.uuid4()}"
            self.memory = mmap.mmap(-1, size, tagname=self.name)
        else:
            self.file = _memory_file(size)
            self.memory = mmap.mmap(self.file, size)
        self.view = ctypes.c_char * size
        self.id = None  # what the worker knows it by

    def close_file(self):
        if self.file >= 0:
            os.close(self.file)
            self.file = -1


def _memory_file(size):
    """Returns a descriptor of memory that has no name, so that nothing is left over, whoever is killed."""
    if size > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):  # it would be given, and using it end the process
        raise MemoryError(f"lanewise: {size} bytes of shared memory are more than this machine has")
    try:  # not bounded by the size of /dev/shm, which is 64 MB in many a container
        fd, named = os.memfd_create("lanewise", os.MFD_CLOEXEC), False
    except (AttributeError, OSError):  # another system, an old kernel, or a sandbox
        fd, path = tempfile.mkstemp(prefix="lanewise-")
        named = True
    try:
        if named:
            os.unlink(path)
        os.ftruncate(fd, size)
        if named and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size)  # a full disk is an error here, and a signal later
    except BaseException as e:
        os.close(fd)
        if isinstance(e, OSError):
            raise MemoryError(f"lanewise: {size} bytes of shared memory: {e.strerror}") from e
        raise
    return fd


class Lease:
    """The use of a segment, until the last array that it made is gone."""

    def __init__(self, worker, segment):
        self._worker = worker
        self._segment = segment

    @property
    def segment(self):
        return self._segment

    def array(self, dtype, shape, offset=0):
        """Returns an array of the segment, without a copy."""
        view = self._segment.view.from_buffer(self._segment.memory)
        view.lease = self  # numpy keeps what it makes an array of
        return np.ndarray(shape, dtype, view, offset)

    def __del__(self):
        self._worker.free.append(self._segment)  # atomic: this may run anywhere, in any thread


class Worker:
    """One worker process. After an error of the connection it is broken for good."""

    def __init__(self):
        self.lock = threading.RLock()
        self.free = collections.deque()  # segments that nobody uses
        self.ids = itertools.count()
        self.broken = False
        self.socket = None
        path = _binary()
        try:
            if _WINDOWS:
                self.process = subprocess.Popen(
                    [path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, creationflags=subprocess.CREATE_NO_WINDOW
                )
            else:
                self.socket, other = socket.socketpair()
                self.replies = select.poll()
                self.replies.register(self.socket, select.POLLIN)
                with other:
                    self.process = subprocess.Popen([path], stdin=other, stdout=other)
        except OSError as e:
            raise WorkerError(f"lanewise: the worker {path} does not start: {e}") from e

    def lease(self, size):
        """Returns a Lease of a segment of at least size bytes. The smallest free one that is large enough serves; if none is, the largest
        gives way to a new one, so that there are never more segments than were in use at the same time."""
        with self.lock:
            if self.socket is not None and not self.broken:
                try:
                    self.socket.sendall(_SOON)  # a lease is for a request
                except OSError:
                    pass  # the request will say it
            free = []
            while True:
                try:
                    free.append(self.free.popleft())
                except IndexError:
                    break
            free.sort(key=lambda s: s.size)
            fit = next((i for i, s in enumerate(free) if s.size >= size), None)
            small = free.pop() if fit is None and free else None
            segment = free.pop(fit) if fit is not None else None
            self.free.extend(free)
            if small is not None:
                self.request({"Op": "unmap", "Segment": small.id})
                del small
            if segment is None:
                segment = Segment(_round(size))
                try:
                    segment.id = next(self.ids)
                    self.request({"Op": "map", "Segment": segment.id, "Size": segment.size, "Name": segment.name}, file=segment.file)
                finally:
                    segment.close_file()
            return Lease(self, segment)

    def request(self, header, states=(), file=-1):
        """Sends a request, whose header is a dict or JSON, and returns the payload of the reply. An error of the library is a ValueError with
        its text."""
        if isinstance(header, dict):
            header = json.dumps(header).encode()
        payload = b"".join(states)
        if len(payload) >= 1 << 32:
            raise ValueError(f"lanewise: states of {len(payload)} bytes are too many for one call")
        with self.lock:
            if self.broken:
                raise WorkerError("lanewise: the worker has ended")
            try:
                self._send(_HEADER.pack(len(header), len(payload)) + header + payload, file)
                status, reply = self._receive()
            except (OSError, EOFError) as e:
                code = self.kill()
                raise WorkerError(f"lanewise: the worker has ended in the middle of a call ({_ending(code)}); the next call starts another") from e
            except BaseException:  # Ctrl-C: the reply will not be read, so there must be none
                self.kill()
                raise
            if status == _OK:
                return reply
            text = reply.decode(errors="replace")
            if status == _INVALID:
                raise ValueError(text)
            if status != _REQUEST:
                self.kill()
            raise WorkerError(f"lanewise: {text}")

    def _send(self, data, file):
        if self.socket is None:
            data = memoryview(data)
            while data:
                data = data[self.process.stdin.write(data) :]
            return
        if file >= 0:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))]
            data = memoryview(data)[self.socket.sendmsg([data], rights) :]
        self.socket.sendall(data)

    def _receive(self):
        """Returns the status and the payload of a reply."""
        data, size = bytearray(), _HEADER.size
        while len(data) < size:
            got = self._some(min(max(size - len(data), 1 << 12), 1 << 20))
            if not got:
                raise EOFError
            data += got
            if size == _HEADER.size <= len(data):
                size += _HEADER.unpack_from(data)[1]
        return _HEADER.unpack_from(data)[0], bytes(memoryview(data)[_HEADER.size :])

    def _some(self, n):
        if self.socket is None:
            return self.process.stdout.read(n)
        end = time.perf_counter() + _AWAKE
        while not self.replies.poll(0) and time.perf_counter() < end:
            _yield()  # the worker may wait for this very CPU
        return self.socket.recv(n)

    def kill(self):
        """Ends the worker, and returns its exit code. What it is computing is given up."""
        self.broken = True
        self._close()
        self.free.clear()
        try:
            return self.process.wait(0.2)  # with its stdin closed an idle worker ends by itself
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def _close(self):
        for end in (self.socket, self.process.stdin, self.process.stdout):
            if end is not None:
                end.close()

    def abandon(self):
        """Lets go of the worker in a forked child: it is the parent's."""
        self.broken = True
        self._close()
        self.process.returncode = 0  # not ours to wait for


def _ending(code):
    if code is not None and code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            pass
    return f"exit code {code}"


def _round(size):
    """Rounds a size up, by an eighth at most, so that batches of slightly different sizes share segments."""
    size = max(size, 1 << 16)
    step = 1 << (size.bit_length() - 4)
    return -(-size // step) * step


def _binary():
    named = os.environ.get("LANEWISE_WORKER")
    path = named or os.path.join(os.path.dirname(__file__), "worker.exe" if _WINDOWS else "worker")
    if not os.path.isfile(path):
        raise WorkerError(f"lanewise: there is no worker {path}: the package was built for another platform, or not at all")
    if not named and not os.access(path, os.X_OK):  # lost by what unpacked the wheel
        try:
            os.chmod(path, 0o755)
        except OSError:
            pass  # starting it says what is wrong
    return path


_current = None
_starting = threading.Lock()


def worker():
    """Returns the worker of this process, which is started if there is none."""
    global _current
    w = _current
    if w is None or w.broken or w.process.poll() is not None:
        with _starting:
            w = _current
            if w is None or w.broken or w.process.poll() is not None:
                if w is not None:
                    w.kill()
                w = _current = Worker()
    return w


def shutdown():
    """Waits for running calls, then ends the worker process and gives back its memory. Gradients stay valid. The next call starts another one."""
    global _current
    with _starting:
        w, _current = _current, None
    if w is not None:
        with w.lock:
            w.kill()


def _at_exit():
    if _current is not None:
        _current.kill()


def _after_fork():
    global _current, _starting
    _starting = threading.Lock()
    w, _current = _current, None
    if w is not None:
        w.abandon()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
