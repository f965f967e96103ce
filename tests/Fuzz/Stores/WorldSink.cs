namespace OrleansCache.Fuzz.Stores;

/// <summary>Keeps what a reply says, and pins its value if it is to.</summary>
internal sealed class WorldSink : ReplySink
{
    private byte[] _buffer = new byte[64 * 1024];

    public int Calls { get; private set; }
    public CacheStatus Status { get; private set; }
    public ItemFlags ItemFlags { get; private set; }
    public uint ClientFlags { get; private set; }
    public uint ExpiresAt { get; private set; }
    public uint LastAccess { get; private set; }
    public ulong Cas { get; private set; }
    public ulong Number { get; private set; }
    public int ValueLength { get; private set; }
    public bool HasValue { get; private set; }
    public bool PinNext { get; set; }
    public PinnedValue? Pinned { get; private set; }

    public ReadOnlySpan<byte> Value => _buffer.AsSpan(0, HasValue ? ValueLength : 0);

    public override void OnReply(in CacheReply reply)
    {
        Calls++;
        (Status, ItemFlags, ClientFlags, ExpiresAt, LastAccess) = (reply.Status, reply.ItemFlags, reply.ClientFlags, reply.ExpiresAt, reply.LastAccess);
        (Cas, Number, ValueLength, HasValue) = (reply.Cas, reply.Number, reply.Value.Length, reply.Value.HasBytes);
        if (HasValue)
        {
            if (ValueLength > _buffer.Length)
                _buffer = new byte[ValueLength * 2];
            reply.Value.CopyTo(_buffer);
        }

        Pinned = PinNext && reply.Value.TryPin(out PinnedValue pinned) ? pinned : null;
        PinNext = false;
    }
}
