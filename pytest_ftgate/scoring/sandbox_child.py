"""The sandboxed process: it restricts itself, then runs the code and its tests."""

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

__all__ = ["CANNOT", "FILES", "has_landlock", "main"]

#: The exit code where the process could not be shut in; nothing of the reply has run then.
CANNOT = 71
FILES = ("reply.py", "tests.py")

_MB = 1 << 20
#: Bytes that one file may hold, and files open at once.
_FILE, _OPEN = 4 * _MB, 64
_LONGEST = 500


def main(folder: str, seconds: str, memory_mb: str, sandbox: str) -> None:
    """Run the files in *folder*.

    Args:
        folder: where they are, and all that may be written.
        seconds: of processor time, for the case that nobody is left to watch the clock.
        memory_mb: address space.
        sandbox: ``none`` to go without what the kernel has to be asked for.
    """
    sources = {}
    for name in FILES:
        with open(os.path.join(folder, name), "rb") as stream:  # noqa: PTH118, PTH123
            sources[name] = stream.read()
    end = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for stream_number in range(3):
        os.dup2(null, stream_number)
    _limit(int(float(seconds)) + 2, int(memory_mb) * _MB)
    if sandbox != "none":
        try:
            _shut_in(folder)
        except (OSError, AttributeError, KeyError) as error:
            os.write(end, json.dumps(f"{type(error).__name__}: {error}").encode())
            os._exit(CANNOT)
    told = _run(sources)
    os.write(end, json.dumps(told[:_LONGEST]).encode())
    # Threads of the reply's own would keep the process.
    os._exit(0)


def _limit(seconds: int, memory: int) -> None:
    with suppress(ImportError):  # Windows has none
        import resource as r

        limits = [(r.RLIMIT_CPU, seconds), (r.RLIMIT_FSIZE, _FILE), (r.RLIMIT_CORE, 0)]
        for kind, most in [*limits, (r.RLIMIT_NOFILE, _OPEN), (r.RLIMIT_AS, memory)]:
            hard = r.getrlimit(kind)[1]
            least = most if hard == r.RLIM_INFINITY else min(most, hard)
            with suppress(ValueError, OSError):  # macOS refuses a limit of memory
                r.setrlimit(kind, (least, least))


# Running --------------------------------------------------------------------------------------


def _run(sources: dict[str, bytes]) -> str:
    """Run the reply, then its tests where its names are known, then the functions ``test_…``."""
    module = ModuleType("reply")
    sys.modules["reply"] = module
    names = module.__dict__
    try:
        for name in FILES:
            exec(compile(sources[name], name, "exec", dont_inherit=True), names)  # noqa: S102
        for test in [value for value in names.values() if _is_test(value)]:
            test()
    except BaseException as error:  # noqa: BLE001 - it may raise whatever it likes
        return _told(error, sources)
    return ""


def _is_test(value: object) -> bool:
    code = getattr(value, "__code__", None)
    return isinstance(code, CodeType) and (code.co_filename, code.co_name[:5]) == (
        FILES[1],
        "test_",
    )


def _told(error: BaseException, sources: dict[str, bytes]) -> str:
    """Say where the reply or a test broke: the line itself, and the last line of the error."""
    try:
        last = traceback.format_exception_only(error)[-1].strip()
    except Exception:  # noqa: BLE001 - an error of the reply's own may break when it is shown
        last = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename in FILES:
        return f"{error.filename}:{error.lineno}: {last}"
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename in FILES]
    if not frames:
        return last
    name, number = frames[-1].filename, frames[-1].lineno or 1
    lines = sources[name].decode("utf-8", "replace").split("\n")
    return f"{name}:{number}: {lines[number - 1].strip()}: {last}"


# Shutting in ----------------------------------------------------------------------------------

# Linux alone: Landlock takes away the files, seccomp the network, other processes and new ones.
# Both bind root as well, and nothing that runs here can undo them.

