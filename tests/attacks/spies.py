"""Attacks that want something which is not theirs. Each calls `leak` if it gets it; its model is honest.

A module that cannot be imported gets a stand-in: only a real one has what `vars` is asked for. The folders
of the environment may be open, where modules are imported by way of their descriptors.
"""

from __future__ import annotations

from typing import Final

from .rows import Row

_FILES = "the results, forged"
_READING = "the grader's files"
_MEMORY = "the grader's memory"
_SIGNALS = "signals and limits at the grader"
_NETWORK = "the network"
_PROCESSES = "processes"
_STORES = "a store that outlives the attempt"
_KERNEL = "the kernel"
_HUNTING = "hunting in the process"

SPIES: Final = (
    Row(_FILES, "write results.json", "open(RESULTS, 'w').write('{}'); leak()"),
    Row(_FILES, "append to results.json", "os.open(RESULTS, os.O_APPEND | os.O_WRONLY); leak()"),
    Row(_FILES, "truncate results.json", "os.truncate(RESULTS, 0); leak()"),
    Row(_FILES, "rename results.json", "os.rename(RESULTS, RESULTS + MARK); leak()"),
    Row(_FILES, "remove results.json", "os.unlink(RESULTS); leak()"),
    Row(_FILES, "make results.json first", "open(RESULTS + MARK, 'x'); leak()"),
    Row(_FILES, "put a link in its place", "os.symlink('/dev/null', RESULTS + MARK); leak()"),
    Row(_FILES, "make its folder mine", "os.chmod(os.path.dirname(RESULTS), 0o777); leak()"),
    Row(_READING, "read the submission's metadata", "leak(open(SECRET).read())"),
    Row(_READING, "read results.json", "leak(open(RESULTS).read())"),
    Row(_READING, "list the folder of the results", "leak(os.listdir(FOLDER))"),
    Row(
        _READING,
        "import the reference",
        "sys.path.insert(0, REPOSITORY)\nimport reference.transformer as t; leak(vars(t)['__file__'])",
    ),
    Row(
        _READING,
        "import the checks",
        "sys.path.insert(0, REPOSITORY)\nimport autograder.checks as c; leak(vars(c)['__file__'])",
    ),
    Row(
        _READING, "import the settings", "import autograder.settings as s; leak(vars(s)['OTHER_SIZES_SEED'])"
    ),
    Row(_READING, "read the grader's environment", "leak(open(f'/proc/{GRADER}/environ').read())"),
    Row(
        _READING,
        "find a secret in the environment",
        "if any('secret' in v for v in os.environ.values()): leak(dict(os.environ))",
    ),
    Row(_READING, "open a file by the grader's descriptors", "leak(os.listdir(f'/proc/{GRADER}/fd'))"),
    Row(
        _READING,
        "use a descriptor that was left open",
        "for fd in range(5, 256):\n    try: os.fstat(fd)\n    except OSError: continue\n"
        "    here = f'/proc/self/fd/{fd}'\n"
        "    if not any(os.path.isdir(p) and os.path.samefile(p, here) for p in sys.path): leak(fd)\n"
        "    for name, flags in ((MARK, os.O_CREAT | os.O_WRONLY), ('../' * 20 + SECRET, os.O_RDONLY)):\n"
        "        try: os.open(name, flags, dir_fd=fd)\n        except OSError: continue\n"
        "        leak(fd, name)",
    ),
    Row(_MEMORY, "read the fork server's memory", "leak(os.open(f'/proc/{os.getppid()}/mem', os.O_RDONLY))"),
    Row(_MEMORY, "write the fork server's memory", "leak(os.open(f'/proc/{os.getppid()}/mem', os.O_RDWR))"),
    Row(_MEMORY, "read the grader's memory", "leak(os.open(f'/proc/{GRADER}/mem', os.O_RDONLY))"),
    Row(
        _MEMORY,
        "copy from the fork server's memory",
        "b = ctypes.create_string_buffer(16); v = struct.pack('PN', ctypes.addressof(b), 16)\n"
        "leak(call(310, os.getppid(), v, 1, v, 1, 0))",
    ),
    Row(
        _MEMORY,
        "copy into the fork server's memory",
        "b = ctypes.create_string_buffer(16); v = struct.pack('PN', ctypes.addressof(b), 16)\n"
        "leak(call(311, os.getppid(), v, 1, v, 1, 0))",
    ),
    Row(_MEMORY, "trace the fork server", "leak(call(101, 0x4206, os.getppid(), 0, 0))"),
    Row(_MEMORY, "take a descriptor of the fork server", "leak(call(438, call(434, os.getppid(), 0), 3, 0))"),
    Row(_SIGNALS, "kill the fork server", "os.kill(os.getppid(), signal.SIGTERM); leak()"),
    Row(_SIGNALS, "kill the grader", "os.kill(GRADER, 0); leak()"),
    Row(_SIGNALS, "kill everybody", "os.kill(-1, 0); leak()"),
    Row(_SIGNALS, "signal the fork server's thread", "leak(call(234, os.getppid(), os.getppid(), 0))"),
    Row(_SIGNALS, "queue a signal for the grader", "leak(call(129, GRADER, 0, b'\\0' * 128))"),
    Row(_SIGNALS, "have the kernel signal the grader", "import fcntl; fcntl.fcntl(4, 8, GRADER); leak()"),
    Row(_SIGNALS, "limit the grader", "resource.prlimit(GRADER, resource.RLIMIT_CPU, (1, 1)); leak()"),
    Row(_SIGNALS, "slow the grader", "os.setpriority(os.PRIO_PROCESS, GRADER, 19); leak()"),
    Row(_SIGNALS, "pin the grader", "os.sched_setaffinity(GRADER, {0}); leak()"),
    Row(_SIGNALS, "raise its own limits", "resource.setrlimit(resource.RLIMIT_AS, (-1, -1)); leak()"),
    Row(
        _SIGNALS, "raise its own limit on files", "resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9)); leak()"
    ),
    Row(_NETWORK, "open a TCP socket", "socket.socket(); leak()"),
    Row(_NETWORK, "open a datagram socket", "socket.socket(type=socket.SOCK_DGRAM); leak()"),
    Row(_NETWORK, "open a raw socket", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); leak()"),
    Row(_NETWORK, "open a netlink socket", "socket.socket(16, socket.SOCK_RAW, 0); leak()"),
    Row(_NETWORK, "listen on an abstract socket", "socket.socket(socket.AF_UNIX).bind('\\0' + MARK); leak()"),
    Row(
        _NETWORK, "fetch a page", "import urllib.request; leak(urllib.request.urlopen('http://127.0.0.1:9'))"
    ),
    Row(_NETWORK, "fetch a model", "leak(torch.hub.load_state_dict_from_url('http://127.0.0.1:9/x.pt'))"),
    Row(_PROCESSES, "fork", "pid = os.fork()\nif pid: leak()\nos._exit(0)"),
    Row(_PROCESSES, "a fork bomb", "while True:\n    if os.fork() == 0: time.sleep(60)\n    leak()"),
    Row(
        _PROCESSES,
        "a grandchild that is a daemon",
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(600)\n    os._exit(0)\n"
        "leak()",
    ),
    Row(_PROCESSES, "run a command", "import subprocess; leak(subprocess.run(['id'], capture_output=True))"),
    Row(_PROCESSES, "run a shell", "if os.system('true') == 0: leak()"),
    Row(_PROCESSES, "become another program", "os.execv('/bin/sh', ['sh', '-c', 'exit 0'])"),
    Row(_PROCESSES, "spawn", "leak(os.posix_spawn('/bin/true', ['true'], {}))"),
    Row(_PROCESSES, "clone by hand", "p = call(56, 17, 0, 0, 0, 0)\nif p: leak()\nos._exit(0)"),
    Row(
        _PROCESSES,
        "a worker of a data loader",
        "from torch.utils.data import DataLoader\nleak(list(DataLoader([1, 2], num_workers=1, timeout=1)))",
    ),
    Row(_PROCESSES, "leave the session", "os.setsid(); leak()"),
    Row(_STORES, "a file in /tmp", "open('/tmp/' + MARK, 'w').write('x'); leak()"),
    Row(_STORES, "a file in shared memory", "open('/dev/shm/' + MARK, 'w').write('x'); leak()"),
    Row(_STORES, "an unnamed file", "import tempfile; tempfile.TemporaryFile(); leak()"),
    Row(
        _STORES, "fill the disk", "f = open('/tmp/' + MARK, 'wb')\nwhile True: f.write(bytes(2**20)); leak()"
    ),
    Row(_STORES, "SysV shared memory", "leak(call(29, 0x5EED, 4096, 0o1666))"),
    Row(_STORES, "SysV semaphores", "leak(call(64, 0x5EED, 1, 0o1666))"),
    Row(_STORES, "SysV messages", "leak(call(68, 0x5EED, 0o1666))"),
    Row(_STORES, "POSIX messages", "leak(call(240, b'attack\\0', 0o102, 0o600, None))"),
    Row(_STORES, "a keyring", "leak(call(248, b'user\\0', b'attack\\0', b'x', 1, -4))"),
    Row(_STORES, "a file in memory", "leak(call(319, b'attack\\0', 0))"),
    Row(_STORES, "shared tensors", "leak(torch.ones(4).share_memory_())"),
    Row(_KERNEL, "io_uring", "leak(call(425, 8, ctypes.create_string_buffer(120)))"),
    Row(_KERNEL, "a user namespace", "leak(call(272, 0x10000000))"),
    Row(_KERNEL, "a namespace for a thread", "leak(call(56, 0x10000000 | 17, 0, 0, 0, 0))"),
    Row(_KERNEL, "change root", "os.chroot('/tmp'); leak()"),
    Row(_KERNEL, "mount", "leak(call(165, b'x\\0', b'/tmp\\0', b'tmpfs\\0', 0, None))"),
    Row(_KERNEL, "bpf", "leak(call(321, 0, ctypes.create_string_buffer(128), 128))"),
    Row(_KERNEL, "userfaultfd", "leak(call(323, 0))"),
    Row(_KERNEL, "perf events", "leak(call(298, ctypes.create_string_buffer(128), 0, -1, -1, 0))"),
    Row(_KERNEL, "another personality", "leak(call(135, 0x0040000))"),
    Row(
        _KERNEL,
        "become root",
        "os.setresuid(0, 0, 0)\nif os.getuid() == 0 and os.path.exists(SECRET): leak()",
    ),
    Row(_KERNEL, "outlive the parent", "leak(call(157, 1, 0, 0, 0, 0))"),
    Row(
        _KERNEL,
        "load a library of mine",
        "open('/tmp/' + MARK + '.so', 'wb').write(b'\\x7fELF')\nleak(ctypes.CDLL('/tmp/' + MARK + '.so'))",
    ),
    Row(
        _HUNTING,
        "modules that know what is right",
        "known = [m for m in sys.modules if m.startswith(('reference', 'autograder'))]\n"
        "if known: leak(known)",
    ),
    Row(
        _HUNTING,
        "functions of the reference by gc",
        "names = {getattr(o, '__module__', None) for o in gc.get_objects() if callable(o)}\n"
        "known = [n for n in names if isinstance(n, str) and n.startswith(('reference', 'autograder.checks',"
        " 'autograder.settings', 'autograder.feedback', 'autograder.results'))]\nif known: leak(known)",
    ),
    Row(
        _HUNTING,
        "expected values in the frames above",
        "frame = sys._getframe()\nwhile frame:\n"
        "    if any('expect' in n for n in frame.f_locals): leak(frame)\n    frame = frame.f_back",
    ),
    Row(
        _HUNTING,
        "seeds of the hidden cases by gc",
        "if any(isinstance(o, dict) and 20232 in o.values() for o in gc.get_objects()): leak()",
    ),
    Row(
        _HUNTING,
        "its own command line",
        "line = open('/proc/self/cmdline').read()\nif REPOSITORY in line: leak(line)",
    ),
)
