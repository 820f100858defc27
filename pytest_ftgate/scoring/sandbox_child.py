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
    """
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
    failure = _run(sources)
    os.write(output, json.dumps(failure[:_MAX_MESSAGE]).encode())
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

# Only on Linux: Landlock denies files, seccomp denies the network and other processes. Both also
# hold for root, and the process cannot undo them.

_PARENT_DIES, _NO_NEW_PRIVILEGES, _SECCOMP = 1, 38, 22
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
#: The number of file rights (bits) in each version of Landlock.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_WRITE, _READ, _OF_A_FILE = 1 << 1, 1 << 2 | 1 << 3, 1 << 1 | 1 << 2
#: The rights to run files, and to make devices, sockets and pipes.
_NEVER = 1 << 0 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 15
_READABLE = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom")

#: For each machine, the kernel's code of the architecture and its column in the tables below.
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
#: The numbers of system calls that are always denied.
_DENIED = {
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
    # other processes, and new ones
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "setpgid": (109, 154),
    "setsid": (112, 157),
    "setpriority": (141, 140),
    "setrlimit": (160, 164),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    # objects that outlive the process
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # changes to files elsewhere that Landlock does not cover
    "truncate": (76, 45),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
}
_CLONE, _CLONE3, _KILL, _TGKILL, _PRLIMIT = (56, 220), (435, 435), (62, 129), (234, 131), (302, 261)
_LOAD, _IS, _FROM, _HAS, _END = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _A_THREAD = 0x7FFF0000, 0x00050000, 0x10000


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
    _check(libc.prctl(_PARENT_DIES, signal.SIGKILL, 0, 0, 0))
    _check(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _check(libc.capset(struct.pack("=Ii", 0x20080522, 0), bytes(24)))
    _restrict_files(libc, folder)
    program = _seccomp_program(arch, column)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    _check(libc.prctl(_SECCOMP, 2, header, 0, 0))


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _restrict_files(libc: ctypes.CDLL, folder: str) -> None:
    version = _check(libc.syscall(_CREATE_RULESET, None, 0, 1))
    all_rights = (1 << _RIGHTS.get(version, 16)) - 1
    rules = _check(libc.syscall(_CREATE_RULESET, struct.pack("=Q", all_rights), 8, 0))
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


def _seccomp_program(arch: int, column: int) -> bytes:
    """Return the BPF program that allows or denies each system call."""
    refuse, allow = (_END, 0, 0, _REFUSE | errno.EPERM), (_END, 0, 0, _ALLOW)
    ops = [(_LOAD, 0, 0, 4), (_IS, 1, 0, arch), refuse, (_LOAD, 0, 0, 0)]
    # Numbers from here on are the same calls of the x32 interface.
    ops += [(_FROM, 0, 1, 0x40000000), refuse]
    for number in (numbers[column] for numbers in _DENIED.values()):
        ops += [] if number is None else [(_IS, 0, 1, number), refuse]
    # The filter cannot read the flags of clone3. After ENOSYS, the C library uses clone.
    ops += [(_IS, 0, 1, _CLONE3[column]), (_END, 0, 0, _REFUSE | errno.ENOSYS)]
    ops += [(_IS, 0, 4, _CLONE[column]), (_LOAD, 0, 0, 16), (_HAS, 1, 0, _A_THREAD), refuse, allow]
    for signalling in (_KILL, _TGKILL):
        ops += [(_IS, 0, 4, signalling[column]), (_LOAD, 0, 0, 16)]
        ops += [(_IS, 1, 0, os.getpid()), refuse, allow]
    # Limits may be read, but not set.
    ops += [(_IS, 0, 6, _PRLIMIT[column]), (_LOAD, 0, 0, 32), (_IS, 0, 2, 0)]
    ops += [(_LOAD, 0, 0, 36), (_IS, 1, 0, 0), refuse, allow, allow]
    return b"".join(struct.pack("=HBBI", *op) for op in ops)


if __name__ == "__main__":
    run_sandboxed(*sys.argv[1:])
