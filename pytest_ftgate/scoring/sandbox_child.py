"""The child process of the sandbox: it restricts itself, then runs the code and its tests."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import struct
import sys
import traceback
from contextlib import suppress
from types import CodeType, ModuleType

#: The exit code if the process could not restrict itself. Then no code of the reply has run.
EXIT_NOT_SANDBOXED = 71
FILE_NAMES = ("reply.py", "tests.py")
#: Written once the restrictions hold: what happens after that is the code's doing.
READY = b"ready\n"
#: The most bytes of the token.
_MAX_TOKEN = 64

_MB = 1 << 20
#: The most bytes of one file, and the most open files.
_MAX_FILE, _MAX_OPEN = 4 * _MB, 64
#: The most characters of the reported failure.
_MAX_MESSAGE = 500


def run_sandboxed(folder: str, seconds: str, memory_mb: str, sandbox: str) -> None:
    """Run the files in *folder* and write the first failure to standard output, as JSON.

    *folder* is the only folder that may be written. *seconds* limits the processor time, in case
    the parent process dies, and *memory_mb* the address space. *sandbox* is ``none`` to set these
    limits only, without restrictions by the kernel.

    Standard input gives a token, which must stand before the result: code that writes a result
    itself does not have it. `READY` is written before any code runs.
    """
    token = os.read(0, _MAX_TOKEN)
    sources = {}
    for name in FILE_NAMES:
        with open(os.path.join(folder, name), "rb") as stream:  # noqa: PTH118, PTH123
            sources[name] = stream.read()
    output = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for stream_number in range(3):
        os.dup2(null, stream_number)
    _set_limits(int(float(seconds)) + 2, int(memory_mb) * _MB)
    if sandbox != "none":
        try:
            _restrict(folder)
        except (OSError, AttributeError, KeyError) as error:
            os.write(output, json.dumps(f"{type(error).__name__}: {error}").encode())
            os._exit(EXIT_NOT_SANDBOXED)
    os.write(output, READY)
    failure = _run(sources)
    os.write(output, token + json.dumps(failure[:_MAX_MESSAGE]).encode())
    # A normal exit would wait for threads that the reply started.
    os._exit(0)


def _set_limits(seconds: int, memory: int) -> None:
    with suppress(ImportError):  # Windows has no limits
        import resource as r

        limits = [(r.RLIMIT_CPU, seconds), (r.RLIMIT_FSIZE, _MAX_FILE), (r.RLIMIT_CORE, 0)]
        for kind, wanted in [*limits, (r.RLIMIT_NOFILE, _MAX_OPEN), (r.RLIMIT_AS, memory)]:
            hard = r.getrlimit(kind)[1]
            limit = wanted if hard == r.RLIM_INFINITY else min(wanted, hard)
            with suppress(ValueError, OSError):  # macOS rejects a limit of memory
                r.setrlimit(kind, (limit, limit))


# Running --------------------------------------------------------------------------------------


def _run(sources: dict[str, bytes]) -> str:
    """Run the reply, then the tests in the same namespace, then their functions ``test_…``.

    Returns:
        The first failure, or "".
    """
    module = ModuleType("reply")
    sys.modules["reply"] = module
    namespace = module.__dict__
    try:
        for name in FILE_NAMES:
            exec(compile(sources[name], name, "exec", dont_inherit=True), namespace)  # noqa: S102
        for test in [value for value in namespace.values() if _is_test(value)]:
            test()
    except BaseException as error:  # noqa: BLE001 - the reply may raise anything
        return _failure_message(error, sources)
    return ""


def _is_test(value: object) -> bool:
    code = getattr(value, "__code__", None)
    return isinstance(code, CodeType) and (code.co_filename, code.co_name[:5]) == (
        FILE_NAMES[1],
        "test_",
    )


def _failure_message(error: BaseException, sources: dict[str, bytes]) -> str:
    """Return where the reply or a test failed, with the line of code and the error."""
    try:
        message = traceback.format_exception_only(error)[-1].strip()
    except Exception:  # noqa: BLE001 - an exception class of the reply may fail when it is shown
        message = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename in FILE_NAMES:
        return f"{error.filename}:{error.lineno}: {message}"
    stack = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in stack if frame.filename in FILE_NAMES]
    if not frames:
        return message
    name, number = frames[-1].filename, frames[-1].lineno or 1
    lines = sources[name].decode("utf-8", "replace").split("\n")
    return f"{name}:{number}: {lines[number - 1].strip()}: {message}"


# Restrictions ---------------------------------------------------------------------------------

# Only on Linux: Landlock denies files, and seccomp all system calls but a few: no network, no other
# processes. Both also hold for root, and the process cannot undo them.

_PARENT_DIES, _NO_NEW_PRIVILEGES, _SECCOMP = 1, 38, 22
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
#: The number of file rights (bits) in each version of Landlock.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
#: From this version on, Landlock denies signals to other processes, and their abstract sockets.
_SCOPES_FROM, _SCOPES = 6, 0b11
_WRITE, _READ, _OF_A_FILE = 1 << 1, 1 << 2 | 1 << 3, 1 << 1 | 1 << 2
#: The rights to run files, and to make devices, sockets and pipes.
_NEVER = 1 << 0 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 15
_READABLE = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom")

#: For each machine, the kernel's code of the architecture and its column in the tables below.
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
#: The numbers of the system calls that code may make, whatever their arguments.
_ALLOWED = {
    # files, which Landlock restricts, and streams
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80),
    "newfstatat": (262, 79), "lseek": (8, 62), "openat": (257, 56), "readv": (19, 65),
    "writev": (20, 66), "pread64": (17, 67), "pwrite64": (18, 68), "preadv": (295, 69),
    "pwritev": (296, 70), "preadv2": (327, 286), "pwritev2": (328, 287), "open": (2, None),
    "openat2": (437, 437), "creat": (85, None), "close_range": (436, 436), "stat": (4, None),
    "lstat": (6, None), "statx": (332, 291), "statfs": (137, 43), "fstatfs": (138, 44),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "readlink": (89, None), "readlinkat": (267, 78), "getcwd": (79, 17), "chdir": (80, 49),
    "fchdir": (81, 50), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None),
    "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "link": (86, None), "linkat": (265, 37), "symlink": (88, None),
    "symlinkat": (266, 36), "getdents64": (217, 61), "ftruncate": (77, 46),
    "fallocate": (285, 47), "fsync": (74, 82), "fdatasync": (75, 83), "fadvise64": (221, 223),
    "copy_file_range": (326, 285), "sendfile": (40, 71), "umask": (95, 166), "pipe": (22, None),
    "pipe2": (293, 59), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    # memory, threads and time
    "futex": (202, 98), "mmap": (9, 222), "munmap": (11, 215), "mprotect": (10, 226),
    "mremap": (25, 216), "madvise": (28, 233), "brk": (12, 214), "msync": (26, 227),
    "mincore": (27, 232), "futex_waitv": (449, 449), "set_robust_list": (273, 99),
    "get_robust_list": (274, 100), "rseq": (334, 293), "membarrier": (324, 283),
    "set_tid_address": (218, 96), "exit": (60, 93), "exit_group": (231, 94),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126), "getcpu": (309, 168), "getpriority": (140, 141),
    "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "gettimeofday": (96, 169), "time": (201, None),
    "times": (100, 153), "getrusage": (98, 165), "getitimer": (36, 102), "setitimer": (38, 103),
    "alarm": (37, None), "pause": (34, None),
    # signals of its own, and facts about itself
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132), "restart_syscall": (219, 128), "getpid": (39, 172),
    "gettid": (186, 178), "getppid": (110, 173), "getpgrp": (111, None), "getpgid": (121, 155),
    "getsid": (124, 156), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176),
    "getegid": (108, 177), "getresuid": (118, 148), "getresgid": (120, 150),
    "getgroups": (115, 158), "uname": (63, 160), "sysinfo": (99, 179), "getrlimit": (97, 163),
    "getrandom": (318, 278), "arch_prctl": (158, None),
    # waiting, and pairs of sockets within the process
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "epoll_create": (213, None), "epoll_create1": (291, 20), "epoll_ctl": (233, 21),
    "epoll_wait": (232, None), "epoll_pwait": (281, 22), "epoll_pwait2": (441, 441),
    "eventfd": (284, None), "eventfd2": (290, 19), "timerfd_create": (283, 85),
    "timerfd_settime": (286, 86), "timerfd_gettime": (287, 87), "recvfrom": (45, 207),
    "sendmsg": (46, 211), "recvmsg": (47, 212), "shutdown": (48, 210), "getsockopt": (55, 209),
    "setsockopt": (54, 208), "getsockname": (51, 204), "getpeername": (52, 205),
}  # fmt: skip
#: System calls with the place of an argument, and its allowed values: commands, not numbers of
#: files. Those that make the kernel send signals to an owner are not among them.
_BY_ARGUMENT = {
    "fcntl": ((72, 25), 1, (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032)),
    "ioctl": ((16, 29), 1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),
    "prctl": ((157, 167), 0, (15, 16)),
}
_CLONE, _CLONE3, _KILL, _TGKILL, _PRLIMIT = (56, 220), (435, 435), (62, 129), (234, 131), (302, 261)
_SOCKETPAIR, _SENDTO = (53, 199), (44, 206)
_LOAD, _IS, _FROM, _HAS, _AND, _END = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_A_THREAD = 0x10000
#: Libraries try calls from here on first, and older ones if the kernel does not have them.
_FIRST_UNKNOWN = 463
#: The low half of the first argument, and the bytes of one.
_ARGUMENTS, _SIZE = 16, 8
_Op = tuple[int, int, int, int]
#: These read the machine and the number of the call, and the kind of a socket without its flags.
_MACHINE, _NUMBER, _SOCKET_KIND = (_LOAD, 0, 0, 4), (_LOAD, 0, 0, 0), (_AND, 0, 0, 15)
#: The ends of a program: the call is allowed, forbidden, or not there.
_ALLOW: _Op = (_END, 0, 0, 0x7FFF0000)
_FORBID: _Op = (_END, 0, 0, 0x00050000 | errno.EPERM)
_ABSENT: _Op = (_END, 0, 0, 0x00050000 | errno.ENOSYS)


def has_landlock() -> bool:
    """Return True if the kernel of this machine supports Landlock."""
    try:
        known = os.uname().machine in _MACHINES and sys.platform == "linux"
        return known and ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, 1) > 0
    except (OSError, AttributeError):
        return False


def _restrict(folder: str) -> None:
    """Deny all files except *folder* and those of Python, the network, and other processes.

    Raises:
        OSError: the kernel rejects a restriction.
        AttributeError, KeyError: the system is not Linux, or the machine is not supported.
    """
    arch, column = _MACHINES[os.uname().machine]
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(_PARENT_DIES, signal.SIGKILL))
    _check(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _check(libc.capset(struct.pack("=Ii", 0x20080522, 0), bytes(24)))
    _restrict_files(libc, folder)
    program = _seccomp_program(arch, column)
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    _check(libc.prctl(_SECCOMP, 2, header))


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _restrict_files(libc: ctypes.CDLL, folder: str) -> None:
    version = _check(libc.syscall(_CREATE_RULESET, None, 0, 1))
    all_rights = (1 << _RIGHTS.get(version, 16)) - 1
    attributes = struct.pack("=Q", all_rights)
    if version >= _SCOPES_FROM:
        attributes += struct.pack("=QQ", 0, _SCOPES)
    rules = _check(libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0))
    paths = {*_READABLE, sys.prefix, sys.base_prefix}
    rights = {**dict.fromkeys(paths, _READ), os.devnull: _OF_A_FILE, folder: all_rights & ~_NEVER}
    for path, allowed in rights.items():
        if not os.path.exists(path):  # noqa: PTH110
            continue
        granted = allowed if os.path.isdir(path) else allowed & _OF_A_FILE  # noqa: PTH112
        descriptor = os.open(path, os.O_PATH)
        _check(libc.syscall(_ADD_RULE, rules, 1, struct.pack("=Qi", granted, descriptor), 0))
        os.close(descriptor)
    _check(libc.syscall(_RESTRICT_SELF, rules, 0))


def _load(argument: int, *, high: bool = False) -> _Op:
    return (_LOAD, 0, 0, _ARGUMENTS + _SIZE * argument + 4 * high)


def _seccomp_program(arch: int, column: int) -> bytes:
    """Return the BPF program that allows some system calls, and refuses all others."""
    ops = [_MACHINE, (_IS, 1, 0, arch), _FORBID, _NUMBER]
    for number in (numbers[column] for numbers in _ALLOWED.values()):
        ops += [] if number is None else [(_IS, 0, 1, number), _ALLOW]
    rules = {numbers[column]: rule for numbers, rule in _argument_rules().items()}
    for number, rule in rules.items():
        ops += [(_IS, 0, len(rule), number), *rule]
    # The filter cannot read the flags of clone3. After ENOSYS, the C library uses clone.
    ops += [(_IS, 0, 1, _CLONE3[column]), _ABSENT]
    ops += [(_FROM, 0, 1, _FIRST_UNKNOWN), _ABSENT, _FORBID]
    return b"".join(struct.pack("=HBBI", *op) for op in ops)


def _argument_rules() -> dict[tuple[int, int], list[_Op]]:
    """Return the rules of the system calls whose arguments decide, by the numbers of the call."""
    rules: dict[tuple[int, int], list[_Op]] = {
        _CLONE: [_load(0), (_HAS, 1, 0, _A_THREAD), _FORBID, _ALLOW],
        # Limits may be read, but not set.
        _PRLIMIT: _null(2),
        # A stream has no other end than its pair; a datagram may go to any socket of the machine.
        _SOCKETPAIR: [
            *(_load(0), (_IS, 1, 0, 1), _FORBID),
            *(_load(1), _SOCKET_KIND, (_IS, 0, 1, 1), _ALLOW, _FORBID),
        ],
        _SENDTO: _null(4),
    }
    # Signals to itself alone.
    of_itself: list[_Op] = [_load(0), (_IS, 1, 0, os.getpid()), _FORBID, _ALLOW]
    rules |= {_KILL: of_itself, _TGKILL: of_itself}
    for numbers, argument, values in _BY_ARGUMENT.values():
        tests = [op for value in values for op in ((_IS, 0, 1, value), _ALLOW)]
        rules[numbers] = [_load(argument), *tests, _FORBID]
    return rules


def _null(argument: int) -> list[_Op]:
    """Return the rule that allows a call only without the pointer *argument*."""
    low, high = _load(argument), _load(argument, high=True)
    return [low, (_IS, 0, 3, 0), high, (_IS, 0, 1, 0), _ALLOW, _FORBID]


if __name__ == "__main__":
    run_sandboxed(*sys.argv[1:])
