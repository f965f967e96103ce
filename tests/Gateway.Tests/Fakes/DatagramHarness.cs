using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansCache.Gateway.Datagrams;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Sessions;

namespace OrleansCache.Gateway.Tests.Fakes;

/// <summary>A UDP port without a socket: datagrams in by Send, out by Take, posted work run by hand.</summary>
internal sealed unsafe class DatagramHarness : ICompletionQueue, IDisposable
{
    private readonly System.Collections.Concurrent.ConcurrentQueue<LoopWorkItem> _posted = new();
    private readonly LoopContext _loop;
    private readonly FakePort _port;

    public DatagramHarness(FakeRouter? router = null)
    {
        Router = router ?? new FakeRouter();
        var shared = new GatewayShared(new GatewayOptions(), Router, NullLoggerFactory.Instance, new ManualTime());
        _loop = new LoopContext(shared, this);
        shared.RegisterLoop(_loop.Readings);
        _loop.ReadClock();
        Shared = shared;
        _port = new FakePort(_loop);
    }

    public FakeRouter Router { get; }
    public GatewayShared Shared { get; }
    public DatagramPort Port => _port;

    /// <summary>Datagrams that the socket still takes.</summary>
    public int Room { get => _port.Room; set => _port.Room = value; }

    /// <summary>Whether the port wants to know when there is room again.</summary>
    public bool IsWatching => _port.IsWatching;

    public long Dropped => _loop.Counters.DatagramsDropped;
    public long Refused => _loop.Counters.DatagramsRefused;
    public long Unsent => _loop.Counters.DatagramsUnsent;

    public void Post(LoopWorkItem work) => _posted.Enqueue(work);

    public void RunPosted()
    {
        while (_posted.TryDequeue(out LoopWorkItem? work))
            work.Execute();
    }

    public static byte[] Frame(string payload, int id = 7, int sequence = 0, int total = 1, int reserved = 0)
    {
        byte[] datagram = new byte[8 + payload.Length];
        BinaryPrimitives.WriteUInt16BigEndian(datagram, (ushort)id);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(2), (ushort)sequence);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(4), (ushort)total);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(6), (ushort)reserved);
        Encoding.Latin1.GetBytes(payload, datagram.AsSpan(8));
        return datagram;
    }

    public void Send(byte[] datagram, byte peer = 1)
    {
        fixed (byte* data = datagram)
            _port.Receive(data, datagram.Length, [peer]);
    }

    public void Send(string payload, int id = 7, byte peer = 1) => Send(Frame(payload, id), peer);

    /// <summary>What has been sent since the last call: "peer id sequence/total payload" each.</summary>
    public string[] Take()
    {
        string[] all = [.. _port.Sent.Select(static sent => Describe(sent.Peer, sent.Datagram))];
        _port.Sent.Clear();
        return all;
    }

    /// <summary>As <see cref="Take"/>, raw.</summary>
    public List<byte[]> TakeRaw()
    {
        List<byte[]> all = [.. _port.Sent.Select(static sent => sent.Datagram)];
        _port.Sent.Clear();
        return all;
    }

    /// <summary>Sends and takes.</summary>
    public string[] Ask(string payload, int id = 7)
    {
        Send(payload, id);
        RunPosted();
        return Take();
    }

    public void Dispose()
    {
        _port.Dispose();
        _loop.Dispose();
        Assert.Equal(0, Router.Store.Pins);
    }

    private static string Describe(byte peer, byte[] datagram)
    {
        int Number(int at) => BinaryPrimitives.ReadUInt16BigEndian(datagram.AsSpan(at));
        Assert.Equal(0, Number(6));
        return string.Create(CultureInfo.InvariantCulture, $"{peer} {Number(0)} {Number(2)}/{Number(4)} {Encoding.Latin1.GetString(datagram.AsSpan(8))}");
    }

    private sealed class FakePort(LoopContext loop) : DatagramPort(loop, "udp:test")
    {
        public List<(byte Peer, byte[] Datagram)> Sent { get; } = [];
        public int Room { get; set; } = int.MaxValue;
        public bool IsWatching { get; private set; }

        protected override DatagramSend Send(int length, ReadOnlySpan<byte> peer)
        {
            if (peer[0] == 0)
                return DatagramSend.Failed;
            if (Room == 0)
                return DatagramSend.Full;
            IsWatching = false;
            Room--;
            Sent.Add((peer[0], Scratch[..length].ToArray()));
            return DatagramSend.Sent;
        }

        protected override void WatchSending() => IsWatching = true;
    }
}
