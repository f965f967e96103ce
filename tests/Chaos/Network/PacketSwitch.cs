using System.Collections.Concurrent;
using System.Diagnostics;

namespace OrleansCache.Chaos;

/// <summary>What happens to the packets from one silo to another.</summary>
/// <param name="LostShare">Of all packets, 0 to 1; 1: the direction is cut.</param>
/// <param name="DelayMin">The least that a packet is held back.</param>
/// <param name="DelayMax">The most; which it is, is chosen for each packet. Packets of one direction keep their order.</param>
internal sealed record LinkRule(double LostShare, TimeSpan DelayMin, TimeSpan DelayMax)
{
    public static LinkRule Whole { get; } = new(0, TimeSpan.Zero, TimeSpan.Zero);

    public static LinkRule Cut { get; } = new(1, TimeSpan.Zero, TimeSpan.Zero);
}

/// <summary>
/// The links between all silos: a switch of IPv4 packets between their interfaces, which loses and delays them by a rule for each direction of each pair. It
/// drops without a word, as a cable that is pulled does: no reset, no unreachable, and nobody's interface goes down.
/// </summary>
/// <remarks>
/// In this process because kernels are often built without netem; it costs two system calls a packet. Non-goals: bandwidth limits, reordering. A port is the
/// last byte of its interface's address.
/// </remarks>
internal sealed class PacketSwitch(int seed) : IDisposable
{
    private const int PortsMax = 256;
    private const int HeaderBytesMin = 20;
    private const int DestinationPortAt = 19;
    private const int PacketBytesMax = 65_536;
    private const int ReadMilliseconds = 200;
    private const int DelayedPacketsMax = 20_000;

    private readonly TunDevice?[] _devices = new TunDevice?[PortsMax];
    private readonly LinkRule?[] _rules = new LinkRule?[PortsMax * PortsMax];
    private readonly long[] _lastDue = new long[PortsMax * PortsMax];
    private readonly PriorityQueue<(int To, byte[] Packet), (long Due, long Number)> _delayed = new();
    private readonly ConcurrentBag<Thread> _threads = [];
    private readonly Lock _lock = new();
    private readonly Random _random = new(seed);
    private readonly AutoResetEvent _hasDelayed = new(false);
    private long _delayedNumber;
    private long _forwarded;
    private long _dropped;
    private volatile bool _isStopped;

    /// <summary>Packets that have arrived.</summary>
    public long Forwarded => Interlocked.Read(ref _forwarded);

    /// <summary>Packets that a rule has lost.</summary>
    public long Dropped => Interlocked.Read(ref _dropped);

    /// <summary>From now on what comes from this device is delivered, and what is for its port goes there. The switch disposes the device.</summary>
    public void Connect(int port, TunDevice device)
    {
        _devices[port] = device;
        Start($"packets from {port}", () => ReadAll(port, device));
        if (port == 1)
            Start("delayed packets", DeliverDelayed);
    }

    public void SetRule(int from, int to, LinkRule rule) => Volatile.Write(ref _rules[(from * PortsMax) + to], rule == LinkRule.Whole ? null : rule);

    /// <summary>All links are whole again. What is still held back arrives when it is due.</summary>
    public void Heal() => Array.Clear(_rules);

    public void Dispose()
    {
        _isStopped = true;
        _hasDelayed.Set();
        foreach (Thread thread in _threads)
            thread.Join();
        foreach (TunDevice? device in _devices)
            device?.Dispose();
        _hasDelayed.Dispose();
    }

    private void Start(string name, ThreadStart body)
    {
        var thread = new Thread(body) { IsBackground = true, Name = name };
        _threads.Add(thread);
        thread.Start();
    }

    private void ReadAll(int from, TunDevice device)
    {
        byte[] buffer = new byte[PacketBytesMax];
        while (!_isStopped)
        {
            int length = device.Read(buffer, ReadMilliseconds);
            if (length < HeaderBytesMin || buffer[0] >> 4 != 4)
                continue;
            int to = buffer[DestinationPortAt];
            if (_devices[to] is { } target)
                Forward(from, to, buffer.AsSpan(0, length), target);
        }
    }

    private void Forward(int from, int to, ReadOnlySpan<byte> packet, TunDevice target)
    {
        int direction = (from * PortsMax) + to;
        if (Volatile.Read(ref _rules[direction]) is not { } rule)
        {
            // What was held back before the rule ended goes first: TCP would take the rest for a loss.
            if (Volatile.Read(ref _lastDue[direction]) <= Stopwatch.GetTimestamp())
            {
                Interlocked.Increment(ref _forwarded);
                target.Write(packet);
                return;
            }

            rule = LinkRule.Whole;
        }

        lock (_lock)
        {
            if (rule.LostShare >= 1 || _random.NextDouble() < rule.LostShare || _delayed.Count >= DelayedPacketsMax)
            {
                Interlocked.Increment(ref _dropped);
                return;
            }

            TimeSpan delay = rule.DelayMin + ((rule.DelayMax - rule.DelayMin) * _random.NextDouble());
            long due = Math.Max(Stopwatch.GetTimestamp() + (long)(delay.TotalSeconds * Stopwatch.Frequency), _lastDue[direction]);
            Volatile.Write(ref _lastDue[direction], due);
            _delayed.Enqueue((to, packet.ToArray()), (due, ++_delayedNumber));
        }

        _hasDelayed.Set();
    }

    private void DeliverDelayed()
    {
        while (!_isStopped)
        {
            int waitMilliseconds = ReadMilliseconds;
            while (true)
            {
                (int To, byte[] Packet) next;
                lock (_lock)
                {
                    if (!_delayed.TryPeek(out next, out (long Due, long Number) place))
                        break;
                    double untilMilliseconds = 1000.0 * (place.Due - Stopwatch.GetTimestamp()) / Stopwatch.Frequency;
                    if (untilMilliseconds > 0)
                    {
                        waitMilliseconds = Math.Clamp((int)Math.Ceiling(untilMilliseconds), 1, ReadMilliseconds);
                        break;
                    }

                    _delayed.Dequeue();
                }

                Interlocked.Increment(ref _forwarded);
                _devices[next.To]?.Write(next.Packet);
            }

            _hasDelayed.WaitOne(waitMilliseconds);
        }
    }
}