_PARENT_DIES, _NO_NEW_PRIVILEGES, _SECCOMP = 1, 38, 22
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
#: Rights over files that each version of Landlock knows of, as how many bits.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_WRITE, _READ, _OF_A_FILE = 1 << 1, 1 << 2 | 1 << 3, 1 << 1 | 1 << 2
#: To run files, and to make devices, sockets and pipes.
_NEVER = 1 << 0 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 15
_READABLE = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom")

#: What the kernel calls a machine, and the column of its numbers below.
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
#: System calls that are refused outright.
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
    # what would outlive the process
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # files elsewhere, by ways that Landlock leaves open
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
    """Tell whether the kernel of this machine takes Landlock's rules."""
    try:
        known = os.uname().machine in _MACHINES and sys.platform == "linux"
        return known and ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, 1) > 0
    except (OSError, AttributeError):
        return False


def _shut_in(folder: str) -> None:
    """Take away all files but *folder* and Python's own, the network, and other processes.

    Raises:
        OSError: the kernel refuses.
        AttributeError, KeyError: it is no Linux, or another machine.
    """
    arch, column = _MACHINES[os.uname().machine]
    libc = ctypes.CDLL(None, use_errno=True)
    _must(libc.prctl(_PARENT_DIES, signal.SIGKILL, 0, 0, 0))
    _must(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _must(libc.capset(struct.pack("=Ii", 0x20080522, 0), bytes(24)))
    _keep_files(libc, folder)
    program = _filter(arch, column)
    code = ctypes.create_string_buffer(program, len(program))
    told = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    _must(libc.prctl(_SECCOMP, 2, told, 0, 0))


def _must(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _keep_files(libc: ctypes.CDLL, folder: str) -> None:
    version = _must(libc.syscall(_CREATE_RULESET, None, 0, 1))
    every = (1 << _RIGHTS.get(version, 16)) - 1
    rules = _must(libc.syscall(_CREATE_RULESET, struct.pack("=Q", every), 8, 0))
    paths = {*_READABLE, sys.prefix, sys.base_prefix}
    rights = {**dict.fromkeys(paths, _READ), os.devnull: _OF_A_FILE, folder: every & ~_NEVER}
    for path, allowed in rights.items():
        if not os.path.exists(path):  # noqa: PTH110
            continue
        of = allowed if os.path.isdir(path) else allowed & _OF_A_FILE  # noqa: PTH112
        at = os.open(path, os.O_PATH)
        _must(libc.syscall(_ADD_RULE, rules, 1, struct.pack("=Qi", of, at), 0))
        os.close(at)
    _must(libc.syscall(_RESTRICT_SELF, rules, 0))


def _filter(arch: int, column: int) -> bytes:
    """Return the program by which the kernel decides of each system call."""
    refuse, allow = (_END, 0, 0, _REFUSE | errno.EPERM), (_END, 0, 0, _ALLOW)
    ops = [(_LOAD, 0, 0, 4), (_IS, 1, 0, arch), refuse, (_LOAD, 0, 0, 0)]
    # Numbers from here on are the same calls under another name.
    ops += [(_FROM, 0, 1, 0x40000000), refuse]
    for number in (numbers[column] for numbers in _DENIED.values()):
        ops += [] if number is None else [(_IS, 0, 1, number), refuse]
    # Its flags cannot be looked at; the C library then takes the older call.
    ops += [(_IS, 0, 1, _CLONE3[column]), (_END, 0, 0, _REFUSE | errno.ENOSYS)]
    ops += [(_IS, 0, 4, _CLONE[column]), (_LOAD, 0, 0, 16), (_HAS, 1, 0, _A_THREAD), refuse, allow]
    for signalling in (_KILL, _TGKILL):
        ops += [(_IS, 0, 4, signalling[column]), (_LOAD, 0, 0, 16)]
        ops += [(_IS, 1, 0, os.getpid()), refuse, allow]
    # Limits may be read and not set.
    ops += [(_IS, 0, 6, _PRLIMIT[column]), (_LOAD, 0, 0, 32), (_IS, 0, 2, 0)]
    ops += [(_LOAD, 0, 0, 36), (_IS, 1, 0, 0), refuse, allow, allow]
    return b"".join(struct.pack("=HBBI", *op) for op in ops)


if __name__ == "__main__":
    main(*sys.argv[1:])
