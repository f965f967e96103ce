using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Transports;

namespace OrleansCache.Gateway.Epoll;

/// <summary>A listening socket. Accepts on the loop that watches it and hands the connections out to all loops in turn.</summary>
internal sealed unsafe class EpollListener : IDisposable
{
    private const int AcceptsPerTurnMax = 256;

    private readonly Socket _socket;
    private readonly string _name;
    private readonly bool _isUnix;
    private readonly WireProtocol _protocol;

    public EpollListener(EndPoint endPoint, WireProtocol protocol, GatewayOptions options)
    {
        _protocol = protocol;
        _isUnix = endPoint is UnixDomainSocketEndPoint;
        _socket = new Socket(endPoint.AddressFamily, SocketType.Stream, _isUnix ? ProtocolType.Unspecified : ProtocolType.Tcp);
        try
        {
            if (endPoint is IPEndPoint)
            {
                // Accepted sockets inherit it.
                _socket.NoDelay = true;
                if (endPoint.AddressFamily == AddressFamily.InterNetworkV6)
                    _socket.DualMode = false;
            }

            _socket.Bind(endPoint);
            if (endPoint is UnixDomainSocketEndPoint && options.UnixSocketPath is { } path && !OperatingSystem.IsWindows())
                File.SetUnixFileMode(path, (UnixFileMode)(options.UnixSocketMode & 0x1FF));
            _socket.Listen(options.Backlog);
            _socket.Blocking = false;
            EndPoint = _isUnix ? endPoint : _socket.LocalEndPoint!;
            _name = ConnectionName.Of(EndPoint);
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    public EndPoint EndPoint { get; }
    public string Name => _name;
    public int Fd => (int)_socket.Handle;

    /// <summary>Accepts what waits. False if descriptors or memory ran out: then accepting must pause.</summary>
    public bool Accept(EpollLoop loop, EpollTransport transport)
    {
        byte* address = stackalloc byte[128];
        for (int i = 0; i < AcceptsPerTurnMax; i++)
        {
            uint addressBytes = 128;
            int fd = Native.Accept(Fd, address, &addressBytes, Native.SOCK_NONBLOCK | Native.SOCK_CLOEXEC);
            if (fd < 0)
            {
                int errno = Marshal.GetLastSystemError();
                switch (errno)
                {
                    case Native.EAGAIN:
                        return true;
                    case Native.EMFILE or Native.ENFILE or Native.ENOBUFS or Native.ENOMEM:
                        transport.Shared.AcceptPauses.Begin(Marshal.GetPInvokeErrorMessage(errno));
                        return false;
                    default:
                        // The client gave up between its connect and our accept, or a signal came.
                        continue;
                }
            }

            ConnectionInfo info = Describe(address, fd);
            if (transport.Shared.TryEnter(info))
            {
                transport.NextLoop().Adopt(fd, info);
                continue;
            }

            ReadOnlySpan<byte> refusal = "ERROR Too many open connections\r\n"u8;
            fixed (byte* text = refusal)
                _ = Native.Send(fd, text, (nuint)refusal.Length, Native.MSG_NOSIGNAL);
            _ = Native.Close(fd);
        }

        return true;
    }

    public void Dispose() => _socket.Dispose();

    /// <summary>Keeps the peer's raw address; it becomes text only if somebody asks.</summary>
    private ConnectionInfo Describe(byte* address, int fd)
    {
        if (_isUnix)
            return new ConnectionInfo(() => _name, () => _name) { Protocol = _protocol, Descriptor = fd };
        int family = *(ushort*)address;
        int port = (address[2] << 8) | address[3];
        ulong low = *(ulong*)(address + 8);
        ulong high = *(ulong*)(address + 16);
        uint four = *(uint*)(address + 4);
        return new ConnectionInfo(() => ConnectionName.Of(new IPEndPoint(ToAddress(family, four, low, high), port)), () => _name)
        {
            Protocol = _protocol,
            Descriptor = fd,
        };
    }

    private static IPAddress ToAddress(int family, uint four, ulong low, ulong high)
    {
        if (family == Native.AF_INET)
            return new IPAddress(four);
        Span<ulong> bytes = [low, high];
        return new IPAddress(MemoryMarshal.AsBytes(bytes));
    }
}
