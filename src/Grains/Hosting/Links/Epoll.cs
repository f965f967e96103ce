using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace OrleansCache.Grains.Hosting.Links;

/// <summary>The system calls that .NET's sockets do not offer: waiting for many of them on a thread of one's own, and a connect that does not wait.</summary>
internal static unsafe partial class Epoll
{
    public const uint In = 0x1;
    public const uint Out = 0x4;
    public const uint PeerClosed = 0x2000;
    public const uint EdgeTriggered = 1u << 31;

    public const int InProgress = 115;
    public const int Interrupted = 4;

    private const int CloseOnExec = 0x80000;
    private const int ControlAdd = 1;

    /// <summary>The kernel's epoll_event is packed on x64 and aligned elsewhere.</summary>
    public static readonly int EventBytes = RuntimeInformation.ProcessArchitecture is Architecture.X64 or Architecture.X86 ? 12 : 16;

    public static int Create() => EpollCreate(CloseOnExec);

    /// <summary>Returns -1 if the kernel does not take it.</summary>
    public static int Add(int epoll, int descriptor, uint events, long token)
    {
        byte* target = stackalloc byte[16];
        *(uint*)target = events;
        *(long*)(target + EventBytes - 8) = token;
        return EpollControl(epoll, ControlAdd, descriptor, target);
    }

    public static (uint Events, long Token) EventAt(byte* events, int index)
    {
        byte* at = events + (nint)index * EventBytes;
        return (*(uint*)at, *(long*)(at + EventBytes - 8));
    }

    /// <summary>What .NET calls an error of <see cref="Connect"/>.</summary>
    public static SocketError ErrorOf(int error) => error switch
    {
        101 => SocketError.NetworkUnreachable,
        110 => SocketError.TimedOut,
        111 => SocketError.ConnectionRefused,
        113 => SocketError.HostUnreachable,
        _ => SocketError.SocketError,
    };

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    public static partial int Wait(int epoll, byte* events, int eventsMax, int timeoutMilliseconds);

    [LibraryImport("libc", EntryPoint = "connect", SetLastError = true)]
    public static partial int Connect(int descriptor, byte* address, int addressBytes);

    [LibraryImport("libc", EntryPoint = "close")]
    public static partial int Close(int descriptor);

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    private static partial int EpollCreate(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    private static partial int EpollControl(int epoll, int operation, int descriptor, byte* target);
}
