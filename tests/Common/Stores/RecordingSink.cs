using System.Text;

namespace OrleansCache.Testing;

/// <summary>Keeps the last reply and its value, and pins the value if <see cref="PinNext"/> says so.</summary>
/// <param name="name">For tests that tell several sinks apart.</param>
/// <param name="order">Collects the sinks of several requests in the order of their replies.</param>
internal sealed class RecordingSink(string name = "", List<RecordingSink>? order = null) : ReplySink
{
    private byte[] _buffer = [];

    public string Name => name;
    public int Calls { get; private set; }
    public CacheStatus Status { get; private set; }
    public ItemFlags ItemFlags { get; private set; }
    public uint ClientFlags { get; private set; }
    public uint ExpiresAt { get; private set; }
    public uint LastAccess { get; private set; }
    public ulong Cas { get; private set; }
    public ulong Number { get; private set; }
    public string? Reason { get; private set; }
    public int ValueLength { get; private set; }
    public bool HasValue { get; private set; }
    public bool WasContiguous { get; private set; }
    public bool PinNext { get; set; }
    public bool DidPin { get; private set; }
    public PinnedValue Pinned { get; private set; }

    public ReadOnlySpan<byte> Value => _buffer.AsSpan(0, HasValue ? ValueLength : 0);

    public string Text => Encoding.Latin1.GetString(Value);

    public override void OnReply(in CacheReply reply)
    {
        Calls++;
        (Status, ItemFlags, ClientFlags, ExpiresAt, LastAccess) = (reply.Status, reply.ItemFlags, reply.ClientFlags, reply.ExpiresAt, reply.LastAccess);
        (Cas, Number, Reason, ValueLength, HasValue) = (reply.Cas, reply.Number, reply.Reason, reply.Value.Length, reply.Value.HasBytes);
        WasContiguous = reply.Value.IsContiguous;
        if (HasValue)
        {
            if (ValueLength > _buffer.Length)
                _buffer = new byte[Math.Max(ValueLength * 2, 1024)];
            reply.Value.CopyTo(_buffer);
        }

        DidPin = false;
        if (PinNext)
        {
            PinNext = false;
            DidPin = reply.Value.TryPin(out PinnedValue pinned);
            Pinned = pinned;
        }

        order?.Add(this);
    }
}
