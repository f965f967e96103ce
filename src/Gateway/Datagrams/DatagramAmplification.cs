namespace OrleansCache.Gateway.Datagrams;

/// <summary>
/// Bounds what one address is sent in replies that are much larger than their requests: senders can be forged, and their victims would be hit by all of it.
/// A fixed number of counters, chosen by the address without its port: two addresses may share one. Of one port of one loop.
/// </summary>
internal sealed class DatagramAmplification
{
    private readonly KeyHasher _hasher = new(HashSeed.Random());
    private readonly Counter[] _counters = new Counter[Limits.DatagramReplyCounters];

    /// <summary>False if the address has had its share of this second.</summary>
    public bool TryCount(ReadOnlySpan<byte> peer, long bytes, uint nowUnixSeconds)
    {
        // struct sockaddr_in: family, port, address; sockaddr_in6 has its flow between port and address.
        const int V4Bytes = 16, V4Address = 4, V4AddressBytes = 4, V6Address = 8, V6NetworkBytes = 8;
        ReadOnlySpan<byte> address = peer.Length < V4Address + V4AddressBytes ? peer
            : peer.Length <= V4Bytes ? peer.Slice(V4Address, V4AddressBytes)
            : peer.Slice(V6Address, V6NetworkBytes);
        ref Counter counter = ref _counters[_hasher.Compute(address) % (ulong)_counters.Length];
        if (counter.Second != nowUnixSeconds)
            counter = new Counter { Second = nowUnixSeconds };
        if (counter.Bytes + bytes > Limits.DatagramReplyBytesPerSecond)
            return false;
        counter.Bytes += bytes;
        return true;
    }

    private struct Counter
    {
        public uint Second;
        public long Bytes;
    }
}
