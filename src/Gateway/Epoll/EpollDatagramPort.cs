using System.Net.Sockets;
using System.Runtime.InteropServices;
using OrleansCache.Gateway.Datagrams;

namespace OrleansCache.Gateway.Epoll;

/// <summary>
/// A UDP socket as one epoll loop sees it. All loops watch the same socket (exclusively: a datagram wakes one of them, not all), so that its traffic uses all
/// cores as TCP's does. A second descriptor of the socket is watched for room to send, and only while there is none: watched always, each datagram sent would
/// wake the loop.
/// </summary>
internal sealed unsafe class EpollDatagramPort : DatagramPort
{
    private const int DatagramsPerTurnMax = 64;

    private readonly EpollLoop _loop;
    private readonly int _fd;
    private readonly int _sendFd;
    private readonly int _index;
    private bool _receives;
    private bool _watchesSending;

    public EpollDatagramPort(EpollLoop loop, Socket socket, string name, int index)
        : base(loop.Context, name)
    {
        _loop = loop;
        _index = index;
        _fd = (int)socket.Handle;
        _sendFd = Native.Duplicate(_fd, Native.F_DUPFD_CLOEXEC, 0);
        if (_sendFd < 0 || Native.Control(loop.Epoll, Native.EPOLL_CTL_ADD, _fd, Native.EPOLLIN | Native.EPOLLEXCLUSIVE,
            EpollLoop.PortData(index, sends: false)) != 0)
            throw new GatewayStartException($"cannot watch a UDP socket: errno {Marshal.GetLastSystemError()}");
        _receives = true;
    }

    /// <summary>Takes what has arrived, up to a turn's share; the loop comes back for the rest.</summary>
    public void ReceiveAll()
    {
        byte* peer = stackalloc byte[DatagramExchange.PeerBytesMax];
        for (int i = 0; _receives && i < DatagramsPerTurnMax; i++)
        {
            uint peerBytes = DatagramExchange.PeerBytesMax;
            nint count = Native.ReceiveFrom(_fd, _loop.ReceiveBuffer, EpollConnection.ReceiveBufferBytes, 0, peer, &peerBytes);
            if (count >= 0)
                Receive(_loop.ReceiveBuffer, (int)count, new ReadOnlySpan<byte>(peer, (int)Math.Min(peerBytes, DatagramExchange.PeerBytesMax)));
            else if (Marshal.GetLastSystemError() == Native.EAGAIN)
                return;
        }
    }

    /// <summary>On the loop.</summary>
    public void StopReceiving()
    {
        if (_receives)
            _ = Native.Control(_loop.Epoll, Native.EPOLL_CTL_DEL, _fd, 0, 0);
        _receives = false;
    }

    /// <summary>The socket takes datagrams again.</summary>
    public void OnWritable()
    {
        StopWatchingSending();
        SendUnsent();
    }

    protected override DatagramSend Send(int length, ReadOnlySpan<byte> peer)
    {
        fixed (byte* data = Scratch.Span, address = peer)
        {
            while (true)
            {
                if (Native.SendTo(_fd, data, (nuint)length, Native.MSG_NOSIGNAL, address, (uint)peer.Length) >= 0)
                    return DatagramSend.Sent;
                switch (Marshal.GetLastSystemError())
                {
                    case Native.EINTR:
                        continue;
                    case Native.EAGAIN or Native.ENOBUFS:
                        return DatagramSend.Full;
                    default:
                        // No route, a forged address, a firewall: nothing that anybody here could mend.
                        return DatagramSend.Failed;
                }
            }
        }
    }

    protected override void WatchSending()
    {
        if (_watchesSending)
            return;
        _watchesSending = Native.Control(_loop.Epoll, Native.EPOLL_CTL_ADD, _sendFd, Native.EPOLLOUT, EpollLoop.PortData(_index, sends: true)) == 0;
    }

    protected override void Close()
    {
        StopReceiving();
        StopWatchingSending();
        _ = Native.Close(_sendFd);
    }

    private void StopWatchingSending()
    {
        if (_watchesSending)
            _ = Native.Control(_loop.Epoll, Native.EPOLL_CTL_DEL, _sendFd, 0, 0);
        _watchesSending = false;
    }
}
