using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace OrleansCache.Chaos;

/// <summary>
/// A network interface whose other end is this process: it reads the IPv4 packets that the kernel sends there, and writes those that shall arrive. The
/// interface may be moved to another network namespace, and is gone when the device is disposed or the process ends.
/// </summary>
internal sealed partial class TunDevice : IDisposable
{
    private const int OpenReadWrite = 2;
    private const int OpenNonBlocking = 0x800;
    private const int OpenCloseOnExec = 0x80000;
    private const nuint RequestSetInterface = 0x400454ca;
    private const short FlagTun = 0x0001;
    private const short FlagNoPacketInformation = 0x1000;
    private const int NameBytesMax = 15;
    private const int InterfaceRequestBytes = 40;
    private const int NameBytes = 16;
    private const short PollIn = 1;

    private readonly SafeFileHandle _file;

    /// <summary>Throws <see cref="Win32Exception"/> where the process may not make interfaces.</summary>
    public TunDevice(string name)
    {
        if (name.Length > NameBytesMax)
            throw new ArgumentException($"{name} is longer than an interface's name may be", nameof(name));
        _file = new SafeFileHandle(Open("/dev/net/tun", OpenReadWrite | OpenNonBlocking | OpenCloseOnExec), ownsHandle: true);
        if (_file.IsInvalid)
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "/dev/net/tun");

        // struct ifreq: the name, then the flags.
        byte[] request = new byte[InterfaceRequestBytes];
        Encoding.ASCII.GetBytes(name, request);
        BitConverter.TryWriteBytes(request.AsSpan(NameBytes), (short)(FlagTun | FlagNoPacketInformation));
        if (Control(_file, RequestSetInterface, request) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            _file.Dispose();
            throw new Win32Exception(error, $"TUNSETIFF {name}");
        }
    }

    /// <summary>The next packet's length in bytes; 0 if none came within the time.</summary>
    public int Read(Span<byte> packet, int timeoutMilliseconds)
    {
        while (true)
        {
            nint length = Read(_file, packet, (nuint)packet.Length);
            if (length > 0)
                return (int)length;
            var poll = new PollRequest { File = _file.DangerousGetHandle().ToInt32(), Events = PollIn };
            if (Poll(ref poll, 1, timeoutMilliseconds) <= 0)
                return 0;
        }
    }

    /// <summary>A packet that cannot be taken (the interface is down) is lost, as on any link.</summary>
    public void Write(ReadOnlySpan<byte> packet) => _ = Write(_file, packet, (nuint)packet.Length);

    public void Dispose() => _file.Dispose();

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(SafeFileHandle file, nuint request, byte[] argument);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(SafeFileHandle file, Span<byte> buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint Write(SafeFileHandle file, ReadOnlySpan<byte> buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int Poll(ref PollRequest request, nuint count, int timeoutMilliseconds);

    /// <summary>struct pollfd.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct PollRequest
    {
        public int File;
        public short Events;
        public short Results;
    }
}
