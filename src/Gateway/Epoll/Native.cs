using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansCache.Gateway.Epoll;

/// <summary>
/// The system calls of the epoll transport. All blittable, so a call costs the transition and nothing else; errno is read by
/// <see cref="Marshal.GetLastSystemError"/> straight after the call, on the failing path only.
/// </summary>
internal static unsafe partial class Native
{
    public const int EINTR = 4;
    public const int EAGAIN = 11;
    public const int ENOMEM = 12;
    public const int ENFILE = 23;
    public const int EMFILE = 24;
    public const int ENOBUFS = 105;

    public const uint EPOLLIN = 0x1;
    public const uint EPOLLOUT = 0x4;
    public const uint EPOLLERR = 0x8;
    public const uint EPOLLHUP = 0x10;
    public const uint EPOLLRDHUP = 0x2000;
    public const uint EPOLLEXCLUSIVE = 1u << 28;
    public const uint EPOLLET = 1u << 31;

    public const int EPOLL_CTL_ADD = 1;
    public const int EPOLL_CTL_DEL = 2;

    public const int EPOLL_CLOEXEC = 0x80000;
    public const int EFD_CLOEXEC = 0x80000;
    public const int EFD_NONBLOCK = 0x800;
    public const int SOCK_CLOEXEC = 0x80000;
    public const int SOCK_NONBLOCK = 0x800;
    public const int F_DUPFD_CLOEXEC = 1030;
    public const int MSG_NOSIGNAL = 0x4000;
    public const int IPPROTO_TCP = 6;
    public const int TCP_NODELAY = 1;
    public const int AF_INET = 2;
    public const int AF_INET6 = 10;

    /// <summary>The kernel's epoll_event is packed on x64 and aligned elsewhere.</summary>
    public static readonly int EventBytes = RuntimeInformation.ProcessArchitecture is Architecture.X64 or Architecture.X86 ? 12 : 16;

    private static readonly int s_eventDataOffset = EventBytes - 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint EventFlags(byte* events, int index) => *(uint*)(events + (nint)index * EventBytes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int EventData(byte* events, int index) => *(int*)(events + (nint)index * EventBytes + s_eventDataOffset);

    public static int Control(int epoll, int operation, int fd, uint flags, int data)
    {
        byte* target = stackalloc byte[16];
        *(uint*)target = flags;
        *(long*)(target + s_eventDataOffset) = data;
        return EpollControl(epoll, operation, fd, target);
    }

    [LibraryImport("libc", EntryPoint = "epoll_create1")]
    public static partial int EpollCreate(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_wait")]
    public static partial int EpollWait(int epoll, byte* events, int eventsMax, int timeoutMilliseconds);

    [LibraryImport("libc", EntryPoint = "eventfd")]
    public static partial int EventFd(uint value, int flags);

    [LibraryImport("libc", EntryPoint = "read")]
    public static partial nint Read(int fd, void* buffer, nuint bytes);

    [LibraryImport("libc", EntryPoint = "write")]
    public static partial nint Write(int fd, void* buffer, nuint bytes);

    [LibraryImport("libc", EntryPoint = "close")]
    public static partial int Close(int fd);

    [LibraryImport("libc", EntryPoint = "recv")]
    public static partial nint Receive(int fd, void* buffer, nuint bytes, int flags);

    [LibraryImport("libc", EntryPoint = "send")]
    public static partial nint Send(int fd, void* buffer, nuint bytes, int flags);

    [LibraryImport("libc", EntryPoint = "sendmsg")]
    public static partial nint SendMessage(int fd, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "recvfrom")]
    public static partial nint ReceiveFrom(int fd, void* buffer, nuint bytes, int flags, void* address, uint* addressBytes);

    [LibraryImport("libc", EntryPoint = "sendto")]
    public static partial nint SendTo(int fd, void* buffer, nuint bytes, int flags, void* address, uint addressBytes);

    [LibraryImport("libc", EntryPoint = "fcntl")]
    public static partial int Duplicate(int fd, int command, int least);

    [LibraryImport("libc", EntryPoint = "accept4")]
    public static partial int Accept(int fd, void* address, uint* addressBytes, int flags);

    [LibraryImport("libc", EntryPoint = "setsockopt")]
    public static partial int SetOption(int fd, int level, int name, void* value, uint valueBytes);

    [LibraryImport("libc", EntryPoint = "epoll_ctl")]
    private static partial int EpollControl(int epoll, int operation, int fd, byte* target);

    /// <summary>struct iovec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Vector
    {
        public void* Base;
        public nuint Length;
    }

    /// <summary>struct msghdr (64-bit).</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public Vector* Vectors;
        public nuint VectorsLength;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }
}
