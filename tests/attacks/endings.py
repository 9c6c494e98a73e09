"""Attacks that want the grader to stop, wait, or run out of something. The model's forward does it."""

from __future__ import annotations

from typing import Final

from .rows import Row

_LEAVING = "leaving"
_WAITING = "never coming back"
_EATING = "eating what there is"
_CRASHING = "crashing"
_TOO_LONG = ("CPU_TIME", "WALL_TIME")
"""Which of the two comes first, on a machine that is busy with other things, is chance."""
_OUT_OF_MEMORY = ("MEMORY", "MemoryError", "OSError", "SIGNAL")

ENDINGS: Final = (
    Row(_LEAVING, "os._exit", forward="os._exit(0)", ends=("EXIT",)),
    Row(_LEAVING, "sys.exit", forward="sys.exit(0)", ends=("SystemExit",)),
    Row(
        _LEAVING,
        "an interrupt from the keyboard",
        forward="raise KeyboardInterrupt",
        ends=("KeyboardInterrupt",),
    ),
    Row(_LEAVING, "closing the channel", forward="os.close(4)", ends=("EXIT", "GARBAGE", "NOT_A_TENSOR")),
    Row(_LEAVING, "killing itself", forward="os.kill(os.getpid(), 9)", ends=("SIGNAL",)),
    Row(_LEAVING, "exiting when the program is loaded", after="sys.exit('done')", ends=("Answer",)),
    Row(_LEAVING, "work at exit", code="import atexit; atexit.register(time.sleep, 60)", ends=("Answer",)),
    Row(
        _LEAVING,
        "a thread that lives on",
        code="threading.Thread(target=time.sleep, args=(60,)).start()",
        ends=("Answer",),
    ),
    Row(_WAITING, "a loop", forward="while True: pass", ends=_TOO_LONG),
    Row(_WAITING, "sleep", forward="time.sleep(60)", ends=("WALL_TIME",)),
    Row(_WAITING, "stopping itself", forward="os.kill(os.getpid(), 19); time.sleep(60)", ends=("WALL_TIME",)),
    Row(
        _WAITING,
        "a loop that ignores signals",
        forward="for n in set(range(1, 32)) - {9, 19}: signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
        ends=_TOO_LONG,
    ),
    Row(
        _WAITING,
        "a lock that nobody opens",
        forward="threading.Lock().acquire() and threading.Event().wait()",
        ends=("WALL_TIME",),
    ),
    Row(_WAITING, "reading what never comes", forward="os.read(os.pipe()[0], 1)", ends=("WALL_TIME",)),
    Row(
        _WAITING, "a number that takes for ever", forward="10 ** 10 ** 9", ends=(*_TOO_LONG, *_OUT_OF_MEMORY)
    ),
    Row(
        _WAITING,
        "a text that takes for ever",
        forward="class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
        ends=(*_TOO_LONG, "E"),
    ),
    Row(_EATING, "memory on the heap", forward="bytearray(2**31)", ends=_OUT_OF_MEMORY),
    Row(
        _EATING,
        "memory in small pieces",
        forward="x = []\nwhile True: x.append(bytearray(2**20))",
        ends=(*_OUT_OF_MEMORY, *_TOO_LONG),
    ),
    Row(_EATING, "memory in a tensor", forward="torch.ones(2**29)", ends=_OUT_OF_MEMORY),
    Row(_EATING, "memory in a shared map", forward="mmap.mmap(-1, 2**31)", ends=_OUT_OF_MEMORY),
    Row(
        _EATING,
        "threads",
        forward="for _ in range(5000): threading.Thread(target=time.sleep, args=(60,)).start()",
        ends=("RuntimeError", "WALL_TIME", "CPU_TIME", *_OUT_OF_MEMORY),
    ),
    Row(_EATING, "open files", forward="while True: os.dup(1)", ends=("OSError",)),
    Row(_EATING, "pipes", forward="while True: os.pipe()", ends=("OSError",)),
    Row(_EATING, "a flood of prints", after="for _ in range(200): print('x' * 10**6)", ends=("Answer",)),
    Row(_EATING, "a flood in the answer", forward="return torch.zeros(3000, 3000)", ends=("TOO_LARGE",)),
    Row(
        _EATING, "a flood in the channel", forward="while True: os.write(4, bytes(2**16))", ends=("GARBAGE",)
    ),
    Row(_EATING, "a flood in an exception", forward="raise ValueError('x' * 10**8)", ends=("ValueError",)),
    Row(
        _EATING,
        "a flood in an exception's name",
        forward="raise type('X' * 10**6, (Exception,), {})",
        ends=("X",),
    ),
    Row(_EATING, "a flood of statements that fail", after="1/0\n" * 3000, ends=("Answer",)),
    Row(_CRASHING, "recursion", forward="return self.forward(seq)", ends=("RecursionError",)),
    Row(
        _CRASHING,
        "recursion without a limit",
        forward="sys.setrecursionlimit(2**30)\nf = lambda x: [*map(f, [x])]\nf(0)",
        ends=("SIGNAL", "RecursionError", *_TOO_LONG, *_OUT_OF_MEMORY),
    ),
    Row(_CRASHING, "a segmentation fault", forward="ctypes.string_at(0)", ends=("SIGNAL",)),
    Row(_CRASHING, "an abort", forward="os.abort()", ends=("SIGNAL",)),
    Row(
        _CRASHING,
        "a foreign architecture",
        forward=(
            "m = mmap.mmap(-1, 4096, prot=7)\nm.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')\n"
            "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()"
        ),
        ends=("FORBIDDEN", "SIGNAL"),
    ),
)
