using System.Buffers.Binary;
using OrleansCache.Gateway.Sessions;
using OrleansCache.Protocol.Binary;

namespace OrleansCache.Gateway.Datagrams;

/// <summary>
/// One request datagram and its reply, with a session of its own. Pooled by its port; the session is used again as long as it comes out clean.
/// </summary>
internal sealed class DatagramExchange : ISessionTransport
{
    /// <summary>struct sockaddr_in6.</summary>
    public const int PeerBytesMax = 28;

    private const int BinaryHeaderBytes = 24;

    private readonly DatagramPort _port;
    private readonly byte[] _peer = new byte[PeerBytesMax];
    private int _peerLength;
    private byte _opcode;
    private uint _opaque;

    public DatagramExchange(DatagramPort port)
    {
        _port = port;
        Session = new Session(port.Loop, this);
    }

    public enum Stage : byte
    {
        Free,

        /// <summary>The request runs, or waits for other silos.</summary>
        Running,

        /// <summary>The reply is whole and leaves.</summary>
        Sending,
    }

    public Stage State { get; private set; }
    public Session Session { get; private set; }
    public ConnectionInfo Info => _port.Info;
    public ReadOnlySpan<byte> Peer => _peer.AsSpan(0, _peerLength);
    public ushort RequestId { get; private set; }
    public int Sequence { get; set; }
    public int Total { get; private set; }

    /// <summary>Whether the request is in the binary protocol.</summary>
    public bool IsBinary { get; private set; }

    public bool IsWoken { get; set; }

    /// <summary>Link of the one list of its port that holds it: free, or waiting to be sent.</summary>
    public DatagramExchange? Next { get; set; }

    /// <summary>Link of the port's list of those that something happened to.</summary>
    public DatagramExchange? NextWoken { get; set; }

    public void Wake() => _port.Wake(this);

    public void Begin(ushort requestId, ReadOnlySpan<byte> payload, ReadOnlySpan<byte> peer)
    {
        State = Stage.Running;
        RequestId = requestId;
        peer.CopyTo(_peer);
        _peerLength = peer.Length;
        IsBinary = payload[0] == BinaryParser.Magic && payload.Length >= BinaryHeaderBytes;
        if (IsBinary)
        {
            _opcode = payload[1];
            _opaque = BinaryPrimitives.ReadUInt32BigEndian(payload[12..]);
        }

        Session.Receive(payload);
    }

    public void BeginReply()
    {
        State = Stage.Sending;
        Sequence = 0;
        Total = DatagramFrame.CountFor(Session.Output.Bytes);
    }

    /// <summary>Makes ready for the next request.</summary>
    public void End()
    {
        State = Stage.Free;
        if (Session.TryRestart())
            return;
        Session.Abort();
        Session = new Session(_port.Loop, this);
    }

    /// <summary>The one datagram that says that the reply is larger than allowed. Returns its length.</summary>
    public int WriteRefusal(Span<byte> datagram)
    {
        DatagramFrame.Write(datagram, RequestId, 0, 1);
        Span<byte> payload = datagram[DatagramFrame.HeaderBytes..];
        if (!IsBinary)
        {
            ReadOnlySpan<byte> line = "SERVER_ERROR reply too large for UDP\r\n"u8;
            line.CopyTo(payload);
            return DatagramFrame.HeaderBytes + line.Length;
        }

        const ushort TooLarge = 3;
        ReadOnlySpan<byte> reason = "Too large."u8;
        payload[..BinaryHeaderBytes].Clear();
        payload[0] = BinaryParser.Magic + 1;
        payload[1] = _opcode;
        BinaryPrimitives.WriteUInt16BigEndian(payload[6..], TooLarge);
        BinaryPrimitives.WriteUInt32BigEndian(payload[8..], (uint)reason.Length);
        BinaryPrimitives.WriteUInt32BigEndian(payload[12..], _opaque);
        reason.CopyTo(payload[BinaryHeaderBytes..]);
        return DatagramFrame.HeaderBytes + BinaryHeaderBytes + reason.Length;
    }
}
